"""``greenws.reconnect``: one connection after the other to the same server."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakValueDictionary

import gevent

from greenws.client.backoff import FIRST_DELAY, MAX_DELAY, Backoff, is_temporary
from greenws.client.breaker import Breaker
from greenws.client.connect import Dialer
from greenws.errors import ConnectError, HandshakeError, OperationTimeout
from greenws.net.connection import Connection
from greenws.protocol.codes import CloseCode

log = logging.getLogger("greenws.client")

STABLE_AFTER = 10.0  # seconds that a connection lasts for the delays to begin anew

_breakers: WeakValueDictionary[object, Breaker] = WeakValueDictionary()


def reconnect(
    url: str, *, first_delay: float = FIRST_DELAY, max_delay: float = MAX_DELAY, **options: Any
) -> Iterator[Connection]:
    """Connects, and connects again whenever the connection has ended. Blocks the calling greenlet between connections.

    .. code-block:: python

        for conn in greenws.reconnect(url):
            for message in conn:
                handle(message)

    The inner loop ends with its connection, whatever ended that: ``conn.close_code`` says what. The outer loop ends
    when our side has closed with 1000, as ``conn.close()`` does, or by ``break``. At the end of its body a connection
    that is still open is closed; with ``on_message`` the loop waits until it has ended.

    The first attempt is made at once. A loss is followed by a random delay of at most ``first_delay``, each failure by
    as long again as has been waited so far, at least ``first_delay`` and at most ``max_delay``. That begins anew when a
    connection has lasted 10 seconds. Retry-After, 1012 and 1013 are honoured. After five failures in a row all who
    connect to this server make one attempt every two seconds between them.

    Args:
        url: as for ``connect``.
        first_delay, max_delay: seconds.
        options: as for ``connect``.

    Raises:
        ConfigError: as ``connect``, at once.
        HandshakeError: the server refuses for good, such as with 401, 403 or 404.
        ConnectError: the server's certificate is not trusted, or the proxy refuses us.
    """
    dialer = Dialer(url, **options)
    dialer.service.ends_quietly = True
    breaker = _breakers.setdefault(dialer.address.origin, Breaker())
    return iter(Reconnecting(dialer, Backoff(first_delay, max_delay), breaker))


class Reconnecting:
    """Makes one connection after the other.

    Args:
        dialer: makes each.
        backoff: how long to wait.
        breaker: shared by all who connect to the same server.
        clock, sleep: a monotonic clock, and what waits on it.
    """

    def __init__(
        self,
        dialer: Dialer,
        backoff: Backoff,
        breaker: Breaker,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = gevent.sleep,
    ) -> None:
        self._dialer = dialer
        self._backoff = backoff
        self._breaker = breaker
        self._clock = clock
        self._sleep = sleep

    def __iter__(self) -> Iterator[Connection]:
        """Yields connections. Each is closed when the next is asked for."""
        while True:
            conn = self._connect()
            since = self._clock()
            try:
                yield conn
                if conn.service.on_message is not None:
                    conn.wait_closed()
            finally:
                is_over = conn.ended_here and conn.close_code == CloseCode.NORMAL
                conn.close()  # does not block: a loop that is left by break ends here, too
            with conn:
                pass  # until its descriptor is released
            if is_over:
                return
            if self._clock() - since >= STABLE_AFTER:
                self._backoff.reset()
            self._wait(self._backoff.delay_after_close(conn.close_code or CloseCode.ABNORMAL), conn)

    def _connect(self) -> Connection:
        while True:
            if not self._breaker.may_try(self._clock()):
                self._wait(self._backoff.delay_after_failure(), "others found it down")
                continue
            try:
                conn = self._dialer.connect()
            except (HandshakeError, ConnectError, OperationTimeout) as error:
                delay, why = self._delay_after(error), str(error)
            except BaseException:
                self._breaker.gave_up()
                raise
            else:
                self._breaker.succeeded()
                return conn
            self._wait(delay, why)

    def _delay_after(self, error: HandshakeError | ConnectError | OperationTimeout) -> float:
        """For the except clause: how long to wait, if it is worth while."""
        if not is_temporary(error):
            self._breaker.succeeded()  # it is there, and this is its last word
            raise error
        self._breaker.failed(self._clock())
        headers = error.headers if isinstance(error, HandshakeError) else ()
        return self._backoff.delay_after_refusal(headers, datetime.datetime.now(datetime.UTC))

    def _wait(self, delay: float, why: object) -> None:
        log.info("%s: %s; connecting again in %.1f s", self._dialer.address, why, delay)
        self._sleep(delay)
