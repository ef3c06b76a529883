"""What waits for a slow reader: in the order of sending, and once for all who wait for the same."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import gevent
import pytest
from gevent import socket

from greenws.net.broadcast import broadcast
from tests.net.conftest import Peer

SMALL = 4096  # bytes of the kernel's buffers
MARK = 1 << 20
NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
SIZES = (0, 1, 60, 61, 62, 63, 200, 1000, 5000, 20000)


@pytest.mark.parametrize("seed", range(20))
def test_broadcasts_and_what_is_sent_to_one_leave_in_order(net, seed):
    random = Random(seed)
    server, peer = net.bare(net.service(high_water_mark=MARK), SMALL)
    sent, read = [], 0
    for _ in range(300):
        message = random.randbytes(random.choice(SIZES) if random.random() < 0.99 else 100_000)
        if random.random() < 0.5:
            assert broadcast([server], message, "drop") == 1
        else:
            server.send(message)
        sent.append((2, message))
        if random.random() < 0.2:
            for expected in sent[read : read + random.randrange(20)]:
                assert peer.frame() == expected
                read += 1
    for expected in sent[read:]:
        assert peer.frame() == expected


def test_a_handler_may_broadcast_between_its_answers(net):
    def on_message(conn, message):
        conn.send(message)
        assert broadcast([conn], message * 50) == 1
        conn.send(message * 2)

    server, peer = net.bare(net.service(on_message, high_water_mark=MARK), SMALL)
    numbers = [number.to_bytes(2, "big") for number in range(1000)]
    sender = gevent.spawn(lambda: [peer.send(2, number) for number in numbers])
    gevent.sleep(0.05)  # much of it waits by now
    for number in numbers:
        assert [peer.frame() for _ in range(3)] == [(2, number), (2, number * 50), (2, number * 2)]
    sender.get(timeout=5)
    assert net.recorder.errors == []
    server.close()


@pytest.mark.parametrize("size", [100, 1000, 4000])
def test_all_that_waits_leaves_when_a_slow_reader_reads_at_last(net, size):
    """By TCP, where room is reported once to who has been refused, and not at all to who has not."""
    listener = socket.create_server(("127.0.0.1", 0))
    with socket.create_connection(listener.getsockname(), timeout=5) as sock:
        accepted, _ = listener.accept()
        listener.close()
        accepted.setblocking(False)
        server, peer = net.attach(accepted, net.service(high_water_mark=MARK)), Peer(sock)
        sent = 0
        while broadcast([server], sent.to_bytes(4, "big") * (size // 4), "drop"):
            sent += 1
        for number in range(sent):
            assert peer.frame() == (2, number.to_bytes(4, "big") * (size // 4))


@NEEDS_PROC
def test_who_never_reads_all_at_once_costs_no_more_for_it(net):
    """There is always something left, so nothing is ever begun anew."""
    server, peer = net.bare(net.service(high_water_mark=MARK), SMALL)
    message = b"m" * 10_000
    assert broadcast([server], message) == 1
    for _ in range(8):
        server.send(message)
    before = resident()
    for _ in range(4000):
        server.send(message)
        assert peer.frame() == (2, message)
    assert resident() - before < 16 * MARK


@NEEDS_PROC
@pytest.mark.parametrize("size", [100, 16384])
def test_a_broadcast_waits_once_for_all_who_are_slow(net, size):
    service = net.service(high_water_mark=MARK)
    servers = [net.bare(service, SMALL)[0] for _ in range(100)]
    before = resident()
    for number in range(MARK // (size + 4)):
        assert broadcast(servers, number.to_bytes(4, "big") * (size // 4), "drop") == len(servers)
    assert resident() - before < 16 * MARK  # a copy for each would be a hundred


def resident() -> int:
    """The bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
