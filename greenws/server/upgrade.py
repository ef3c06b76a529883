"""An upgrade request run through the WSGI application, without what only an HTTP response needs.

The application answers 101 by ``start_response`` and names the connection that is to have the descriptor. Any other
answer, its own or a middleware's, goes out as that HTTP response and closes. Ordinary Python; upgrade.pxd types it for
the compiler.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from email.utils import formatdate
from io import BytesIO
from typing import TYPE_CHECKING, Any

import gevent

from greenws.errors import ConnectionClosed, RequestError, StateError
from greenws.net.connection import Connection
from greenws.net.reactor import Job
from greenws.net.transport import TLS
from greenws.protocol.http import RequestHead, error_response, response_head
from greenws.server.environ import make_environ

if TYPE_CHECKING:
    from greenws.server.wsgi import WSGIServer

# Bounds of an answer that is no 101. It is held in memory, and its place among the upgrades with it.
MAX_BODY = 1 << 20  # bytes
MAX_TIME = 10.0  # seconds from its first bytes to its last
_FRAMING = frozenset(("content-length", "transfer-encoding"))  # ours to say, and never in a 101 (RFC 9110 §8.6)


class Upgrade(Job):
    """The hand-over of one request's connection. Runs the application, which finds it in the environ.

    Args:
        server: whose application and log.
        fd: the connection's descriptor, owned until it is handed over or closed.
        head: the request.
        early: bytes that came behind it.
        address: the peer's.
        tls: the encryption, or None.

    Attributes:
        head: the request.
        connection: set by the application: who gets the descriptor when the 101 has left.
        status, headers: what ``start_response`` was last called with.
    """

    def __init__(
        self, server: WSGIServer, fd: int, head: RequestHead, early: bytes, address: Any, tls: TLS | None
    ) -> None:
        self._server = server
        self._fd = fd
        self.head = head
        self._early = early
        self._address = address
        self._tls = tls
        self.connection: Connection | None = None
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        server.upgrading += 1  # a server that stops waits also for those that wait for their turn

    def run(self) -> None:
        """Asks the application about the upgrade and does what it says. In a greenlet of a pool, which may block."""
        Context().run(self._run)  # what the application sets there is gone for the greenlet's next upgrade

    def _run(self) -> None:
        begin = time.time()
        server = self._server
        try:
            environ = make_environ(server.get_environ(), self.head, self._address)
            environ["wsgi.input"] = BytesIO()
            environ["wsgi.input_terminated"] = True
            environ["greenws.upgrade"] = self
            try:
                result = server.handler_class.run_upgrade(server, environ, self.start_response)
                body = collect(result, is_bounded=not self.status.startswith("101"))
                if self.status.startswith("101") and not self.is_done:
                    self.open()
            except ConnectionClosed:
                return  # it was closed while its upgrade was under way
            except (Exception, gevent.Timeout) as error:
                server.loop.handle_error(f"upgrade of {self.head.path!r}", type(error), error, error.__traceback__)
                self.status, self.headers = "500 Internal Server Error", [("Content-Type", "text/plain")]
                body = b"Internal Server Error\n"
            if not self.is_done:
                self.refuse(body)
            server.log_upgrade(self.head, environ, self._address, self, begin)
            environ.pop("greenws.upgrade", None)  # a blocking view keeps its request as long as it runs, but not this
        finally:
            server.upgrading -= 1
            self.drop()

    @property
    def is_done(self) -> bool:
        """Whether the descriptor has been handed over or closed."""
        return self._fd < 0

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., None]:
        """WSGI's ``start_response``. The last call before the hand-over counts."""
        if self.is_done and exc_info is not None:
            raise exc_info[1].with_traceback(exc_info[2])
        self.status, self.headers = status, list(headers)
        return self._no_write

    def _no_write(self, data: bytes) -> None:
        raise StateError("the write callable is not there for upgrade requests; return the response's body")

    def open(self) -> None:
        """Sends the 101 and hands the descriptor over.

        Raises:
            StateError: the answer is not a 101 any more: something between the application and the server changed it.
        """
        if self.is_done or self.connection is None or not self.status.startswith("101"):
            raise StateError(f"the upgrade was answered with {self.status or 'nothing'!r}, not with 101")
        headers = [pair for pair in self.headers if pair[0].lower() not in _FRAMING]
        head = response_head(101, "Switching Protocols", headers)
        fd, self._fd = self._fd, -1
        registry = self.connection.service.registry
        self._server.registries.add(registry)
        if registry.is_draining or self._server.is_stopping:
            self.connection.close(registry.close_code)
        self.connection.attach(fd, head, self._early, self._tls)

    def refuse(self, body: bytes) -> None:
        """Sends the answer as plain HTTP and closes. Does not block: a slow peer is waited for without a greenlet."""
        if self.connection is not None:
            self.connection.abandon()
        given = [(name.lower(), name, value) for name, value in self.headers]
        headers = [(name, value) for lower, name, value in given if lower != "connection" and lower not in _FRAMING]
        options = [value for lower, _, value in given if lower == "connection" and value.lower() != "close"]
        headers.append(("Connection", ", ".join(["close", *options])))
        code, _, reason = self.status.partition(" ")
        if code in ("204", "304"):
            body = b""  # they have none, nor a length of it (RFC 9110 §8.6)
        else:
            headers.append(("Content-Length", str(len(body))))
        if "date" not in [lower for lower, _, _ in given]:
            headers.append(("Date", formatdate(usegmt=True)))  # RFC 9110 §6.6.1
        try:
            answer = response_head(int(code or 0), reason, headers) + body
        except (ValueError, OverflowError) as error:  # no status, or a header that would begin another
            self._server.loop.handle_error("answer to an upgrade request", type(error), error, error.__traceback__)
            answer = error_response(RequestError(500, "Internal Server Error"))
        fd, self._fd = self._fd, -1
        self._server.answer_and_close(fd, answer, self._address, self._tls)

    def drop(self) -> None:
        """Closes what has not been handed over."""
        if self.connection is not None:
            self.connection.abandon()
        if not self.is_done:
            os.close(self._fd)
            self._fd = -1


def _bounded(result: Iterable[bytes]) -> Iterator[bytes]:
    """Passes a body on, up to what is too much."""
    size, until = 0, 0.0
    for chunk in result:
        now = time.monotonic()
        until = until or now + MAX_TIME
        size += len(chunk)
        if size > MAX_BODY or now > until:
            raise StateError("the answer to an upgrade request goes on and on")
        yield chunk


def collect(result: Iterable[bytes], is_bounded: bool = False) -> bytes:
    """Returns the whole body of a WSGI application's answer, and lets the application know that it was read."""
    try:
        return b"".join(_bounded(result) if is_bounded else result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
