"""Servers for the load: one that echoes, and ones that are wrong in a way that must be noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest
from flask import Flask, abort
from gevent import socket
from gevent.server import StreamServer

from benchmarks.peers.greenws_app import Echo, FanOut
from greenws import Connection, Endpoint, GreenWS
from greenws.protocol.handshake import accept_key
from greenws.server import WSGIServer
from tests.leaks import no_leaks, pytest_runtest_makereport

__all__ = ["no_leaks", "pytest_runtest_makereport"]


class Wrong(Endpoint):
    """Sends back something else of the same size."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        conn.send("z" * len(message))


class Longer(Endpoint):
    """Sends back more than it got."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        assert isinstance(message, str)
        conn.send(message + "!")


class Deserter(Endpoint):
    """Closes at the first message."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        conn.close()


class Silent(Endpoint):
    """Answers nothing."""


class Refusal(Endpoint):
    """Lets nobody in."""

    def on_open(self, conn: Connection) -> None:
        abort(403)


class Chatty(Endpoint):
    """Talks without being asked."""

    def on_open(self, conn: Connection) -> None:
        conn.spawn(self.talk, conn)

    def talk(self, conn: Connection) -> None:
        while True:
            conn.send("abcd")
            gevent.sleep(0.005)


@pytest.fixture
def deaf() -> Iterator[str]:
    """The URL of a server that accepts every upgrade and never says a word after it."""

    def accept(sock: socket.socket, address: object) -> None:
        head = sock.recv(4096).decode()
        key = next(line.partition(": ")[2] for line in head.splitlines() if line.startswith("Sec-WebSocket-Key"))
        sock.sendall(f"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode())
        while sock.recv(4096):
            pass

    server = StreamServer(("127.0.0.1", 0), accept)
    server.start()
    yield f"ws://127.0.0.1:{server.server_port}/"
    server.stop(timeout=1)


@pytest.fixture
def site() -> Iterator[Callable[[str], str]]:
    """A server; gives the URL of a path on it."""
    app = Flask(__name__)
    ws = GreenWS(app, ping_interval=1.0)
    for target in (Echo, FanOut, Wrong, Longer, Deserter, Silent, Refusal, Chatty):
        ws.route(f"/{target.__name__.lower()}")(target)
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    yield lambda path: f"ws://127.0.0.1:{server.address[1]}{path}"
    server.stop(timeout=1)
