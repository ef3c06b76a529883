"""Many clients in one process, on raw sockets, that count everything that happens to them."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections import Counter
from contextlib import suppress
from typing import Any

REQUEST = (
    b"GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
IN_FLIGHT = 500  # connections that a crowd opens at the same time
SHARE = 100  # connections that it begins before it looks at those that are under way
TEXT, CLOSE, PING = 1, 8, 9


def masked(opcode: int, payload: bytes = b"") -> bytes:
    """A client's frame with the masking key 0."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload


class Peer:
    """One client: its socket, what it has received, and how it ended."""

    __slots__ = ("begun", "data", "is_open", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.begun = time.monotonic()
        self.data = b""
        self.is_open = False


class Crowd:
    """Opens connections, answers pings and closes, and remembers.

    Attributes:
        ends: how many ended how: the status of a refusal, the code of a Close (1006 for none), or an errno.
        handshakes: how long each upgrade took, in seconds.
        closes, pings: when each Close and each ping came, monotonic instants.
        messages: data frames received.
    """

    def __init__(
        self, port: int, path: str = "/echo", sources: int = 1, receive_buffer: int = 0, host: str = "127.0.0.1"
    ) -> None:
        self.host = host
        self.port = port
        self.path = path.encode()
        self.sources = sources
        self.receive_buffer = receive_buffer
        self.peers: dict[int, Peer] = {}
        self.opening = 0
        self.begun = 0
        self.ends: Counter[str] = Counter()
        self.handshakes: list[float] = []
        self.closes: list[float] = []
        self.pings: list[float] = []
        self.messages = 0
        self._epoll = select.epoll()

    @property
    def open(self) -> int:
        """How many are connected."""
        return len(self.peers) - self.opening

    def connect(
        self, count: int, timeout: float = 60.0, *, at_once: bool = False, beside: Crowd | None = None
    ) -> Crowd:
        """Opens so many connections, and waits until each is open or has failed. Those ``beside`` go on meanwhile."""
        until = time.monotonic() + timeout
        while (count or self.opening) and time.monotonic() < until:
            while count and (at_once or self.opening < IN_FLIGHT):
                self._begin()
                count -= 1
                if count % SHARE == 0:
                    self.run(0)  # who is connected asks, and does not wait for the others
            self.run(0.01)
            if beside is not None:
                beside.run(0)
        return self

    def _begin(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        if self.receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        if self.sources > 1:
            sock.bind((f"127.0.0.{1 + self.begun % self.sources}", 0))
        self.begun += 1
        error = sock.connect_ex((self.host, self.port))
        if error not in (0, errno.EINPROGRESS):
            self.ends[errno.errorcode[error]] += 1
            sock.close()
            return
        self.peers[sock.fileno()] = Peer(sock)
        self.opening += 1
        self._epoll.register(sock, select.EPOLLIN | select.EPOLLOUT)

    def send(self, data: bytes) -> None:
        """Sends the same bytes on every connection."""
        for peer in self.peers.values():
            peer.sock.send(data)

    def run(self, seconds: float, stop: Any = None) -> None:
        """Handles what happens for so long, or until ``stop()`` says so."""
        until = time.monotonic() + seconds
        while True:
            for fd, events in self._epoll.poll(max(0.0, min(0.05, until - time.monotonic())), 1000):
                self._handle(self.peers[fd], events)
            if time.monotonic() >= until or stop and stop():
                return

    def _handle(self, peer: Peer, events: int) -> None:
        try:
            if events & select.EPOLLOUT:
                if error := peer.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(error, "")
                peer.sock.send(REQUEST % self.path)
                self._epoll.modify(peer.sock, select.EPOLLIN)
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                data = peer.sock.recv(262144)
                if not data:
                    self._end(peer, "1006" if peer.is_open else "EOF")
                    return
                peer.data += data
                self._read(peer)
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(peer, "1006" if peer.is_open else errno.errorcode.get(error.errno or 0, "?"))

    def _read(self, peer: Peer) -> None:
        if not peer.is_open:
            head, blank, rest = peer.data.partition(b"\r\n\r\n")
            if not blank:
                return
            if head[9:12] != b"101":
                self._end(peer, head[9:12].decode())
                return
            peer.is_open, peer.data = True, rest
            self.opening -= 1
            self.handshakes.append(time.monotonic() - peer.begun)
        while (frame := self._next_frame(peer)) is not None:
            opcode, payload = frame
            if opcode == CLOSE:
                self.closes.append(time.monotonic())
                with suppress(OSError):  # the server may have had our Close already, and be gone
                    peer.sock.send(masked(CLOSE, payload[:2]))
                self._end(peer, str(int.from_bytes(payload[:2], "big") or 1005))
                return
            if opcode == PING:
                self.pings.append(time.monotonic())
                peer.sock.send(masked(10, payload))
            else:
                self.messages += 1

    def _next_frame(self, peer: Peer) -> tuple[int, bytes] | None:
        data = peer.data
        if len(data) < 2:
            return None
        head, size = 2, data[1]
        if size >= 126:
            head = 4 if size == 126 else 10
            if len(data) < head:
                return None
            size = int.from_bytes(data[2:head], "big")
        if len(data) < head + size:
            return None
        peer.data = data[head + size :]
        return data[0] & 15, data[head : head + size]

    def _end(self, peer: Peer, how: str) -> None:
        self.ends[how] += 1
        self.opening -= not peer.is_open
        self._epoll.unregister(peer.sock)
        del self.peers[peer.sock.fileno()]
        peer.sock.close()

    def close(self) -> None:
        """Closes all that are left, without a word."""
        for peer in list(self.peers.values()):
            peer.sock.close()
        self.peers.clear()
        self.opening = 0
        self._epoll.close()
        self._epoll = select.epoll()


def percentile(values: list[float], share: float) -> float:
    """That value below which a share of all lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
