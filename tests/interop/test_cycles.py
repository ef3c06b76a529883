"""Connections that come and go, by the ten thousand: nothing of them stays."""

import os
import socket
import struct
from pathlib import Path

import pytest

from tests.interop.serving import serve
from tests.wire import CLOSE, TEXT, frame

CYCLES = 10_000
WARM_UP = 2_000
MAX_GROWTH = 50  # bytes of memory a cycle; the smallest thing that could be left of one is several times as large
RST = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close resets

REQUEST = (
    b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def resident(pid: int) -> int:
    """Returns the memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def cycle(port: int, path: bytes, reset: bool) -> None:
    """Connects, has a message echoed, and ends: by the closing handshake, or by a reset."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(REQUEST % path + frame(TEXT, b"hello"))
        answer = b""
        while b"\x81\x05hello" not in answer:
            more = sock.recv(4096)
            assert more, answer
            answer += more
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        else:
            sock.sendall(frame(CLOSE, b"\x03\xe8"))
            assert sock.recv(4096) == b"\x88\x02\x03\xe8"
            assert sock.recv(4096) == b""


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("path", [b"/event", b"/blocking"])
def test_ten_thousand_connections_leave_nothing(path: bytes) -> None:
    with serve("tests.interop.app:create_app", ping_interval=1000) as server:
        for number in range(WARM_UP):
            cycle(server.port, path, reset=number % 2 == 1)
        before, open_before = resident(server.pid), descriptors(server.pid)
        for number in range(CYCLES):
            cycle(server.port, path, reset=number % 2 == 1)
        grown = resident(server.pid) - before
        assert grown <= CYCLES * MAX_GROWTH, f"{grown / CYCLES:.0f} bytes a cycle"
        assert descriptors(server.pid) <= open_before + 1  # the last reset may not have been seen yet
        assert server.log() == ""
