"""Messages received by and by: their chunks, what waits meanwhile, and what becomes of them when somebody leaves."""

from __future__ import annotations

import random
import tracemalloc

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from greenws.errors import ConnectionClosed, OperationTimeout, StateError
from greenws.net.message_stream import MessageStream
from greenws.net.reactor import get_reactor
from greenws.protocol.deflate import Agreement

HELD = 1000
LARGE = random.Random(1).randbytes(300_000)
TEXT = "é😂x€" * 40_000
MEBIBYTE = 1 << 20
STREAMS = {"max_message_size": HELD, "max_stream_size": 1 << 40}


def service(net, on_message=None, **options):
    return net.service(on_message, **{**STREAMS, **options})


def read(stream):
    return ("" if stream.is_text else b"").join(stream)


@pytest.fixture(params=[None, Agreement(True, True), Agreement(False, False)], ids=["plain", "fresh", "keeping"])
def agreed(request):
    return request.param


def connect(net, ours, agreement):
    return net.agreed(agreement, ours, net.service(is_server=False))


# ---- blocking style


@pytest.mark.parametrize("message", ["", b"", "small", b"small", "x" * HELD, b"x" * (HELD + 1), LARGE, TEXT])
def test_any_message_can_be_received_as_a_stream(net, agreed, message):
    server, client = connect(net, service(net), agreed)
    for _ in range(2):
        sender = gevent.spawn(client.send, message)
        stream = server.receive_stream(5)
        assert stream.is_text == isinstance(message, str)
        chunks = list(stream)
        assert all(chunks)
        assert all(len(chunk) <= 65536 for chunk in chunks)
        assert ("" if stream.is_text else b"").join(chunks) == message
        assert list(stream) == []
        sender.get(timeout=5)
    client.send("next")
    assert server.receive(5) == "next"


def test_chunks_come_as_they_arrive(net):
    server, peer = net.bare(service(net))
    peer.send(2, b"a" * (HELD + 1), fin=False)
    stream = server.receive_stream(5)
    assert next(stream) == b"a" * (HELD + 1)
    for letter in (b"b", b"c"):
        peer.send(0, letter, fin=False)
        assert next(stream) == letter
    peer.send(0)
    assert list(stream) == []


def test_control_frames_are_answered_in_the_middle(net):
    server, peer = net.bare(service(net))
    peer.send(2, b"a" * (HELD + 1), fin=False)
    stream = server.receive_stream(5)
    next(stream)
    peer.send(9, b"?")
    assert peer.frame() == (10, b"?")
    peer.send(0, b"b")
    assert list(stream) == [b"b"]


def test_receive_refuses_a_larger_message(net):
    server, peer = net.bare(service(net))
    peer.send(1, b"fine")
    peer.send(2, LARGE)
    assert server.receive(5) == "fine"
    with pytest.raises(ConnectionClosed) as end:
        server.receive(5)
    assert end.value.code == 1009
    assert peer.frame()[1][:2] == (1009).to_bytes(2, "big")
    del end


def test_without_streams_a_larger_message_is_refused_as_ever(net):
    server, peer = net.bare(net.service(max_message_size=HELD))
    peer.send(2, LARGE[: HELD + 1])
    with pytest.raises(ConnectionClosed) as end:
        server.receive_stream(5)
    assert end.value.code == 1009
    del end


def test_a_stream_has_a_limit_too(net):
    server, peer = net.bare(service(net, max_stream_size=5000))
    peer.send(2, LARGE[:5000], fin=False)
    peer.send(0, b"x")
    found = []
    with pytest.raises(ConnectionClosed) as end:
        found.extend(server.receive_stream(5))
    assert end.value.code == 1009
    assert b"".join(found) == LARGE[:5000]
    del end


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_what_a_reader_leaves_is_skipped(net, agreed, taken):
    """Also when more than one inbox of it is still to come, and message by message afterwards."""
    server, client = connect(net, service(net, inbox_size=4), agreed)
    sender = gevent.spawn(lambda: [client.send(message) for message in (LARGE * 4, "between", TEXT, "end")])
    stream = server.receive_stream(5)
    for _ in range(taken):
        next(stream)
    assert server.receive(5) == "between"
    if taken < 1:
        assert len(next(stream)) > 0  # it had been received with the stream
    with pytest.raises(StateError, match="skipped"):
        next(stream)
    next(server.receive_stream(5))
    assert server.receive_stream(5).is_text
    sender.get(timeout=5)


def test_a_stream_is_for_one_greenlet(net):
    server, peer = net.bare(service(net))
    peer.send(2, LARGE[: HELD + 1], fin=False)
    stream = server.receive_stream(5)
    next(stream)
    waiting = gevent.spawn(next, stream)
    gevent.idle()
    with pytest.raises(StateError, match="another greenlet"):
        next(stream)
    peer.send(0, b"x")
    assert waiting.get(timeout=5) == b"x"


def test_a_timeout_leaves_the_connection_as_it_was(net):
    server, peer = net.bare(service(net))
    with pytest.raises(OperationTimeout):
        server.receive_stream(0.001)
    peer.send(1, b"later")
    assert list(server.receive_stream(5)) == ["later"]


@pytest.mark.parametrize("end", ["close", "normal close", "lost", "ours", "bad text"])
def test_the_end_in_the_middle_is_never_the_end_of_the_message(net, end):
    server, peer = net.bare(service(net))
    peer.send(1, b"x" * (HELD + 1), fin=False)
    stream = server.receive_stream(5)
    next(stream)
    reader = gevent.spawn(lambda: list(stream))
    gevent.idle()
    code = {"lost": 1006, "bad text": 1007, "normal close": 1000}.get(end, 4000)
    if end in ("close", "normal close"):
        peer.send(8, code.to_bytes(2, "big"))
    elif end == "lost":
        peer.close()
    elif end == "ours":
        server.close(4000)
    else:
        peer.send(0, b"\xff")
    with pytest.raises(ConnectionClosed) as error:
        reader.get(timeout=5)
    assert error.value.code == code
    with pytest.raises(ConnectionClosed):
        next(stream)
    del error


def test_what_came_before_the_end_is_read_first(net):
    server, peer = net.bare(service(net))
    peer.send(2, LARGE[:200_000], fin=False)
    peer.socket.shutdown(socket.SHUT_WR)
    gevent.idle()
    found = []
    with pytest.raises(ConnectionClosed):
        found.extend(server.receive_stream(5))
    assert b"".join(found) == LARGE[:200_000]


def test_a_slow_reader_stops_its_peer(net):
    server, peer = net.bare(service(net), 4096)
    sent = [0]

    def send():
        peer.send(2, LARGE, fin=False)
        for _ in range(200):
            peer.send(0, LARGE[:65536], fin=False)
            sent[0] += 1
        peer.send(0)

    sender = gevent.spawn(send)
    stream = server.receive_stream(5)
    gevent.idle()
    assert sent[0] < 20
    assert sum(map(len, stream)) == len(LARGE) + 200 * 65536
    sender.get(timeout=5)


def test_a_bomb_is_inflated_no_faster_than_it_is_read(net):
    """64 KiB that become 64 MiB: while nobody reads nothing more comes out, and pings are answered when it goes on."""
    server, client = connect(net, service(net), Agreement(True, True))
    client.send(bytes(64 * MEBIBYTE), compress=True)
    stream = server.receive_stream(5)
    tracemalloc.start()
    gevent.idle()
    assert sum(map(len, stream)) == 64 * MEBIBYTE
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MEBIBYTE


def test_others_have_their_turn_while_a_bomb_is_skipped(net):
    server, client = connect(net, service(net), Agreement(True, True))
    client.send(bytes(64 * MEBIBYTE), compress=True)
    client.send("end")
    next(server.receive_stream(5))
    turns = []

    def count():
        while True:
            gevent.sleep(0)
            turns.append(1)

    counter = gevent.spawn(count)
    assert server.receive(5) == "end"
    counter.kill()
    assert len(turns) > 30


# ---- event style


class Reader:
    """Handlers that note what they get, in order."""

    def __init__(self):
        self.found = []
        self.streams = []
        self.go_on = Event()
        self.go_on.set()

    def on_message(self, conn, message):
        self.found.append(message)

    def on_stream(self, conn, stream):
        assert type(stream) is MessageStream
        self.streams.append(stream)
        self.found.append("begin")
        parts = []
        for chunk in stream:
            self.go_on.wait(10)
            parts.append(chunk)
        self.found.append(("" if stream.is_text else b"").join(parts))

    def wait_for(self, count):
        with gevent.Timeout(5):
            while len(self.found) < count:
                gevent.idle()


def test_larger_messages_go_to_on_stream_in_order(net, agreed):
    reader = Reader()
    server, client = connect(net, service(net, reader.on_message, on_stream=reader.on_stream), agreed)
    for message in ("a", LARGE, "b", "c", TEXT, TEXT, "d"):
        client.send(message)
    reader.wait_for(10)
    assert reader.found == ["a", "begin", LARGE, "b", "c", "begin", TEXT, "begin", TEXT, "d"]
    assert not server.closed


def test_without_on_stream_a_larger_message_is_refused(net):
    reader = Reader()
    _server, peer = net.bare(service(net, reader.on_message))
    peer.send(2, LARGE[: HELD + 1])
    assert peer.frame()[1][:2] == (1009).to_bytes(2, "big")
    assert reader.found == []


def test_a_handler_that_returns_early_skips_the_rest(net, agreed):
    found = []
    _server, client = connect(
        net,
        service(net, lambda conn, message: found.append(message), on_stream=lambda conn, stream: next(stream)),
        agreed,
    )
    for message in (LARGE * 3, "a", TEXT, "b"):
        client.send(message)
    with gevent.Timeout(5):
        while len(found) < 2:
            gevent.idle()
    assert found == ["a", "b"]


@pytest.mark.parametrize("end", ["close", "lost", "bad"])
def test_a_handler_hears_of_the_end_and_then_on_close_runs(net, end):
    reader = Reader()
    server, peer = net.bare(service(net, reader.on_message, on_stream=reader.on_stream))
    peer.send(1, b"x" * (HELD + 1), fin=False)
    reader.wait_for(1)
    gevent.idle()
    if end == "close":
        peer.send(8, (4000).to_bytes(2, "big"))
    elif end == "lost":
        peer.close()
    else:
        peer.send(0, b"\xff")
    assert server.wait_closed(5) if end != "bad" else peer.frame()[1][:2] == (1007).to_bytes(2, "big")
    if end == "bad":
        peer.close()
    assert net.recorder.closed.wait(5)
    assert reader.found == ["begin"]
    assert net.recorder.closes[0][0] == {"close": 4000, "lost": 1006, "bad": 1007}[end]
    assert net.recorder.errors == []
    with pytest.raises(StateError, match="skipped"):
        next(reader.streams[0])


def test_a_close_while_the_handler_is_busy_reaches_it_at_its_next_chunk(net):
    reader = Reader()
    reader.go_on.clear()
    server, peer = net.bare(service(net, reader.on_message, on_stream=reader.on_stream, close_timeout=25))
    peer.send(1, b"x" * (HELD + 1), fin=False)
    reader.wait_for(1)
    peer.send(8, (4000).to_bytes(2, "big"))
    gevent.idle()
    assert not server.closed
    reader.go_on.set()
    assert peer.frame() == (8, (4000).to_bytes(2, "big"))
    assert net.recorder.closed.wait(5)
    assert reader.found == ["begin"]


def test_an_error_in_on_stream_closes_with_1011(net):
    def fail(conn, stream):
        next(stream)
        raise ValueError("no")

    _server, peer = net.bare(service(net, lambda conn, message: None, on_stream=fail))
    peer.send(2, LARGE)
    assert peer.frame()[1][:2] == (1011).to_bytes(2, "big")
    assert [type(error) for error in net.recorder.errors] == [ValueError]
    net.recorder.errors.clear()


def test_peers_that_send_slowly_keep_nobody_from_a_handler(net):
    """A handler that waits for its peer's next chunk has no place in the pool."""
    reader = Reader()
    net.pool_size = 1
    role = service(net, reader.on_message, on_stream=reader.on_stream)
    slow = [net.bare(role)[1] for _ in range(3)]
    for peer in slow:
        peer.send(2, LARGE[: HELD + 1], fin=False)
    reader.wait_for(3)
    gevent.idle()
    _, quick = net.bare(role)
    quick.send(1, b"quick")
    reader.wait_for(4)
    assert reader.found == ["begin"] * 3 + ["quick"]
    for peer in slow:
        peer.send(0)
    reader.wait_for(7)
    quick.send(1, b"again")
    reader.wait_for(8)
    assert get_reactor().pool.running == 0


# ---- time


@pytest.mark.slow
def test_message_timeout_is_the_time_without_progress(net):
    server, peer = net.bare(service(net, message_timeout=0.5))
    peer.send(2, LARGE[: HELD + 1], fin=False)
    stream = server.receive_stream(5)
    next(stream)
    for _ in range(4):
        gevent.sleep(0.2)  # on the wheel's clock
        peer.send(0, b"x", fin=False)
        assert next(stream) == b"x"
    with pytest.raises(ConnectionClosed) as end:
        next(stream)
    assert end.value.code == 1008
    del end


@pytest.mark.slow
def test_message_timeout_does_not_count_while_we_do_not_read(net):
    server, peer = net.bare(service(net, message_timeout=0.3))
    sender = gevent.spawn(peer.send, 2, LARGE * 10)
    stream = server.receive_stream(5)
    gevent.sleep(0.8)  # on the wheel's clock
    assert sum(map(len, stream)) == len(LARGE) * 10
    sender.get(timeout=5)
    gevent.spawn(peer.send, 2, LARGE * 3, fin=False)
    stream = server.receive_stream(5)
    gevent.sleep(0.8)
    with pytest.raises(ConnectionClosed) as end:
        read(stream)
    assert end.value.code == 1008  # from when all had been read
    del end
