"""Applications of other libraries on servers of several kinds, and clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import pywsgi

import greenws
from greenws import Connection
from greenws.compat.gevent_websocket import WebSocketHandler, WebSocketMiddleware, WebSocketServer
from greenws.server import WSGIServer
from tests.leaks import no_leaks, pytest_runtest_makereport

__all__ = ["no_leaks", "pytest_runtest_makereport"]

ADDRESS = ("127.0.0.1", 0)
QUIET: dict[str, Any] = {"log": None, "error_log": None}
TIMEOUT = 5.0

# How an application written for gevent-websocket gets its sockets.
WAYS: dict[str, Callable[[Any], Any]] = {
    "server": lambda app: WebSocketServer(ADDRESS, app, **QUIET),
    "handler": lambda app: WSGIServer(ADDRESS, app, handler_class=WebSocketHandler, **QUIET),
    "handler on gevent's server": lambda app: pywsgi.WSGIServer(ADDRESS, app, handler_class=WebSocketHandler, **QUIET),
    "middleware": lambda app: WSGIServer(ADDRESS, WebSocketMiddleware(app), **QUIET),
    "middleware on gevent's server": lambda app: pywsgi.WSGIServer(ADDRESS, WebSocketMiddleware(app), **QUIET),
}

Serve = Callable[..., "Site"]


class Site:
    """A server that runs."""

    def __init__(self, server: Any) -> None:
        self.server = server
        server.start()
        self._clients: list[Connection] = []

    def connect(self, path: str = "/", **options: Any) -> Connection:
        """Connects a client, which is closed at the end of the test."""
        conn = greenws.connect(f"ws://127.0.0.1:{self.server.address[1]}{path}", **options)
        self._clients.append(conn)
        return conn

    def get(self, path: str = "/") -> tuple[int, bytes]:
        """The answer to a plain request."""
        with gevent.socket.create_connection(self.server.address) as sock:
            sock.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
            data = b""
            while more := sock.recv(65536):
                data += more
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def end(self) -> None:
        while self._clients:
            client = self._clients.pop()
            client.close()
            assert client.wait_closed(TIMEOUT)
        gevent.idle()
        self.server.stop(1)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves an application: ``serve(app, way)``, or ``serve(server)``."""
    sites: list[Site] = []

    def serve(what: Any, way: str | None = None) -> Site:
        sites.append(Site(what if way is None else WAYS[way](what)))
        return sites[-1]

    yield serve
    while sites:
        sites.pop().end()


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> str:
    return request.param


def end_of(conn: Connection) -> tuple[int | None, str | None]:
    """How a connection ends."""
    assert conn.wait_closed(TIMEOUT)
    return conn.close_code, conn.close_reason
