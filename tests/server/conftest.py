"""A running server, and raw clients that say exactly what the test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from flask import Flask, Response, abort, request
from gevent import socket

from greenws import Endpoint, GreenWS
from greenws.config import Config
from greenws.server import WSGIServer
from tests.leaks import no_leaks, pytest_runtest_makereport

__all__ = ["no_leaks", "pytest_runtest_makereport"]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def upgrade_request(path: str = "/echo", **headers: str) -> bytes:
    """An upgrade request as a browser sends it; ``headers`` replace or add."""
    lines = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1")


class Client:
    """One connection to a server."""

    def __init__(self, sock: Any) -> None:
        self.socket = sock
        self._data = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _more(self) -> bool:
        more = self.socket.recv(65536)
        self._data += more
        return bool(more)

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        while len(self._data) < size:
            assert self._more(), f"the server closed behind {self._data!r}"
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def head(self) -> tuple[int, dict[str, str]]:
        """The status and the headers of a response."""
        while b"\r\n\r\n" not in self._data:
            assert self._more(), f"the server closed behind {self._data!r}"
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        return int(first.split()[1]), {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }

    def response(self, *, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        """A whole response."""
        status, headers = self.head()
        if not has_body:
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := self._chunk_size():
                body += self.read(size)
                assert self.read(2) == b"\r\n"
            assert self.read(2) == b"\r\n"
            return status, headers, body
        if "content-length" in headers:
            return status, headers, self.read(int(headers["content-length"]))
        return status, headers, self.rest()

    def _chunk_size(self) -> int:
        while b"\r\n" not in self._data:
            assert self._more()
        line, _, self._data = self._data.partition(b"\r\n")
        return int(line, 16)

    def rest(self) -> bytes:
        """All up to the end of the stream."""
        while self._more():
            pass
        taken, self._data = self._data, b""
        return taken

    def close(self) -> None:
        self.socket.close()


class Site:
    """A server with a page or two and WebSocket routes."""

    def __init__(self) -> None:
        self.app = Flask("site")
        self.ws = GreenWS(self.app)
        self.server: WSGIServer | None = None
        self._clients: list[Client] = []
        self._add_routes()

    def _add_routes(self) -> None:
        app = self.app

        @app.route("/", methods=["GET", "HEAD"])
        def index() -> str:
            return "index"

        @app.post("/post")
        def post() -> bytes:
            return request.get_data()

        @app.post("/unread")
        def unread() -> str:
            return "not read"

        @app.get("/stream")
        def stream() -> Response:
            return Response(str(number) * 1000 for number in range(3))

        @app.get("/fail")
        def fail() -> None:
            abort(418)

        @self.ws.route("/echo")
        class Echo(Endpoint):
            def on_message(self, conn: Any, message: Any) -> None:
                conn.send(message)

        @self.ws.route("/view")
        def view(conn: Any) -> None:
            for message in conn:
                conn.send(message)

    def start(
        self, application: Callable[..., Any] | None = None, *, config: Config | None = None, **options: Any
    ) -> Site:
        """Starts the server, with a middleware perhaps in place of the application."""
        self.server = WSGIServer(
            ("127.0.0.1", 0), application or self.app, log=None, error_log=None, config=config, **options
        )
        self.server.start()
        return self

    def client(self, wrap: Callable[[Any], Any] | None = None) -> Client:
        """Connects."""
        assert self.server is not None
        sock = socket.create_connection(self.server.address)
        client = Client(sock if wrap is None else wrap(sock))
        self._clients.append(client)
        return client

    def ask(self, data: bytes, *, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        """The response to one request on a connection of its own."""
        client = self.client()
        client.send(data)
        return client.response(has_body=has_body)

    def end(self) -> None:
        for client in self._clients:
            client.close()
        gevent.idle()
        if self.server is not None:
            self.server.stop(1)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.end()
