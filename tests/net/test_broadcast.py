"""One message to many: encoded once, never waiting, and what becomes of a slow reader."""

from __future__ import annotations

import gevent
import pytest

import greenws.net.broadcast as module
from greenws.net.broadcast import broadcast

SMALL = 4096
MARK = 16384


def slow(net, **options):
    """A connection whose peer reads nothing, with its high-water mark reached."""
    server, peer = net.bare(net.service(high_water_mark=MARK, **options), SMALL)
    while server.service and broadcast([server], b"f" * 1024, "drop"):
        pass
    return server, peer


def fillers(peer):
    """Reads up to the first frame that is no filler and returns it."""
    while (frame := peer.frame()) == (2, b"f" * 1024):
        pass
    return frame


@pytest.mark.parametrize("message", ["text é", b"bytes", "", b"", "x" * 70000])
def test_everybody_gets_it_and_they_are_counted(net, message):
    pairs = [net.pair() for _ in range(10)]
    assert broadcast((server for server, _ in pairs), message) == 10
    assert [client.receive(5) for _, client in pairs] == [message] * 10


def test_nobody_is_there(net):
    assert broadcast([], "x") == 0


def test_clients_mask_what_they_broadcast(net):
    pairs = [net.pair() for _ in range(3)]
    assert broadcast([client for _, client in pairs], "from clients") == 3
    assert [server.receive(5) for server, _ in pairs] == ["from clients"] * 3


def test_it_is_encoded_once(net, monkeypatch):
    encoded = []
    encode = module.encode_frame
    monkeypatch.setattr(
        module, "encode_frame", lambda *args, **options: encoded.append(args) or encode(*args, **options)
    )
    assert broadcast([net.pair()[0] for _ in range(10)], "x") == 10
    assert len(encoded) == 1


@pytest.mark.parametrize("message", [5, None, ["a"], [1, 2]], ids=repr)
def test_what_is_neither_text_nor_bytes_is_a_type_error(net, message):
    server, client = net.pair()
    with pytest.raises(TypeError):
        broadcast([server], message)
    server.send("nothing before this")
    assert client.receive(5) == "nothing before this"


def test_an_unknown_policy_is_an_error_even_when_nobody_is_slow(net):
    server, _ = net.pair()
    with pytest.raises((KeyError, ValueError)):
        broadcast([server], "x", "whatever")


def test_those_that_are_ending_are_passed_over(net):
    pairs = [net.pair() for _ in range(4)]
    pairs[0][0].close()
    pairs[1][1].close()
    pairs[2][1].close()
    assert pairs[1][0].wait_closed(5)
    assert pairs[2][0].wait_closed(5)
    assert broadcast([server for server, _ in pairs], "x") == 1
    assert pairs[3][1].receive(5) == "x"


def test_a_peer_that_is_lost_is_not_counted_and_harms_nobody(net):
    lost, peer = net.bare()
    server, client = net.pair()
    peer.close()
    assert broadcast([lost, server], "x") == 1
    assert client.receive(5) == "x"
    assert lost.wait_closed(5)
    assert lost.close_code == 1006


def test_policy_close_closes_a_slow_reader_with_1013(net):
    server, peer = slow(net)
    quick, client = net.pair()
    assert broadcast([server, quick], "news", "close") == 1
    assert client.receive(5) == "news"
    assert server.closed
    assert fillers(peer) == (8, (1013).to_bytes(2, "big") + b"reads too slowly")
    peer.close()
    assert server.wait_closed(5)


def test_policy_drop_leaves_the_message_out(net):
    server, peer = slow(net)
    quick, client = net.pair()
    assert broadcast([server, quick], "dropped", "drop") == 1
    assert client.receive(5) == "dropped"
    assert not server.closed
    reader = gevent.spawn(fillers, peer)
    gevent.sleep(0)
    while broadcast([server], "after", "drop") == 0:
        gevent.sleep(0)
    assert reader.get(timeout=5) == (1, b"after")


def test_policy_latest_keeps_only_the_newest(net):
    server, peer = slow(net)
    for number in range(10):
        assert broadcast([server], str(number), "latest") == 1
    assert fillers(peer) == (1, b"9")
    assert broadcast([server], "next", "latest") == 1
    assert peer.frame() == (1, b"next")


def test_the_latest_leaves_before_a_message_that_is_sent_later(net):
    server, peer = slow(net)
    broadcast([server], "latest", "latest")
    sender = gevent.spawn(server.send, "sent later")
    assert fillers(peer) == (1, b"latest")
    assert peer.frame() == (1, b"sent later")
    sender.get(timeout=5)


def test_nothing_follows_the_close_frame(net):
    """RFC 6455 §5.5.1: after a Close no more data frames, the latest that still waits included."""
    server, peer = slow(net)
    broadcast([server], "latest", "latest")
    server.close(4000)
    frames = []
    while not frames or frames[-1][0] != 8:
        frames.append(peer.frame())
    peer.send(8, (4000).to_bytes(2, "big"))
    assert peer.frames() == []
    assert server.wait_closed(5)


def test_what_waits_for_a_slow_reader_stays_bounded(net):
    server, peer = net.bare(net.service(high_water_mark=MARK), SMALL)
    taken = sum(broadcast([server], b"f" * 1024, "drop") for _ in range(1000))
    assert taken <= (MARK + 4 * SMALL + 65536) // 1024
    for _ in range(taken):
        assert peer.frame() == (2, b"f" * 1024)
    server.send("end")
    assert peer.frame() == (1, b"end")


def test_no_switch_to_another_greenlet(net):
    server, _peer = slow(net)
    pairs = [net.pair() for _ in range(5)]
    switched = []
    other = gevent.spawn(switched.append, True)
    for policy in ("drop", "latest", "close"):
        broadcast([server, *(server for server, _ in pairs)], "x", policy)
    assert switched == []
    other.join()


@pytest.mark.slow
def test_a_slow_reader_is_dropped_after_write_timeout(net):
    server, _peer = slow(net, write_timeout=1)
    broadcast([server], "x", "latest")
    assert server.wait_closed(5)
    assert server.close_code == 1008


def test_on_open_may_broadcast_to_those_that_are_not_open_yet(net):
    from greenws.net.connection import Connection

    conn = Connection(net.service())
    assert broadcast([conn], "welcome") == 1
    ours, theirs = net.sockets()
    conn.attach(ours.detach(), b"HEAD")
    assert theirs.recv(100) == b"HEAD\x81\x07welcome"
    theirs.close()
    assert conn.wait_closed(5)
    abandoned = Connection(net.service())
    assert broadcast([abandoned], "nobody") == 1
    abandoned.abandon()
    assert abandoned.closed
    assert broadcast([abandoned], "nobody") == 0
