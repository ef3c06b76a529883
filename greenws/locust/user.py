"""``WebSocketUser``: what a locust user can do on a WebSocket, and how each of it gets into the statistics."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ClassVar, NoReturn
from urllib.parse import urlsplit

import gevent
from gevent import GreenletExit
from gevent.event import Event
from locust import User
from locust.exception import RescheduleTask

from greenws.client.backoff import FIRST_DELAY, MAX_DELAY, Backoff
from greenws.client.connect import Dialer
from greenws.client.reconnect import STABLE_AFTER
from greenws.errors import ConnectError, ConnectionClosed, HandshakeError, OperationTimeout, StateError
from greenws.locust.figures import figures
from greenws.locust.waiting import Message, Waiter, Waiters
from greenws.net.connection import Connection

log = logging.getLogger("greenws.locust")

_SCHEMES = {"http": "ws", "https": "wss"}


class Failed(RescheduleTask):
    """What a user tried has failed and is in the statistics. locust ends the task here, and goes on with the next."""


class WebSocketUser(User):
    """A user with one WebSocket. Its messages are received whatever its task does, and cost no greenlet.

    A task simply sends, asks or expects; who is not connected connects first, and after a lost connection waits as
    ``delay_before_reconnect`` says. What fails is in the statistics and ends the task, without a traceback.

    ===========  ===========================  ===========================================
    type         row                          response time
    ===========  ===========================  ===========================================
    ``WS``       ``connect``, ``reconnect``   until the connection is open
    ``WS``       ``close 1000``, by the code  none
    ``WS``       ``lifetime``                 how long closed connections were open; not in the aggregated row
    ``WSS``      ``send``                     none
    ``WSC``      ``request``                  from the request to its answer
    ``WSR``      ``push``                     from the moment that ``sent_at`` finds in the message, else none
    ``WSW``      ``expect``                   from asking to the message; 0 when it was there already
    ===========  ===========================  ===========================================

    Names can be given with each call. A connection that ends unasked is a failure of its ``close`` row.

    Attributes:
        path: of the WebSocket on the host. A host that has a path is taken as it is.
        options: for ``greenws.connect``, such as ``{"headers": …}``. The user itself sends no pings.
        timeout: seconds for an answer.
        inbox_size: the newest pushes that nobody has asked for, kept for an ``expect`` to come.
        expected_closes: codes by which the server may end a connection; any other is a failure.
        first_delay, max_delay: seconds of the backoff between connects, as for ``greenws.reconnect``.
        conn: the connection, or None.
    """

    abstract = True
    path: str = "/"
    options: Mapping[str, Any] = {}
    timeout: float = 30.0
    inbox_size: int = 16
    expected_closes: frozenset[int] = frozenset()
    first_delay: float = FIRST_DELAY
    max_delay: float = MAX_DELAY
    conn: Connection | None = None

    _dialers: ClassVar[dict[tuple[type, str], Dialer]] = {}  # what all users of one class and one URL share
    _ending: ClassVar[gevent.Greenlet | None] = None  # what ends the whole test
    _backoff: Backoff | None = None
    _connecting: Event | None = None  # set when it has worked, or failed
    _not_before = 0.0  # on time.monotonic
    _was_open = False
    _is_closing = False
    _opened_at = 0.0
    _waiters: Waiters | None = None
    _inbox: deque[Message] | None = None

    # ---- what to override

    def key_of(self, message: Message) -> Hashable:
        """Returns the key by which ``request`` finds the answer, such as the JSON's id; None when it has none."""
        return None

    def sent_at(self, message: Message) -> float | None:
        """Returns when the server sent a message, in seconds since 1970, if the message says so. Clocks must agree."""
        return None

    def name_of(self, message: Message) -> str:
        """Returns the row that a push is counted in."""
        return "push"

    def on_push(self, message: Message) -> None:
        """Called for each message that is no answer. May block: then this connection is read no further meanwhile."""

    def delay_before_reconnect(self, code: int | None) -> float:
        """Returns how many seconds to wait after a connection that ended, or after an attempt that failed (None).

        By default what a good client does: see ``greenws.reconnect``.
        """
        if self._backoff is None:
            self._backoff = Backoff(self.first_delay, self.max_delay)
        return self._backoff.delay_after_failure() if code is None else self._backoff.delay_after_close(code)

    # ---- what to call

    @property
    def url(self) -> str:
        """Where ``connect`` goes: the host with ``path``, or the host as it is when it has a path.

        Without a host the test ends, with one error for all users.
        """
        if not self.host:
            self._end_test(StateError("there is no host: give --host ws://127.0.0.1:8000, or set it on the class"))
        host: str = self.host
        parts = urlsplit(host)
        base = host if parts.path not in ("", "/") else host.rstrip("/") + self.path
        return _SCHEMES.get(parts.scheme, parts.scheme) + base[len(parts.scheme) :]

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that can be sent on."""
        return self.conn is not None and not self.conn.closed

    def connect(self, url: str | None = None, *, name: str | None = None, **options: Any) -> bool:
        """Connects once. Blocks the user. Returns whether that worked; if not, the failure is in the statistics.

        Args:
            url: where to; the host with ``path`` when None.
            name: of the row.
            options: for ``greenws.connect``, beside those of the class.

        Raises:
            ConfigError: the URL or an option cannot work.
            StateError: the user is connected, or another greenlet of it is connecting.
        """
        if self.is_open or self._connecting is not None:
            raise StateError("this user is connected, or about to be; close() first")
        dialer = self._dialer(url or self.url, options)
        self._connecting = Event()
        try:
            return self._dial(dialer, name or ("reconnect" if self._was_open else "connect"))
        finally:
            self._connecting.set()
            self._connecting = None

    def send(self, message: Message, *, name: str = "send") -> None:
        """Sends a message. Blocks the user only while the server reads too slowly."""
        conn = self._connected()
        try:
            conn.send(message)
        except (ConnectionClosed, OperationTimeout) as error:
            self.record("WSS", name, None, len(message), error)
            raise Failed from error
        figures.own.sent += 1
        self.record("WSS", name, None, len(message))

    def request(
        self, message: Message, *, key: Hashable = None, timeout: float | None = None, name: str = "request"
    ) -> Message:
        """Sends a message and returns the answer to it. Blocks the user until that is there.

        Args:
            message: the request.
            key: what ``key_of`` says of the answer; None takes the next message that nobody asks for.
            timeout: seconds; that of the class when None.
            name: of the row.
        """
        conn = self._connected()
        waiter = self._wait_for(Waiter(key))
        began = time.perf_counter()
        try:
            conn.send(message)
        except (ConnectionClosed, OperationTimeout) as error:
            self._need_waiters().give_up(waiter)
            self.record("WSC", name, time.perf_counter() - began, 0, error)
            raise Failed from error
        figures.own.sent += 1
        return self._get(waiter, "WSC", name, began, timeout)

    def expect(
        self, predicate: Callable[[Message], object], timeout: float | None = None, *, name: str = "expect"
    ) -> Message:
        """Returns the next message that ``predicate`` is true of. Blocks the user until one is there.

        The last ``inbox_size`` pushes count, too.
        """
        self._connected()
        began = time.perf_counter()
        for message in self._inbox or ():
            if predicate(message):
                self._inbox.remove(message)  # type: ignore[union-attr]
                self.record("WSW", name, 0.0, len(message))
                return message
        return self._get(self._wait_for(Waiter(predicate=predicate)), "WSW", name, began, timeout)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the connection, if there is one. Blocks the user until it has ended, for ``close_timeout`` at most."""
        conn = self.conn
        if conn is None:
            return
        self._is_closing = True
        conn.close(code, reason)
        if not conn.wait_closed(conn.service.config.close_timeout + 1):
            conn.abort()

    def on_stop(self) -> None:
        """For locust: the user stops. Who overrides it calls it."""
        self.close()

    def record(
        self, kind: str, name: str, seconds: float | None, size: int, error: Exception | None = None, **context: object
    ) -> None:
        """Puts something into locust's statistics.

        Args:
            kind: the type, such as ``"WSR"``.
            name: of the row.
            seconds: how long it took; None when that says nothing.
            size: bytes or characters received.
            error: why it failed.
            context: for listeners of ``events.request``, beside what ``context()`` returns.
        """
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=None if seconds is None else seconds * 1000,
            response_length=size,
            exception=error,
            context={**self.context(), **context},
        )

    # ---- how it works

    def _end_test(self, error: StateError) -> NoReturn:
        """Ends the test, since no user can go on, and this user at once. Only the first says why."""
        runner = self.environment.runner
        if runner is None:  # one user, run by hand
            raise error
        if WebSocketUser._ending is None or WebSocketUser._ending.ready():
            log.error("%s", error)
            # An exception makes the exit code 1; a worker's is told to the master.
            self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)
            options = self.environment.parsed_options
            is_headless = options is not None and options.headless
            WebSocketUser._ending = gevent.spawn(runner.quit if is_headless else runner.stop)
        raise GreenletExit  # as when locust stops a user: anything else is written as a traceback

    def _dialer(self, url: str, options: dict[str, Any]) -> Dialer:
        """Returns what connects. It holds what connections share, so that ten thousand do not have their own each."""
        known = None if options else self._dialers.get((type(self), url))
        if known is None:
            every = {"ping_interval": None, **self.options, **options}
            known = Dialer(url, on_message=_on_message, on_close=_on_close, **every)
            if not options:
                self._dialers[type(self), url] = known
        return known

    def _dial(self, dialer: Dialer, name: str) -> bool:
        began = time.perf_counter()
        try:
            conn = dialer.connect()
        except (ConnectError, HandshakeError, OperationTimeout) as error:
            figures.own.failed += 1
            self._not_before = time.monotonic() + self.delay_before_reconnect(None)
            status = {"status": error.status} if isinstance(error, HandshakeError) else {}
            self.record("WS", name, time.perf_counter() - began, 0, error, **status)
            return False
        again, self._opened_at = self._was_open, time.perf_counter()
        self._was_open, self._is_closing, self._inbox = True, False, None
        self.conn = conn
        conn.user = self
        figures.opened(again=again)
        self.record("WS", name, self._opened_at - began, 0)
        return True

    def _connected(self) -> Connection:
        while not self.is_open:
            if self._connecting is not None:  # another greenlet of this user is at it
                self._connecting.wait()
            elif (wait := self._not_before - time.monotonic()) > 0:
                gevent.sleep(wait)
            elif not self.connect():
                raise Failed
        assert self.conn is not None
        return self.conn

    def _need_waiters(self) -> Waiters:
        if self._waiters is None:
            self._waiters = Waiters()
        return self._waiters

    def _wait_for(self, waiter: Waiter) -> Waiter:
        self._need_waiters().add(waiter)
        return waiter

    def _get(self, waiter: Waiter, kind: str, name: str, began: float, timeout: float | None) -> Message:
        seconds = self.timeout if timeout is None else timeout
        try:
            message = waiter.wait(seconds)
        except ConnectionClosed as error:
            self.record(kind, name, waiter.arrived - began, 0, error, code=error.code)
            raise Failed from error
        except gevent.Timeout:
            self._need_waiters().give_up(waiter)
            late = OperationTimeout(f"no message within {seconds} s")
            self.record(kind, name, time.perf_counter() - began, 0, late)
            raise Failed from late
        self.record(kind, name, waiter.arrived - began, len(message))
        return message

    def _received(self, message: Message) -> None:
        figures.own.received += 1
        key = self.key_of(message)
        waiter = None if self._waiters is None else self._waiters.find(message, key)
        if waiter is not None and not waiter.is_given_up:
            waiter.give(message)
            if waiter.predicate is None:
                return
        if waiter is None and self.inbox_size:
            if self._inbox is None:
                self._inbox = deque(maxlen=self.inbox_size)
            self._inbox.append(message)
        sent_at = self.sent_at(message)
        name = "late answer" if waiter is not None and waiter.is_given_up else self.name_of(message)
        self.record("WSR", name, None if sent_at is None else time.time() - sent_at, len(message))
        self.on_push(message)

    def _ended(self, conn: Connection, code: int, reason: str) -> None:
        lived = time.perf_counter() - self._opened_at
        error = ConnectionClosed(code, reason)
        is_drop = not self._is_closing and code not in self.expected_closes
        if self.conn is conn:
            self.conn = None
        if self._backoff is not None and lived >= STABLE_AFTER:
            self._backoff.reset()
        if not self._is_closing:
            self._not_before = time.monotonic() + self.delay_before_reconnect(code)
        figures.ended(code, is_drop=is_drop)
        self.record(
            "WS", f"close {code}", None, 0, error if is_drop else None, code=code, reason=reason, lifetime=lived
        )
        self.environment.stats.get("lifetime", "WS").log(lived * 1000, 0)
        if self._waiters is not None:
            self._waiters.fail_all(error)


def _on_message(conn: Connection, message: Message) -> None:
    conn.user._received(message)


def _on_close(conn: Connection, code: int, reason: str) -> None:
    conn.user._ended(conn, code, reason)
    del conn.user  # the two held each other
