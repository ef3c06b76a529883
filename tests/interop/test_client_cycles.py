"""Connections of our client that come and go, by the thousand: nothing of them stays."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import greenws
from greenws import HandshakeError
from tests.interop.serving import serve
from tests.interop.test_cycles import MAX_GROWTH, descriptors, resident

CYCLES = 3_000
WARM_UP = 1_500


@pytest.fixture
def server() -> Iterator[SimpleNamespace]:
    with serve("tests.interop.app:create_app", ping_interval=1000) as server:
        yield server


def cycle(server: SimpleNamespace, number: int) -> None:
    """Connects and ends: by the closing handshake, without one, or before there is a connection."""
    if number % 3 == 0:
        with pytest.raises(HandshakeError):
            greenws.connect(server.url("/nowhere"))
        return
    conn = greenws.connect(server.url("/event"), on_message=print if number % 2 else None)
    if number % 3 == 1:
        conn.abort()
    else:
        conn.close()
        assert conn.wait_closed(5)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_thousands_of_connections_leave_nothing(server: SimpleNamespace) -> None:
    for number in range(WARM_UP):
        cycle(server, number)
    gc.collect()
    before, open_before = resident(os.getpid()), descriptors(os.getpid())
    for number in range(CYCLES):
        cycle(server, number)
    gc.collect()
    grown = resident(os.getpid()) - before
    assert grown <= CYCLES * MAX_GROWTH, f"{grown / CYCLES:.0f} bytes a cycle"
    assert descriptors(os.getpid()) == open_before
