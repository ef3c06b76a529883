"""A server with a small application, what reached the application, and an honest client beside the hostile ones."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import Flask, abort
from gevent import socket as gevent_socket

from greenws import Connection, Endpoint, GreenWS
from greenws.config import Config
from greenws.net.reactor import get_reactor
from greenws.server import WSGIServer
from tests.frame_cases import LIMIT
from tests.wire import TEXT, frame

ALLOWED = "https://app.example"
DEADLINE = 1.0  # seconds for whatever a case waits for; a machine may be slow, a server that hangs is slower


class Lines(list[str]):
    """A log."""

    def write(self, text: str) -> None:
        if text:
            self.append(text)

    def flush(self) -> None:
        pass


TRACEBACKS = Lines()  # of the hub, which all servers have in common


class Site:
    """One server with one application, in this process.

    Args:
        server: settings of the server.
        options: settings of the application.

    Attributes:
        environs: of the requests that reached the application.
        opened: the paths of those connections that a handler got.
        messages: what the handlers got.
        closes: the codes with which they ended.
        log, errors: the access log; tracebacks, and what the application logged.
    """

    def __init__(self, server: Config | None = None, **options: Any) -> None:
        self.environs: list[dict[str, str]] = []
        self.opened: list[str] = []
        self.messages: list[str | bytes] = []
        self.closes: list[int | None] = []
        self.log, self.errors = Lines(), TRACEBACKS
        self.app = Flask("hostile")
        self.app.logger.addHandler(logging.StreamHandler(TRACEBACKS))
        self.ws = GreenWS(self.app, **options)
        self._add_routes()
        self.app.wsgi_app = self._recorded(self.app.wsgi_app)  # type: ignore[method-assign]
        self.server = WSGIServer(("127.0.0.1", 0), self.app, log=self.log, error_log=self.errors, config=server)
        self.server.start()
        self.port: int = self.server.address[1]
        self.honest = Honest(self.port)
        self.begin()

    @property
    def connections(self) -> list[Connection]:
        """Those that are connected, but for the honest one."""
        return [conn for conn in self.app.extensions["greenws"].connections if conn.path != "/honest"]

    def wait_until(self, question: Callable[[], Any]) -> None:
        """Lets the honest client echo until the answer is yes."""
        until = time.monotonic() + DEADLINE
        while not question():
            assert time.monotonic() < until, f"not within {DEADLINE} s"
            self.honest.echo()

    def begin(self) -> None:
        """Forgets what has been recorded, and notes what there is before a client comes."""
        self._quiet = self._count()
        for record in (self.environs, self.opened, self.messages, self.closes, self.log, self.errors):
            record.clear()

    def check_nothing_is_left(self) -> None:
        """Of the clients that have gone: no connection, descriptor, deadline, or traceback; and a log of plain text."""
        self.wait_until(lambda: not self.connections and not self.server.arrivals and self._count() == self._quiet)
        assert self.errors == []
        assert all(line.isascii() and line[:-1].isprintable() and line[-1] == "\n" for line in self.log), self.log

    def stop(self) -> None:
        self.honest.close()
        self.server.stop(DEADLINE)
        assert self.errors == []

    def _count(self) -> tuple[int, int, int]:
        reactor = get_reactor()
        return len(os.listdir("/dev/fd")), reactor.count, reactor.wheel.count

    def _recorded(self, application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        def record(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            self.environs.append({name: value for name, value in environ.items() if isinstance(value, str)})
            return application(environ, start_response)

        return record

    def _add_routes(self) -> None:
        site = self

        class Echo(Endpoint):
            def on_open(self, conn: Connection) -> None:
                site.opened.append(conn.path)

            def on_message(self, conn: Connection, message: str | bytes) -> None:
                site.messages.append(message)
                conn.send(message)

            def on_close(self, conn: Connection, code: int, reason: str) -> None:
                site.closes.append(code)

        def echo(conn: Connection) -> None:
            site.opened.append(conn.path)
            try:
                for message in conn:
                    site.messages.append(message)
                    conn.send(message)
            finally:
                site.closes.append(conn.close_code)

        route = self.ws.route
        small: dict[str, Any] = {"max_message_size": LIMIT}
        route("/event", endpoint="event", **small)(Echo)
        route("/lean", endpoint="lean", request_context=False, **small)(Echo)
        route("/view", endpoint="view", **small)(echo)
        route("/leanview", endpoint="leanview", request_context=False, **small)(echo)
        route("/honest", endpoint="honest", request_context=False)(Quiet)
        route("/list", endpoint="list", origins=[ALLOWED])(Echo)
        route("/leanlist", endpoint="leanlist", origins=[ALLOWED], request_context=False)(Echo)
        route("/chosen", endpoint="chosen", subprotocols=["mqtt", "chat"])(Echo)
        route("/refused", endpoint="refused")(Refusing)
        self.app.add_url_rule("/admin", "admin", lambda: "secret", methods=["GET", "POST"])


class Quiet(Endpoint):
    """Echoes and records nothing."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        conn.send(message)


class Refusing(Endpoint):
    """Wants nobody."""

    def on_open(self, conn: Connection) -> None:
        abort(403)


class Honest:
    """A client that does everything right. Its echo is also the clock of the tests: it lets the server run."""

    def __init__(self, port: int) -> None:
        self._count = 0
        self._socket = gevent_socket.create_connection(("127.0.0.1", port), DEADLINE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(
            b"GET /honest HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        self._reader = self._socket.makefile("rb")
        lines = list(iter(self._reader.readline, b"\r\n"))
        assert lines[0] == b"HTTP/1.1 101 Switching Protocols\r\n"

    def echo(self) -> None:
        """Sends a message and waits until it comes back."""
        self._count += 1
        message = b"honest %d" % self._count
        self._socket.sendall(frame(TEXT, message))
        assert self._reader.read(2 + len(message)) == bytes([TEXT, len(message)]) + message

    def close(self) -> None:
        self._reader.close()
        self._socket.close()


def serve(server: Config | None = None, **options: Any) -> Iterator[Site]:
    """For fixtures: a site while it is needed."""
    site = Site(server, ping_interval=None, **options)
    yield site
    site.stop()
