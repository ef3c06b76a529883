"""A gevent WSGI server that upgrades: gevent.pywsgi behind a strict parser, connections parked between requests.

The path of a connection: ``Acceptor`` → ``Arrival`` (parked until its request head is complete) → an upgrade runs the
application and hands the descriptor to a ``Connection``; a plain request gets a greenlet and gevent's handler, and goes
back to an ``Arrival`` when it is kept alive. After an upgrade nothing reads HTTP from a connection ever again.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from io import BufferedReader
from typing import Any

import gevent
from gevent import pywsgi, socket

from greenws.config import Config, SocketOptions
from greenws.errors import RequestError
from greenws.net.options import check
from greenws.net.pool import get_upgrade_pool
from greenws.net.registry import STEP, Registry
from greenws.net.transport import TLS
from greenws.protocol.codes import CloseCode
from greenws.protocol.grammar import has_token
from greenws.protocol.handshake import wants_websocket
from greenws.protocol.http import HeadLimits, RequestHead, error_response
from greenws.protocol.known_heads import RequestReader
from greenws.server.arrival import Arrival
from greenws.server.body import Source, TLSSocket
from greenws.server.environ import make_environ
from greenws.server.listener import DEFAULT_OPTIONS, Acceptor, is_own_queue, listen
from greenws.server.readiness import Readiness
from greenws.server.straight import open_straight
from greenws.server.tls import make_context, rehearse
from greenws.server.upgrade import Upgrade

MAX_WAITING = 1000  # requests that wait for a place in the pool
LAST_REQUEST = 1.0  # seconds in which who has just connected may still ask when the server stops
KEEP_ALIVE = 65.0  # seconds a kept-alive connection may wait for its next request: a parked one costs next to nothing


class WSGIHandler(pywsgi.WSGIHandler):
    """gevent's handler for one request whose head has been read already."""

    head: RequestHead
    response_headers: list[tuple[bytes, bytes]]

    @classmethod
    def run_upgrade(
        cls, server: WSGIServer, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Runs the application for an upgrade request, for which no handler is made."""
        return server.application(environ, start_response)  # type: ignore[no-any-return]

    @classmethod
    def find_metrics(cls, server: WSGIServer) -> Any:
        """Returns what measures the server's application; None if nothing does. Asked when the server starts."""
        return _extensions_of(server.application).get("greenws.metrics")

    def handle_request(self, head: RequestHead) -> bool:
        """Runs the application and sends its response. Returns whether the connection can be used again."""
        self.head = head
        self.command, self.path, self.request_version = head.method, head.target, "HTTP/" + head.version
        self.requestline = f"{head.method} {head.target} HTTP/{head.version}"
        self.headers = dict(head.headers)
        self.content_length = head.content_length
        self.close_connection = not head.keep_alive
        self.environ = self.get_environ()
        self.application = self.server.application
        self.handle_one_response()
        return not self.close_connection

    def finalize_headers(self) -> None:
        """Says that the connection closes when it does.

        It does when the server stops, behind a refused upgrade, and where nothing else ends the body (RFC 9112 §6.3).
        """
        super().finalize_headers()
        if self.command == "HEAD":
            self.response_use_chunked = False  # there is no body, and so no last chunk of it (RFC 9110 §9.3.2)
        is_refused = self.code == 426 or (self.code >= 400 and wants_websocket(self.head.get))
        if is_refused or self.server.is_stopping or self._is_endless():
            self.close_connection = True
        if self.close_connection:
            given = [value for name, value in self.response_headers if name.lower() == b"connection"]
            options = [b"close", *(value for value in given if value.lower() not in (b"close", b"keep-alive"))]
            self.response_headers = [pair for pair in self.response_headers if pair[0].lower() != b"connection"]
            self.response_headers.append((b"Connection", b", ".join(options)))

    def _is_endless(self) -> bool:
        """Whether a client of HTTP/1.0, which knows no chunks, is sent a body of which the length is not known."""
        return (
            self.request_version == "HTTP/1.0"
            and self.command != "HEAD"
            and self.code not in (204, 304)
            and all(name.lower() != b"content-length" for name, _ in self.response_headers)
        )

    def get_environ(self) -> dict[str, Any]:
        """Makes the environ from the strict head."""
        environ = make_environ(self.server.get_environ(), self.head, self.client_address)
        waits = self.head.version != "1.0" and environ.get("HTTP_EXPECT", "").lower() == "100-continue"
        sock = self.socket if waits else None  # a client of HTTP/1.0 would take it for the answer (RFC 9110 §10.1.1)
        self.wsgi_input = pywsgi.Input(self.rfile, self.content_length, socket=sock, chunked_input=self.head.is_chunked)
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        return environ


_run_upgrade = WSGIHandler.run_upgrade.__func__  # type: ignore[attr-defined]


class WSGIServer(pywsgi.WSGIServer):
    """``gevent.pywsgi.WSGIServer`` that serves WebSockets beside HTTP. It takes the same arguments, and these.

    Args:
        config: limits and timeouts of request heads; by default those of the application's GreenWS extension.
        socket_options: of the listening socket, if it is opened here, and of the connections it accepts; by default the
            values of ``SocketOptions``. A ``backlog`` wins over theirs.

    Attributes:
        limits: how often each limit of request heads was hit, by its setting's name. It is the counter of the
            application's GreenWS extension, where there is one.
        refusals: how often a request head was refused, by the status of the answer. Likewise.
        is_silent: whether no access log is kept, so that its lines need not be made.

    Example:
        ``WSGIServer(("127.0.0.1", 8000), app).serve_forever()``
    """

    handler_class: type[WSGIHandler] = WSGIHandler
    warm_up_spread = 0.0  # seconds, for a server of several processes
    address: Any  # as the socket module has it: a tuple for TCP, a path for a Unix socket

    def __init__(
        self,
        listener: Any,
        application: Callable[..., Any] | None = None,
        backlog: int | None = None,
        *args: Any,
        config: Config | None = None,
        socket_options: SocketOptions | None = None,
        **kwargs: Any,
    ) -> None:
        state = state_of(application)
        self.config = config or (Config() if state is None else state.config)
        self.limits: Counter[str] = Counter() if state is None else state.registry.limits
        self.refusals: Counter[int] = Counter() if state is None else state.registry.refusals
        limits = HeadLimits(self.config.max_line_size, self.config.max_headers, self.config.max_head_size)
        self.heads = RequestReader(limits)
        self.socket_options = socket_options or DEFAULT_OPTIONS
        check(self.socket_options)
        self.arrivals: set[Arrival] = set()
        self.registries: set[Registry] = set()
        self.stop_timeout = self.config.drain_timeout
        self.upgrading = 0
        self.is_stopping = False
        self._acceptor: Acceptor | None = None
        self._straight: Any = state
        self._readiness: Readiness | None = None if state is None else state.readiness
        self._metrics: Any = None
        self._warming: gevent.Greenlet | None = None
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._tls_context = _tls_context(kwargs)
        self.is_silent = kwargs.get("log", "") is None
        if backlog is None and not hasattr(listener, "accept"):
            backlog = self.socket_options.backlog  # a listening socket has its own
        super().__init__(listener, application, backlog, *args, **kwargs)

    # ---- listening

    def init_socket(self) -> None:
        """Opens the listening socket, unless one was given."""
        if not hasattr(self, "socket"):
            self.socket = listen(self.address, dataclasses.replace(self.socket_options, backlog=self.backlog))
            self.address = self.socket.getsockname()
        self.update_environ()

    def start(self) -> None:
        """Opens the listening socket and accepts connections. Does not block."""
        self.is_stopping = False
        self._metrics = self.handler_class.find_metrics(self)
        if self._metrics is not None and self._readiness is None:  # it has no counters of an extension's
            self.limits, self.refusals = self._metrics.limits, self._metrics.refusals
        asks = getattr(self.handler_class.run_upgrade, "__func__", None) is not _run_upgrade
        if asks or not self.is_silent or self._metrics is not None:
            self._straight = None  # who stands before the application, the log or the metrics hear of all upgrades
        super().start()
        if self._metrics is not None:
            self._metrics.begin(self)

    def start_accepting(self) -> None:
        """Accepts connections, once the application is warm. A full pool does not stop that: it is for requests."""
        if self._readiness is not None and not self._readiness.is_warm:
            if self._warming is None:
                self._warming = gevent.spawn(self._warm_up, self._readiness)
        elif self._acceptor is None:
            self._acceptor = Acceptor(self.socket, self.on_connect, self.max_accept)

    def stop_accepting(self) -> None:
        """Accepts no more."""
        if self._warming is not None:
            self._warming.kill(block=False)
            self._warming = None
        if self._acceptor is not None:
            self._acceptor.stop()
            self._acceptor = None

    def _warm_up(self, readiness: Readiness) -> None:
        if self._tls_context is not None:
            rehearse(self._tls_context)
        readiness.warm_up(self.warm_up_spread)
        self._warming = None
        self.start_accepting()

    # ---- a connection's path

    def on_connect(self, fd: int, address: Any) -> None:
        """Takes a connected, non-blocking descriptor. ``address`` is the peer's."""
        try:
            tls = TLS(self._tls_context) if self._tls_context is not None else None
        except BaseException:
            os.close(fd)
            raise
        Arrival(self, fd, address, tls)

    def on_request(self, fd: int, head: RequestHead, rest: bytes, address: Any, tls: TLS | None) -> None:
        """A whole request head has come, with ``rest`` behind it. The descriptor is ours again."""
        # The first does not count without the second.
        if head.asked or (wants_websocket(head.get) and has_token(head.get("Connection"), "upgrade")):
            service = None
            if self._straight is not None:
                try:
                    service = self._straight.find_straight(self.application, head, self.environ)
                except Exception:
                    service = None  # the way through the application says why, and the descriptor has an owner there
            if service is None or not open_straight(self, service, fd, head, rest, address, tls):
                get_upgrade_pool().enqueue(Upgrade(self, fd, head, rest, address, tls))
        elif len(self._waiting) >= MAX_WAITING:
            refusal = RequestError(503, "the server is busy", [("Retry-After", "5")])
            self.count(refusal)
            self.log_refusal(address, refusal)
            self.answer_and_close(fd, error_response(refusal), address, tls)
        else:
            self._waiting.append((fd, head, rest, address, tls))
            self._serve_waiting()

    def _serve_waiting(self, _: Any = None) -> None:
        """Serves requests as far as the pool, if there is one, has room for them."""
        while self._waiting and not self.full():
            greenlet = self._spawn(self._serve, *self._waiting.popleft())
            if self.pool is not None:
                greenlet.rawlink(self._serve_waiting)

    def answer_and_close(self, fd: int, answer: bytes, address: Any, tls: TLS | None) -> None:
        """Sends a whole response, or what is left of it, and closes the connection, without a greenlet."""
        Arrival(self, fd, address, tls, answer=answer)

    def _serve(self, fd: int, head: RequestHead, rest: bytes, address: Any, tls: TLS | None) -> None:
        """Serves a plain request in a greenlet of its own."""
        plain = socket.socket(fileno=fd)
        try:
            sock = plain if tls is None else TLSSocket(plain, tls)
            source = Source(sock, rest)
            reader = BufferedReader(source)
            handler = self.handler_class(sock, address, self, reader)
            if handler.handle_request(head) and not self.is_stopping:
                source.is_stopped = True
                rest = reader.read() if tls is None else reader.read() + sock.take_rest()
                Arrival(self, plain.detach(), address, tls, rest, KEEP_ALIVE)
            elif self.started:
                self.answer_and_close(plain.detach(), b"", address, tls)
        finally:
            plain.close()

    # ---- the end

    def stop_listening(self, code: int = CloseCode.GOING_AWAY) -> None:
        """Takes no more connections. Those that have connected already are answered. Does not block.

        Args:
            code: what a WebSocket is told whose upgrade is under way (RFC 6455 §7.4.1).
        """
        self.is_stopping = True
        for registry in self.registries:
            registry.take_no_more(code)
        if self._acceptor is not None and is_own_queue(self.socket):
            self._acceptor.accept_all(max(self.backlog, self.socket_options.backlog))
        self.stop_accepting()
        if hasattr(self, "socket"):
            self.socket.close()
        for arrival in tuple(self.arrivals):
            arrival.leave()

    def stop(self, timeout: float | None = None) -> None:
        """Stops in good order: a Close to every WebSocket, and the rest of the time for requests that run. Blocks.

        Args:
            timeout: seconds for all of it; ``drain_timeout`` when None.
        """
        timeout = self.stop_timeout if timeout is None else timeout
        until = time.monotonic() + timeout
        if not self.is_stopping:
            self.stop_listening()
        most = min(timeout, self.config.drain_timeout)
        drained = time.monotonic() + most
        begun = [gevent.spawn(registry.drain, most, registry.close_code) for registry in self.registries]
        self._await_heads(min(until, time.monotonic() + LAST_REQUEST))
        while self.upgrading and time.monotonic() < until:
            gevent.sleep(STEP)
        gevent.joinall(begun)
        for registry in tuple(self.registries):
            registry.drain(max(0.0, drained - time.monotonic()), registry.close_code)  # those that came meanwhile
            registry.take_again()  # the application may be served again, by another server
        super().stop(max(0.0, until - time.monotonic()))
        if self._metrics is not None:
            self._metrics.end(self)

    def _await_heads(self, until: float) -> None:
        """Lets those who have just connected say what they want, and drops who does not."""
        while (self.arrivals or self._waiting) and time.monotonic() < until:
            gevent.sleep(STEP)
        for arrival in tuple(self.arrivals):
            arrival.close()
        for request in self._waiting:
            os.close(request[0])
        self._waiting.clear()

    # ---- counts and logs

    def count(self, error: RequestError) -> None:
        """Counts a request head that is refused, and the limit that led to it, if it was one."""
        self.refusals[error.status] += 1
        if error.limit is not None:
            self.limits[error.limit] += 1

    def log_upgrade(
        self, head: RequestHead, environ: dict[str, Any], address: Any, upgrade: Upgrade, begin: float
    ) -> None:
        """Writes the access log's line of an upgrade request."""
        if self.is_silent:
            return
        line = f"{head.method} {head.target} HTTP/{head.version}"
        self._log_line(address, f'"{line}" {upgrade.status[:3]} - {time.time() - begin:.6f}')

    def log_refusal(self, address: Any, error: RequestError) -> None:
        """Writes the access log's line of a request that was not taken. Nothing of the peer's bytes is in it."""
        self._log_line(address, f'"-" {error.status} - {error.message}')

    def _log_line(self, address: Any, text: str) -> None:
        host = address[0] if isinstance(address, tuple) else "-"
        now = datetime.datetime.now().replace(microsecond=0)
        self.log.write(f"{host} - - [{now}] {text}\n")


def state_of(application: Any) -> Any:
    """What an application's GreenWS extension knows of it, if it can be asked."""
    return _extensions_of(application).get("greenws")


def _extensions_of(application: Any) -> dict[str, Any]:
    """What extensions have left with an application, as Flask has it, and our middlewares."""
    return getattr(application, "extensions", {})


def _tls_context(options: dict[str, Any]) -> ssl.SSLContext | None:
    context: ssl.SSLContext | None = options.get("ssl_context")
    if context is None and options.get("certfile"):
        return make_context(options["certfile"], options.get("keyfile"))
    return context
