"""A hostile client: it sends any bytes in any pieces and reads until the server has closed."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.frame_cases import Event
from tests.hostile.site import Site
from tests.wire import CLOSE, TEXT, frame, one_by_one

UPGRADE = (
    b"Host: app.example",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
HI, BYE = frame(TEXT, b"hi"), frame(CLOSE, b"\x03\xe8")
BYE_ANSWER = ("close", 1000, "")
SLOWLY = 20  # echoes of the honest client, from one byte to the next


@dataclass
class Answer:
    """An HTTP response, and the bytes behind it."""

    version: str
    status: int
    headers: dict[str, str]
    rest: bytes


def read_answer(data: bytes) -> Answer:
    head, end, rest = data.partition(b"\r\n\r\n")
    assert end, f"not a whole head: {data!r}"
    line, *lines = head.decode("ascii").split("\r\n")
    version, status, _ = line.split(" ", 2)
    pairs = [text.split(": ", 1) for text in lines]
    headers = {name.lower(): value for name, value in pairs}
    assert len(headers) == len(pairs), "a header comes twice"
    return Answer(version, int(status), headers, rest)


def is_whole(data: bytes) -> bool:
    """Whether a response is there to its end."""
    if b"\r\n\r\n" not in data:
        return False
    answer = read_answer(data)
    return len(answer.rest) >= int(answer.headers.get("content-length", 0))


def read_frames(data: bytes) -> list[Event]:
    """A server's frames, whole ones and no other bytes, as tests/frame_cases.py writes them."""
    events: list[Event] = []
    while data:
        first, length = data[0], data[1]
        start = 2
        assert length < 128, "a server's frame is not masked"
        if length > 125:
            start = 4 if length == 126 else 10
            length = int.from_bytes(data[2:start], "big")
        payload, data = data[start : start + length], data[start + length :]
        assert len(payload) == length
        if first == 0x81:
            events.append(payload.decode())
        elif first == 0x82:
            events.append(payload)
        elif first == 0x88:
            assert not data, "bytes behind a Close"
            events.append(("close", int.from_bytes(payload[:2], "big") if payload else 1005, payload[2:].decode()))
        else:
            events.append(({0x89: "ping", 0x8A: "pong"}[first], payload))
    return events


class Peer:
    """One connection to a site."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.data = b""
        self.was_reset = False
        self.socket = socket.create_connection(("127.0.0.1", site.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def send(self, pieces: Iterable[bytes]) -> None:
        """Sends the pieces. The server reads each before the next is sent; the honest client echoes in between."""
        for piece in pieces:
            while piece:
                try:
                    piece = piece[self.socket.send(piece) :]
                except BlockingIOError:
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    self.was_reset = True
                    return
                self.site.honest.echo()

    def send_slowly(self, wire: bytes) -> None:
        """Sends single bytes, each long after the last, until the server says something or all are sent."""
        for byte in one_by_one(wire):
            self.send([byte])
            for _ in range(SLOWLY):
                self.site.honest.echo()
            if self.read() or self.data:
                break

    def read(self) -> bool:
        """Takes what has come. Returns whether the server has closed."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            self.was_reset = True
            return True
        self.data += data
        return not data

    def read_to_end(self) -> bytes:
        """What comes until the server closes."""
        self.site.wait_until(self.read)
        return self.data

    def upgrade(self, path: str, *lines: bytes) -> Answer:
        """Does a handshake that is right, with these headers besides."""
        self.send([ask(path, *lines)])
        self.site.wait_until(lambda: self.read() or b"\r\n\r\n" in self.data)
        answer = read_answer(self.data)
        assert answer.status == 101
        self.data = answer.rest
        return answer


def ask(path: str, *lines: bytes, line: bytes = b"", without: tuple[bytes, ...] = ()) -> bytes:
    """A handshake with other headers.

    Args:
        path: of the route.
        lines: headers to add.
        line: instead of the request line.
        without: names of headers to leave out.
    """
    kept = [text for text in UPGRADE if text.partition(b":")[0] not in without]
    return b"\r\n".join([line or b"GET %s HTTP/1.1" % path.encode(), *kept, *lines, b"", b""])


def read_refusal(peer: Peer) -> Answer:
    """One whole answer and the end, with nothing that was not read.

    Where a server that is not ours answers, the end is up to it: the connection may stay for another request.
    """
    if peer.site.stack != "ours":
        peer.site.wait_until(lambda: peer.read() or is_whole(peer.data))
        return read_answer(peer.data)
    answer = read_answer(peer.read_to_end())
    assert answer.version == "HTTP/1.1"
    assert len(answer.rest) == int(answer.headers["content-length"])
    assert "close" in answer.headers["connection"].lower().split(", ")
    assert not peer.was_reset
    return answer


@contextmanager
def attack(site: Site) -> Iterator[Peer]:
    """A peer of the site, of which nothing is left in the end."""
    site.wait_until(site.is_quiet)
    site.begin()
    peer = Peer(site)
    try:
        site.honest.echo()
        yield peer
        site.honest.echo()
    finally:
        peer.socket.close()
    site.check_nothing_is_left()
