"""Floods against a server in a process of its own, and what they cost it. ``make floods`` prints the figures.

Memory is what the server's process has for itself (anonymous pages, from smaps_rollup), at the most while a flood goes
on, less what it had before. Some peers flood it a little first and stay, so that nothing free is left of what a process
makes once, and of what others have used: the last one's memory is its own.
"""

from __future__ import annotations

import random
import re
import resource
import selectors
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median_high as median
from statistics import quantiles
from types import SimpleNamespace

from tests.frame_cases import ALL, LIMIT
from tests.hostile.deflated import OFFER, RSV1, TAIL, bomb
from tests.hostile.heads import broken, refused
from tests.hostile.peer import ask, read_answer
from tests.interop.serving import serve
from tests.wire import BEGIN_BINARY, BINARY, MORE, PING, TEXT, frame, one_by_one

APP = "tests.interop.app:create_app"
KIBIBYTE, MEBIBYTE = 1 << 10, 1 << 20
WITHOUT_LIMIT = 10**9
COUNT = 500_000  # pings, or fragments
HALVES = 5_000  # handshakes
LOOKS = 20  # at the memory, during one flood
BEFORE = 4  # peers
TIMEOUT = 20.0  # seconds for whatever is waited for


@dataclass(frozen=True)
class Cost:
    """What a flood cost.

    Attributes:
        memory: bytes, at the most.
        seconds: from its beginning to its end.
        cpu: seconds of the server's.
    """

    memory: int
    seconds: float
    cpu: float


class Server:
    """The process of a server, looked at from outside."""

    def __init__(self, made: SimpleNamespace) -> None:
        self.port: int = made.port
        self._folder = Path("/proc", str(made.pid))

    def memory(self) -> int:
        """Its anonymous pages in bytes. They are counted when it is asked for: /proc/pid/statm may be some behind.

        Pages of files do not count: they become private when another process that had them too goes away.
        """
        rollup = (self._folder / "smaps_rollup").read_text()
        return int(rollup.partition("\nAnonymous:")[2].split()[0]) * KIBIBYTE

    def begin_peak(self) -> int:
        """Returns what it has now, and lets ``peak`` begin anew from there."""
        (self._folder / "clear_refs").write_text("5")
        return self.peak()

    def peak(self) -> int:
        """The most resident bytes at any moment."""
        status = (self._folder / "status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * KIBIBYTE

    def cpu(self) -> float:
        """Its seconds of CPU time."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def upgrade(self, path: str, *lines: bytes) -> socket.socket:
        sock = self.connect()
        sock.sendall(ask(path, *lines))
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(4096)
        assert read_answer(data).status == 101
        return sock


@contextmanager
def a_server(**settings: object) -> Iterator[Server]:
    with serve(APP, ping_interval=1000, **settings) as made:
        yield Server(made)


class Echo:
    """An honest client."""

    def __init__(self, server: Server) -> None:
        self._socket = server.upgrade("/lean")

    def __call__(self) -> None:
        """When the answer is there, the server has seen what was sent before."""
        self._socket.sendall(frame(TEXT, b"hi"))
        assert self._socket.recv(4) == b"\x81\x02hi"

    def close(self) -> None:
        self._socket.close()


def flood(server: Server, pieces: list[bytes], path: str = "/event", *, is_synchronous: bool = False) -> Cost:
    """Sends the pieces and never reads.

    Args:
        server: who gets them.
        pieces: whole or not.
        path: of the route.
        is_synchronous: the server reads each piece before the next is sent.
    """
    looks = max(1, len(pieces) // LOOKS)
    with ExitStack() as stack:
        echo = stack.enter_context(closing(Echo(server)))
        for _ in range(BEFORE):
            with suppress(ConnectionError):
                stack.enter_context(server.upgrade(path)).sendall(b"".join(pieces)[: 8 * MEBIBYTE])
            echo()
        sock = stack.enter_context(server.upgrade(path))
        echo()
        most, before, cpu, begin = 0, server.memory(), server.cpu(), time.perf_counter()
        for number, piece in enumerate(pieces, 1):
            with suppress(ConnectionError):  # the server may have had enough of it
                sock.sendall(piece)
            if is_synchronous:
                echo()
            if number % looks == 0 or number == len(pieces):
                echo()
                most = max(most, server.memory() - before)
        return Cost(most, time.perf_counter() - begin, server.cpu() - cpu)


def cut(wire: bytes) -> list[bytes]:
    return [wire[i : i + 32768] for i in range(0, len(wire), 32768)]


def pings(size: int) -> Cost:
    """Pings of a peer that never reads a pong, on a server that does not count them."""
    with a_server(max_control_rate=WITHOUT_LIMIT) as server:
        return flood(server, cut(frame(PING, bytes(size)) * COUNT))


def fragments(**settings: int) -> Cost:
    """A message in one-byte fragments without an end."""
    with a_server(**settings) as server:
        return flood(server, cut(frame(BEGIN_BINARY, b"a") + frame(MORE, b"a") * (COUNT - 1)))


def trickle(size: int = 32 * KIBIBYTE) -> Cost:
    """One frame, a byte at a time and but for its last one."""
    with a_server() as server:
        return flood(server, one_by_one(frame(BINARY, bytes(size))[:-1]), is_synchronous=True)


def bombs() -> Cost:
    """900 KB that would become 0.9 GiB. Here memory is the most that was resident at any moment."""
    wire = frame(BINARY | RSV1, bomb(900 * MEBIBYTE))
    costs = []
    with a_server() as server:
        for _ in range(3):
            with server.upgrade("/compressed", OFFER) as sock:
                before, cpu, begin = server.begin_peak(), server.cpu(), time.perf_counter()
                sock.sendall(wire)
                assert sock.recv(4)[2:4] == (1009).to_bytes(2, "big")
                costs.append(Cost(server.peak() - before, time.perf_counter() - begin, server.cpu() - cpu))
    return costs[-1]


def contexts(path: str, messages: int = 5, count: int = 200) -> float:
    """Bytes of each connection that has agreed on compression and has had compressed messages."""
    words = random.Random(1)
    with a_server() as server, ExitStack() as stack:
        before = 0
        for number in range(count + 10):
            if number == 10:
                before = server.memory()
            sock = stack.enter_context(server.upgrade(path, OFFER))
            stream = zlib.compressobj(1, zlib.DEFLATED, -15)
            for _ in range(messages):
                text = " ".join(str(words.randrange(10**6)) for _ in range(250)).encode()
                deflated = stream.compress(text) + stream.flush(zlib.Z_FULL_FLUSH)
                sock.sendall(frame(TEXT | RSV1, deflated[: -len(TAIL)]))
                assert sock.recv(65536)[0] == TEXT | RSV1
        return (server.memory() - before) / count


@dataclass(frozen=True)
class Halves:
    """What half-sent handshakes cost, and who does it right meanwhile.

    Attributes:
        memory: bytes for each.
        statuses: of the answers.
        late: seconds from the connection to its answer, the least and the most.
        honest: seconds that each of the honest handshakes took.
    """

    memory: float
    statuses: set[bytes]
    late: tuple[float, float]
    honest: list[float]

    @property
    def p99(self) -> float:
        return quantiles(self.honest, n=100)[-1]


def halves(timeout: float = 5.0) -> Halves:
    """Handshakes that stop in the middle, all at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    try:
        with a_server(handshake_timeout=timeout) as server:
            return _halves(server)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _halves(server: Server) -> Halves:
    half = ask("/event", b"Cookie: " + b"a" * 200)[:-20]
    _honest_handshake(server)
    before, honest, late = server.memory(), [], []
    statuses: set[bytes] = set()
    begins = {}
    with selectors.DefaultSelector() as selector:
        for number in range(HALVES):
            sock = server.connect()
            begins[sock] = time.perf_counter()
            sock.sendall(half)
            selector.register(sock, selectors.EVENT_READ)
            if number % 100 == 0:
                honest.append(_honest_handshake(server))
        memory = server.memory() - before
        until = time.perf_counter() + TIMEOUT
        while begins:
            assert time.perf_counter() < until, f"{len(begins)} have no answer"
            for key, _ in selector.select(0.005):
                selector.unregister(key.fileobj)
                sock: socket.socket = key.fileobj  # type: ignore[assignment]
                statuses.add(sock.recv(12))
                late.append(time.perf_counter() - begins.pop(sock))
                sock.close()
            honest.append(_honest_handshake(server))
    return Halves(memory / HALVES, statuses, (min(late), max(late)), honest)


def _honest_handshake(server: Server) -> float:
    begin = time.perf_counter()
    with server.upgrade("/lean"):
        return time.perf_counter() - begin


def answers() -> list[tuple[float, str]]:
    """How long each broken head and broken frame of the tables waits for its answer, in seconds; the longest first."""
    heads = [*broken("/event", upgrade=True), *refused("/event")]
    with a_server(max_message_size=LIMIT) as server:
        found = [(_wait(server.connect(), head.wire, rb"HTTP/1\.1 "), head.name) for head in heads]
        for case in ALL:
            if case.is_bad:
                close = rb"\x88." + re.escape(case.events[-1][1].to_bytes(2, "big"))
                found.append((_wait(server.upgrade("/event"), case.wire, close), case.name))
    return sorted(found, reverse=True)


def _wait(sock: socket.socket, wire: bytes, answer: bytes) -> float:
    data, begin = b"", time.perf_counter()
    with sock:
        sock.sendall(wire)
        while not re.search(answer, data, re.DOTALL):
            more = sock.recv(65536)
            assert more, f"{data!r} and the end"
            data += more
        return time.perf_counter() - begin


def kib(size: float) -> str:
    return f"{size / KIBIBYTE:,.1f} KiB"


def main() -> None:
    rows: list[tuple[str, Callable[[], Cost], int, str]] = [
        ("500,000 empty pings, never reading", lambda: pings(0), 64 * KIBIBYTE, ""),
        ("500,000 pings of 125 bytes, never reading", lambda: pings(125), 64 * KIBIBYTE, ""),
        ("500,000 fragments of one byte", fragments, MEBIBYTE, ""),
        ("the same, without max_fragments", lambda: fragments(max_fragments=WITHOUT_LIMIT), 4 * COUNT, ""),
        ("a frame of 32 KiB, byte by byte", trickle, 64 * KIBIBYTE, ""),
        ("900 KB that inflate to 0.9 GiB", bombs, 5 * MEBIBYTE, ", in 50 ms"),
    ]
    for name, run, most, beside in rows:
        cost = run()
        took = f"{cost.seconds * 1000:,.0f} ms, {cost.cpu * 1000:,.0f} of them the server's"
        print(f"{name:45} {kib(cost.memory):>12} of {kib(most)}{beside}; {took}", flush=True)
    slowest = answers()
    print(
        f"{len(slowest)} broken heads and frames: answered after {1000 * median(slowest)[0]:.1f} ms, "
        f"at most {1000 * slowest[0][0]:.1f} ms of 50 ({slowest[0][1]})"
    )
    for path in ("/compressed", "/keeping"):
        print(f"{'a connection that compresses, at ' + path:45} {kib(contexts(path)):>12}", flush=True)
    found = halves()
    print(
        f"{'5,000 half-sent handshakes':45} {kib(found.memory):>12} of {kib(8 * KIBIBYTE)} each; "
        f"answered after {found.late[0]:.1f} to {found.late[1]:.1f} s\n"
        f"{len(found.honest)} honest handshakes meanwhile: "
        f"p99 {found.p99 * 1000:.1f} ms of 100, most {max(found.honest) * 1000:.1f} ms"
    )


if __name__ == "__main__":
    main()
