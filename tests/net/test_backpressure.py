"""A slow reader on either side: nothing interleaves, nothing piles up, nobody waits for ever."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from greenws.errors import ConnectionClosed, OperationTimeout, StateError
from greenws.net.reactor import get_reactor

SMALL = 4096  # bytes of the kernel's buffers
MARK = 65536


def fill(conn, message=b"x" * 16384):
    """A greenlet that sends until it has to wait."""

    def run():
        sent = 0
        while True:
            conn.send(message)
            sent += 1
            counts[0] = sent

    counts = [0]
    greenlet = gevent.spawn(run)
    gevent.idle()
    assert not greenlet.dead, "send never waited"
    return greenlet, counts


def test_fifty_writers_never_interleave_however_slow_the_reader(net):
    server, peer = net.bare(net.service(high_water_mark=MARK), SMALL)

    def write(name):
        for number in range(6):
            server.send(bytes([name]) * (name * 997 + number * 30011))

    writers = [gevent.spawn(write, name) for name in range(1, 51)]
    lengths = {name: [] for name in range(1, 51)}
    for _ in range(300):
        opcode, payload = peer.frame()
        assert opcode == 2
        assert payload.count(payload[:1]) == len(payload)
        lengths[payload[0]].append(len(payload))
    gevent.joinall(writers, timeout=5, raise_error=True)
    assert all(found == [name * 997 + number * 30011 for number in range(6)] for name, found in lengths.items())


def test_a_client_that_masks_does_not_interleave_either(net):
    server, client = net.pair(
        client=net.service(is_server=False, high_water_mark=MARK), server=net.service(), buffer=SMALL
    )

    def write(name):
        for _ in range(4):
            client.send(bytes([name]) * 50021)
            client.send(chr(name) * 100)

    writers = [gevent.spawn(write, name) for name in range(65, 85)]
    received = [server.receive(5) for _ in range(160)]
    gevent.joinall(writers, timeout=5, raise_error=True)
    texts = [message for message in received if isinstance(message, str)]
    assert sorted(texts) == sorted(chr(name) * 100 for name in range(65, 85) for _ in range(4))
    binary = [message for message in received if isinstance(message, bytes)]
    assert sorted(binary) == sorted(bytes([name]) * 50021 for name in range(65, 85) for _ in range(4))


def test_send_waits_at_the_high_water_mark_and_goes_on_when_the_peer_reads(net):
    server, peer = net.bare(net.service(high_water_mark=MARK), SMALL)
    writer, counts = fill(server)
    waited_at = counts[0]
    assert MARK // 16384 <= waited_at <= MARK // 16384 + 3
    gevent.idle()
    assert counts[0] == waited_at
    for _ in range(waited_at):
        assert peer.frame() == (2, b"x" * 16384)
    gevent.idle()
    assert counts[0] > waited_at
    writer.kill()


@pytest.mark.parametrize("end", ["close", "peer", "lost"])
def test_a_waiting_send_is_woken_by_the_end(net, end):
    server, peer = net.bare(net.service(high_water_mark=MARK, close_timeout=0.1), SMALL)
    writer, _ = fill(server)
    if end == "close":
        server.close(4000)
    elif end == "peer":
        peer.send(8, (4000).to_bytes(2, "big"))
    else:
        peer.close()
    with pytest.raises(ConnectionClosed) as caught:
        writer.get(timeout=5)
    assert caught.value.code == (1006 if end == "lost" else 4000)
    del caught


def test_a_killed_writer_makes_room_for_the_next(net):
    server, peer = net.bare(net.service(high_water_mark=MARK), SMALL)
    first, _ = fill(server)
    second = gevent.spawn(server.send, "from the second")
    gevent.idle()
    first.kill()
    frames = []
    while (frame := peer.frame()) != (1, b"from the second"):
        frames.append(frame)
    assert all(frame == (2, b"x" * 16384) for frame in frames)
    second.get(timeout=5)
    server.send("usable")
    assert peer.frame() == (1, b"usable")


def test_a_timeout_around_send_leaves_the_connection_usable(net):
    server, peer = net.bare(net.service(high_water_mark=MARK), SMALL)
    writer, counts = fill(server)
    writer.kill()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
        server.send("not sent")
    for _ in range(counts[0]):
        peer.frame()
    server.send("usable")
    assert peer.frame() == (1, b"usable")


def test_a_connection_that_had_to_wait_is_as_quick_afterwards(net):
    """What a wait needed is given back: the close is not left to its timeout."""
    server, peer = net.bare(net.service(high_water_mark=MARK, close_timeout=25), SMALL)
    writer, _ = fill(server)
    reader = gevent.spawn(peer.frames)
    gevent.sleep(0)
    writer.kill()
    server.send("before")
    server.close(4000)
    peer.send(8, (4000).to_bytes(2, "big"))
    assert server.wait_closed(2), "the closing handshake waits for its timeout"
    assert reader.get(timeout=5)[-2:] == [(1, b"before"), (8, (4000).to_bytes(2, "big"))]


@pytest.mark.slow
def test_a_peer_that_reads_nothing_is_dropped_after_write_timeout(net):
    server, _peer = net.bare(net.service(high_water_mark=MARK, write_timeout=1, close_timeout=25), SMALL)
    writer, _ = fill(server)
    with pytest.raises(ConnectionClosed) as caught:
        writer.get(timeout=5)
    assert caught.value.code == 1008
    assert server.wait_closed(1)
    del caught


@pytest.mark.slow
def test_a_peer_that_reads_again_in_time_is_kept(net):
    server, peer = net.bare(net.service(high_water_mark=MARK, write_timeout=1), SMALL)
    for _ in range(3):
        writer, counts = fill(server)
        gevent.sleep(0.5)  # on the wheel's clock
        writer.kill()
        for _ in range(counts[0]):
            peer.frame()
        gevent.idle()
    gevent.sleep(1.2)
    assert not server.closed


def test_send_in_the_hub_is_a_clear_error_when_it_would_wait(net):
    server, _peer = net.bare(net.service(high_water_mark=MARK), SMALL)
    writer, _ = fill(server)
    writer.kill()
    outcome = []

    def run():
        try:
            server.send("x")
        except StateError as error:
            outcome.append(str(error))

    get_reactor().loop.run_callback(run)
    gevent.idle()
    assert "in a greenlet" in outcome[0]


class Behind:
    """A handler that does not go on until it is told to."""

    def __init__(self):
        self.go_on = Event()
        self.messages = []

    def __call__(self, conn, message):
        self.go_on.wait(10)
        self.messages.append(message)


def flood(peer, count):
    """A greenlet that sends many small messages, and how many it could."""
    sent = [0]

    def run():
        for number in range(count):
            peer.send(2, number.to_bytes(4, "big") * 250)
            sent[0] += 1

    greenlet = gevent.spawn(run)
    gevent.idle()
    return greenlet, sent


@pytest.mark.parametrize("style", ["event", "blocking"])
def test_a_flood_stops_its_sender_while_the_handler_is_behind_and_then_goes_on(net, style):
    behind = Behind() if style == "event" else None
    server, peer = net.bare(net.service(behind, inbox_size=16), SMALL)
    flooder, sent = flood(peer, 3000)
    stopped_at = sent[0]
    assert stopped_at < 600, "reading did not stop"
    gevent.idle()
    assert sent[0] == stopped_at
    expected = [number.to_bytes(4, "big") * 250 for number in range(3000)]
    if behind is None:
        assert [server.receive(5) for _ in range(3000)] == expected
    else:
        behind.go_on.set()
        flooder.join(timeout=5)
        with gevent.Timeout(5):
            while len(behind.messages) < 3000:
                gevent.idle()
        assert behind.messages == expected
    flooder.join(timeout=5)
    assert flooder.dead


def test_a_flood_of_pings_to_a_peer_that_does_not_read_is_bounded(net):
    """The pongs must not pile up, and what comes behind the limit is thrown away."""
    server, peer = net.bare(net.service(), SMALL)
    for _ in range(20_000):
        peer.send(9, b"x" * 125)
    peer.close()
    assert server.wait_closed(10)
    assert server.close_code == 1008


def test_a_handler_that_is_behind_still_sees_the_end(net):
    behind = Behind()
    server, peer = net.bare(net.service(behind, inbox_size=4), SMALL)
    flooder, _ = flood(peer, 1000)
    flooder.kill()
    peer.close()
    behind.go_on.set()
    assert server.wait_closed(5)
    assert net.recorder.closed.wait(5)
    assert net.recorder.closes == [(1006, "")]


@pytest.mark.slow
def test_a_paused_connection_that_closes_is_released(net):
    behind = Behind()
    server, peer = net.bare(net.service(behind, inbox_size=4, close_timeout=0.2), SMALL)
    flooder, _ = flood(peer, 1000)
    server.close(4000)
    assert server.wait_closed(5)
    behind.go_on.set()
    flooder.kill()
    assert net.recorder.closed.wait(5)


def test_an_echo_between_two_that_both_only_write_does_not_lock_up(net):
    """Both directions full: the echo waits in send, so reading stops; it goes on when the peer reads."""
    server, peer = net.bare(net.service(lambda conn, message: conn.send(message), high_water_mark=MARK), SMALL)
    flooder, _ = flood(peer, 1000)
    assert not flooder.dead
    for number in range(1000):
        assert peer.frame() == (2, number.to_bytes(4, "big") * 250)
    flooder.join(timeout=5)
    assert flooder.dead
    assert not server.closed


def test_receive_with_a_timeout_reads_on_after_a_flood(net):
    server, peer = net.bare(net.service(inbox_size=2))
    for number in range(10):
        peer.send(1, str(number).encode())
    assert [server.receive(5) for _ in range(10)] == [str(number) for number in range(10)]
    with pytest.raises(OperationTimeout):
        server.receive(0.001)
    peer.send(1, b"next")
    assert server.receive(5) == "next"
