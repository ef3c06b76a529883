"""An upgrade request run through the WSGI application, without what only an HTTP response needs.

The application answers 101 by ``start_response`` and names the connection that is to have the descriptor. Any other
answer, its own or a middleware's, goes out as that HTTP response and closes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

import gevent

from greenws.errors import ConnectionClosed, RequestError, StateError
from greenws.net.connection import Connection
from greenws.net.transport import TLS
from greenws.protocol.http import RequestHead, error_response, response_head
from greenws.server.environ import make_environ

if TYPE_CHECKING:
    from greenws.server.wsgi import WSGIServer


class Upgrade:
    """The hand-over of one request's connection. The application finds it in the environ.

    Attributes:
        connection: set by the application: who gets the descriptor when the 101 has left.
        status, headers: what ``start_response`` was last called with.
    """

    __slots__ = ("_address", "_early", "_fd", "_server", "_tls", "connection", "headers", "status")

    def __init__(self, server: WSGIServer, fd: int, early: bytes, address: Any, tls: TLS | None) -> None:
        self._server = server
        self._fd = fd
        self._early = early
        self._address = address
        self._tls = tls
        self.connection: Connection | None = None
        self.status = ""
        self.headers: list[tuple[str, str]] = []

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
        head = response_head(101, "Switching Protocols", self.headers)
        fd, self._fd = self._fd, -1
        registry = self.connection.service.registry
        self._server.registries.add(registry)
        if registry.is_draining or self._server.is_stopping:
            self.connection.close(1001)
        self.connection.attach(fd, head, self._early, self._tls)

    def refuse(self, body: bytes) -> None:
        """Sends the answer as plain HTTP and closes. Does not block: a slow peer is waited for without a greenlet."""
        if self.connection is not None:
            self.connection.abandon()
        headers = [
            (name, value) for name, value in self.headers if name.lower() not in ("connection", "content-length")
        ]
        options = [value for name, value in self.headers if name.lower() == "connection" and value.lower() != "close"]
        headers += [("Content-Length", str(len(body))), ("Connection", ", ".join(["close", *options]))]
        code, _, reason = self.status.partition(" ")
        try:
            answer = response_head(int(code or 0), reason, headers) + body
        except ValueError as error:  # no status, or a header that would begin another
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


def run_upgrade(server: WSGIServer, fd: int, head: RequestHead, rest: bytes, address: Any, tls: TLS | None) -> None:
    """Asks the application about an upgrade and does what it says. Owns the descriptor; has a greenlet of its own."""
    begin = time.time()
    upgrade = Upgrade(server, fd, rest, address, tls)
    try:
        environ = make_environ(server.get_environ(), head, address)
        environ["wsgi.input"] = BytesIO()
        environ["wsgi.input_terminated"] = True
        environ["greenws.upgrade"] = upgrade
        try:
            body = _collect(server.application(environ, upgrade.start_response))
            if upgrade.status.startswith("101") and not upgrade.is_done:
                upgrade.open()
        except ConnectionClosed:
            return  # it was closed while its upgrade was under way
        except (Exception, gevent.Timeout) as error:
            server.loop.handle_error(f"upgrade of {head.path!r}", type(error), error, error.__traceback__)
            upgrade.status, upgrade.headers = "500 Internal Server Error", [("Content-Type", "text/plain")]
            body = b"Internal Server Error\n"
        if not upgrade.is_done:
            upgrade.refuse(body)
        server.log_upgrade(head, environ, address, upgrade, begin)
    finally:
        upgrade.drop()


def _collect(result: Iterable[bytes]) -> bytes:
    try:
        return b"".join(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
