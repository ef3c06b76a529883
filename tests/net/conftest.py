"""Connections over a socket pair: a server's side and a client's, or one side and the bare socket of its peer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import socket

from greenws.config import Compression, Config
from greenws.net.connection import Connection
from greenws.net.registry import Registry
from greenws.net.sender import Service
from greenws.protocol.deflate import Agreement, make_deflate
from greenws.protocol.frames import encode_frame
from tests.leaks import no_leaks, pytest_runtest_makereport

__all__ = ["no_leaks", "pytest_runtest_makereport"]

COUNT = 40  # connections: more than wait for their turn while others are read
QUIET = Config(ping_interval=None)  # no pings: nothing happens that the test does not do


HOOKS = ("between", "around", "on_stream", "on_close", "on_error")


class Recorder:
    """Handlers of an event-style service that note what they are called with."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.closes: list[tuple[int, str]] = []
        self.errors: list[BaseException] = []
        self.closed = gevent.event.Event()

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        self.messages.append(message)

    def on_close(self, conn: Connection, code: int, reason: str) -> None:
        self.closes.append((code, reason))
        self.closed.set()

    def on_error(self, conn: Connection, error: BaseException) -> None:
        self.errors.append(error)


class Net:
    """Makes connections and releases them when the test ends."""

    def __init__(self) -> None:
        self.registry = Registry(1_000_000)
        self.recorder = Recorder()
        self.pool_size = 1000
        self._made: list[Connection] = []
        self._sockets: list[socket.socket] = []

    def service(
        self, on_message: Callable[..., Any] | None = None, *, is_server: bool = True, **options: Any
    ) -> Service:
        """A service whose ``options`` are settings, or hooks of a Service."""
        hooks = {name: options.pop(name) for name in HOOKS if name in options}
        if on_message is not None:
            hooks = {"on_close": self.recorder.on_close, "on_error": self.recorder.on_error, **hooks}
        config = QUIET.replace(**{"pool_size": self.pool_size, **options})
        return Service(config, self.registry, "test", is_server=is_server, on_message=on_message, **hooks)

    def attach(self, sock: socket.socket, service: Service, **options: Any) -> Connection:
        """A connection of the service on a socket, which it takes."""
        conn = Connection(service)
        conn.accept()
        self._made.append(conn)
        conn.attach(sock.detach(), **options)
        return conn

    def sockets(self, buffer: int | None = None) -> tuple[socket.socket, socket.socket]:
        """A socket pair; ``buffer`` bytes make the kernel's small."""
        pair = socket.socketpair()
        for sock in pair:
            self._sockets.append(sock)
            if buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        return pair

    def pair(
        self,
        server: Service | None = None,
        client: Service | None = None,
        buffer: int | None = None,
    ) -> tuple[Connection, Connection]:
        """A server's side and the client's side of one connection. Without a service it is blocking style."""
        ours, theirs = self.sockets(buffer)
        return (
            self.attach(ours, server or self.service()),
            self.attach(theirs, client or self.service(is_server=False, max_message_size=1 << 26)),
        )

    def agreed(
        self, agreement: Agreement | None, server: Service, client: Service, buffer: int | None = None
    ) -> list[Connection]:
        """Both sides of a connection, compressed if that is agreed on."""
        sides = []
        for sock, role in zip(self.sockets(buffer), (server, client), strict=True):
            deflate = None if agreement is None else make_deflate(agreement, Compression(), is_server=role.is_server)
            conn = Connection(role, deflate=deflate)
            conn.accept()
            self._made.append(conn)
            conn.attach(sock.detach())
            sides.append(conn)
        return sides

    def bare(self, server: Service | None = None, buffer: int | None = None) -> tuple[Connection, Peer]:
        """A server's side, and a peer that sends what the test wants."""
        ours, theirs = self.sockets(buffer)
        return self.attach(ours, server or self.service()), Peer(theirs)

    def end(self) -> None:
        """Releases everything, without a word to the peer."""
        for sock in self._sockets:
            sock.close()
        for conn in self._made:
            conn.close()
        for conn in self._made:
            assert conn.wait_closed(5), f"{conn} does not end though its peer is gone"
        self._made.clear()


class Peer:
    """A client without a WebSocket library: it may break every rule."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._data = b""

    def send(self, opcode: int, payload: bytes = b"", *, fin: bool = True, key: int | None = 0x37FA213D) -> None:
        self.socket.sendall(encode_frame(opcode, payload, fin=fin, key=key))

    def _read(self, size: int) -> bytes:
        while len(self._data) < size:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self._data += more
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def raw(self) -> tuple[int, bytes]:
        """The next frame: its first byte and payload. Raises EOFError at the end."""
        first, length = self._read(2)
        if length == 126:
            length = int.from_bytes(self._read(2), "big")
        elif length == 127:
            length = int.from_bytes(self._read(8), "big")
        return first, self._read(length)

    def frame(self) -> tuple[int, bytes]:
        """The next frame, which is a whole message: its opcode and payload. Raises EOFError at the end."""
        first, payload = self.raw()
        assert first & 0xF0 == 0x80, "a whole frame without reserved bits"
        return first & 0x0F, payload

    def fragments(self) -> tuple[bytes, bytes]:
        """What came of a message before a Close, and the Close's payload."""
        found = b""
        while (frame := self.raw())[0] < 0x80:
            found += frame[1]
        assert frame[0] == 0x88
        return found, frame[1]

    def frames(self) -> list[tuple[int, bytes]]:
        """All frames up to the end of the stream, which must end between two."""
        found = []
        while True:
            try:
                found.append(self.frame())
            except EOFError:
                assert self._data == b""
                return found

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def net() -> Iterator[Net]:
    made = Net()
    yield made
    made.end()


@pytest.fixture
def recorder(net: Net) -> Recorder:
    return net.recorder


@pytest.fixture
def views(net: Net) -> Iterator[Callable[..., gevent.Greenlet]]:
    """Starts blocking-style views, which have ended when the test has."""
    greenlets: list[gevent.Greenlet] = []

    def start(view: Callable[..., Any], *args: Any) -> gevent.Greenlet:
        greenlets.append(gevent.spawn(view, *args))
        gevent.idle()
        return greenlets[-1]

    yield start
    gevent.killall(greenlets)
    greenlets.clear()


def echo(conn: Connection) -> None:
    """A view."""
    for message in conn:
        conn.send(message)


@pytest.fixture
def echoes(net: Net, views: Callable[..., Any]) -> Callable[..., list[tuple[Connection, Peer]]]:
    """Makes connections that answer, and their peers. ``style`` is blocking, event, or mixed: one after the other."""

    def make(style: str, count: int = COUNT) -> list[tuple[Connection, Peer]]:
        pairs = []
        for number in range(count):
            is_event = style == "event" or (style == "mixed" and number % 2 == 1)
            conn, peer = net.bare(net.service(lambda conn, message: conn.send(message)) if is_event else None)
            if not is_event:
                views(echo, conn)
            pairs.append((conn, peer))
        gevent.idle()
        return pairs

    return make
