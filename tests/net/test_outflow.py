"""Messages sent by and by: fragments in order, what goes between them, and what waits for their end."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import gevent
import pytest
from gevent.queue import Queue
from hypothesis import given, settings
from hypothesis import strategies as st

from greenws.config import Compression
from greenws.errors import ConnectionClosed, StateError
from greenws.net.broadcast import broadcast
from greenws.net.connection import Connection
from greenws.net.reactor import get_reactor
from greenws.protocol.deflate import Agreement, make_deflate
from tests.net.conftest import Net

NOISE = random.Random(3).randbytes(200_000)
ROW = "a row of a table, é, " * 4000
MARK = 65536
FRESH, KEEPING = Agreement(True, True), Agreement(False, False)
ERROR = (1011).to_bytes(2, "big")


@pytest.fixture(params=[None, FRESH, KEEPING], ids=["plain", "fresh", "keeping"])
def agreed(request):
    return request.param


def connect(net, agreement=None, buffer=None, **options):
    client = net.service(is_server=False, max_message_size=1 << 28, max_fragments=1 << 28)
    return net.agreed(agreement, net.service(**options), client, buffer)


class Source:
    """An iterable that gives what it is told to, when it is told to."""

    def __init__(self):
        self.queue = Queue()

    def __iter__(self):
        return iter(self.queue.get, None)

    def put(self, *chunks):
        for chunk in chunks:
            self.queue.put(chunk)
        gevent.idle()


def stream_to(server):
    """A stream that is under way, and its source, which waits."""
    source = Source()
    sender = gevent.spawn(server.send_stream, source)
    source.put(b"first")
    return source, sender


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], b""),
        ([""], ""),
        ([b"", b"a", b"", b"b"], b"ab"),
        (["é", "", "x"], "éx"),
        ([NOISE], NOISE),
        ([ROW, ROW], ROW * 2),
        ([bytearray(b"a"), memoryview(b"b")], b"ab"),
        ([memoryview(NOISE)[::2]], NOISE[::2]),
    ],
)  # fmt: skip
def test_chunks_are_one_message(net, agreed, source, message):
    server, client = connect(net, agreed)
    for _ in range(3):
        server.send_stream(iter(source))
        server.send("next")
        assert client.receive(5) == message
        assert client.receive(5) == "next"
        client.send_stream(source)
        client.send(b"next")
        assert server.receive(5) == message
        assert server.receive(5) == b"next"


@pytest.mark.parametrize("compress", [None, True, False])
def test_compression_can_be_chosen(net, compress):
    ours, theirs = net.sockets()
    conn = Connection(net.service(), deflate=make_deflate(FRESH, Compression(), is_server=True))
    net._made.append(conn)
    conn.attach(ours.detach())
    conn.send_stream([b"x" * 1000, b"y" * 1000], compress)
    data = theirs.recv(65536)
    assert data[0] == (0x02 if compress is False else 0x42)
    assert (len(data) < 100) == (compress is not False)
    assert data[-3:] == b"\x80\x01\x00" if compress is not False else data[-2:] == b"\x80\x00"


def test_each_chunk_leaves_at_once(net, agreed):
    """It is not kept by the compressor."""
    ours, theirs = net.sockets()
    deflate = None if agreed is None else make_deflate(agreed, Compression(), is_server=True)
    conn = Connection(net.service(), deflate=deflate)
    net._made.append(conn)
    conn.attach(ours.detach())
    source, stream = Source(), zlib.decompressobj(-15)
    sender = gevent.spawn(conn.send_stream, source)
    for number, chunk in enumerate((b"one", b"two", NOISE[:100])):
        source.put(chunk)
        data = theirs.recv(65536)
        assert data[0] == (0x42 if number == 0 and agreed else 2 if number == 0 else 0)
        assert (stream.decompress(data[2:]) if agreed else data[2:]) == chunk
    source.put(None)
    sender.get(timeout=5)
    assert theirs.recv(65536) == (b"\x80\x01\x00" if agreed else b"\x80\x00")


# ---- where it may be called


def test_not_in_the_hub(net):
    server, _ = connect(net)
    outcome = []

    def run():
        for call in (lambda: server.send_stream([b"x"]), lambda: server.send("x")):
            try:
                call()
            except StateError as error:
                outcome.append(str(error))

    get_reactor().loop.run_callback(run)
    gevent.idle()
    assert len(outcome) == 1
    source, sender = stream_to(server)
    get_reactor().loop.run_callback(run)
    gevent.idle()
    assert len(outcome) == 3
    assert all("in a greenlet" in text for text in outcome)
    source.put(None)
    sender.get(timeout=5)


def test_not_before_it_is_open(net):
    conn = Connection(net.service(lambda conn, message: None))
    with pytest.raises(StateError, match="on_open"):
        conn.send_stream([b"x"])
    conn.abandon()
    gevent.idle()


def test_from_another_thread(net):
    server, client = connect(net)
    pool = gevent.get_hub().threadpool
    result = pool.spawn(server.send_stream, [b"a", b"b"])
    assert client.receive(5) == b"ab"
    result.get(timeout=5)


# ---- what goes between, and what waits


def test_control_frames_go_between(net):
    server, peer = net.bare()
    source, sender = stream_to(server)
    assert peer.raw() == (0x02, b"first")
    peer.send(9, b"?")
    assert peer.raw() == (0x8A, b"?")
    pinger = gevent.spawn(server.ping, 5)
    first, payload = peer.raw()
    assert first == 0x89
    peer.send(10, payload)
    assert pinger.get(timeout=5) > 0
    source.put(b"more", None)
    sender.get(timeout=5)
    assert [peer.raw() for _ in range(2)] == [(0x00, b"more"), (0x80, b"")]


@pytest.mark.parametrize("who", ["ours", "theirs", "lost"])
def test_a_close_goes_between_and_ends_it(net, who):
    server, peer = net.bare()
    source, sender = stream_to(server)
    waiting = gevent.spawn(server.send, "waits")
    gevent.idle()
    if who == "ours":
        server.close(4000)
    elif who == "theirs":
        peer.send(8, (4000).to_bytes(2, "big"))
    else:
        peer.close()
    with pytest.raises(ConnectionClosed):
        waiting.get(timeout=5)  # although the source still waits
    source.put(b"more")
    with pytest.raises(ConnectionClosed) as end:
        sender.get(timeout=5)
    assert end.value.code == (1006 if who == "lost" else 4000)
    if who != "lost":
        assert [peer.raw() for _ in range(2)] == [(0x02, b"first"), (0x88, (4000).to_bytes(2, "big"))]
    del end


def test_others_wait_for_its_end_in_their_order(net, agreed):
    server, client = connect(net, agreed)
    source, sender = stream_to(server)
    others = [gevent.spawn(server.send, f"{number}") for number in range(3)]
    others.append(gevent.spawn(server.send_stream, ["a ", "stream"]))
    others.append(gevent.spawn(server.send_json, [1]))
    gevent.idle()
    assert not any(other.dead for other in others)
    others[1].kill()
    source.put(NOISE, None)
    assert client.receive(5) == b"first" + NOISE
    assert [client.receive(5) for _ in range(4)] == ["0", "2", "a stream", "[1]"]
    gevent.joinall([sender, *others], timeout=5, raise_error=True)


def test_its_source_cannot_send(net):
    def chunks(call):
        yield b"x"
        call(["x"])

    for name in ("send_stream", "send_json"):
        server, _ = net.bare()
        with pytest.raises(StateError, match="source"):
            server.send_stream(chunks(getattr(server, name)))


@pytest.mark.parametrize("policy", ["close", "drop", "latest"])
def test_a_broadcast_does_not_wait(net, agreed, policy):
    server, client = connect(net, agreed)
    source, sender = stream_to(server)
    with gevent.Timeout(5):
        for message in ("one", b"two", ROW):
            assert broadcast([server], message, policy) == 1
    source.put(NOISE, None)
    sender.get(timeout=5)
    server.send("end")
    assert [client.receive(5) for _ in range(5)] == [b"first" + NOISE, "one", b"two", ROW, "end"]
    client.send(ROW)
    assert server.receive(5) == ROW


@pytest.mark.parametrize("policy", ["close", "drop", "latest"])
def test_what_waits_behind_is_bounded_by_the_high_water_mark(net, agreed, policy):
    server, client = connect(net, agreed, high_water_mark=1000)
    source, sender = stream_to(server)
    sent = [random.Random(number).randbytes(300) for number in range(10)]
    outcomes = [broadcast([server], message, policy) for message in sent]
    if policy == "close":
        assert outcomes == [1] * 4 + [0] * 6
        source.put(b"x")
        with pytest.raises(ConnectionClosed) as end:
            sender.get(timeout=5)
        assert end.value.code == 1013
        del end
        return
    assert outcomes == [1] * (4 if policy == "drop" else 10) + [0] * (6 if policy == "drop" else 0)
    if policy == "latest":
        assert broadcast([server], b"left out", "drop") == 0
    source.put(None)
    sender.get(timeout=5)
    expected = [b"first", *sent[:4], *([sent[-1]] if policy == "latest" else [])]
    assert [client.receive(5) for _ in expected] == expected
    server.send("end")
    assert client.receive(5) == "end"


def test_the_latest_leaves_before_a_stream_begins(net):
    server, client = connect(net, buffer=4096, high_water_mark=16384)
    count = 0
    while broadcast([server], bytes(3000), "drop"):
        count += 1
    broadcast([server], "latest", "latest")
    sender = gevent.spawn(server.send_stream, [b"a", b"b"])
    found = [client.receive(5) for _ in range(count + 2)]
    assert found == [bytes(3000)] * count + ["latest", b"ab"]
    sender.get(timeout=5)


def test_a_broadcast_to_one_that_is_not_open_yet_waits_too(net):
    conn = Connection(net.service())
    net._made.append(conn)
    ours, theirs = net.sockets()

    def chunks():
        assert broadcast([conn], "behind") == 1
        yield b"x"

    conn.send_stream(chunks())
    conn.attach(ours.detach())
    gevent.idle()
    assert theirs.recv(100) == b"\x02\x01x\x80\x00\x81\x06behind"


# ---- constant memory


def test_it_waits_for_a_slow_reader(net):
    server, peer = net.bare(net.service(high_water_mark=MARK), 4096)
    asked = [0]

    def chunks():
        for _ in range(100):
            asked[0] += 1
            yield NOISE[:MARK]

    sender = gevent.spawn(server.send_stream, chunks())
    gevent.idle()
    assert asked[0] < 6
    size = 0
    while (frame := peer.raw())[0] & 0x80 == 0:
        size += len(frame[1])
    assert size == 100 * MARK
    sender.get(timeout=5)


@pytest.mark.slow
def test_a_reader_that_has_gone_to_sleep_is_dropped(net):
    server, _peer = net.bare(net.service(high_water_mark=MARK, write_timeout=0.5, close_timeout=25), 4096)
    with pytest.raises(ConnectionClosed) as end:
        server.send_stream(NOISE for _ in range(100))
    assert end.value.code == 1008
    del end


@pytest.mark.slow
def test_a_long_message_goes_through_both_sides_in_constant_memory(net, agreed):
    """64 MiB."""
    role = net.service(is_server=False, max_message_size=MARK, max_stream_size=1 << 30)
    server, client = net.agreed(agreed, net.service(), role)
    block = NOISE[: MARK // 2].hex().encode()
    tracemalloc.start()
    sender = gevent.spawn(server.send_stream, (block for _ in range(1024)))
    assert sum(map(len, client.receive_stream(5))) == 1024 * len(block)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 << 20
    sender.get(timeout=5)


def test_a_quick_reader_does_not_keep_others_from_their_turn(net):
    server, client = connect(net)
    turns = []

    def chunks():
        for _ in range(64):
            turns.append("chunk")
            yield b"x" * 10

    def other():
        for _ in range(4):
            turns.append("other")
            gevent.sleep(0)

    gevent.spawn(other)
    server.send_stream(chunks())
    assert client.receive(5) == b"x" * 640
    assert "other" in turns[:17]


# ---- nothing of one peer reaches another


def test_two_streams_at_once_share_no_compressor(net):
    connections = [connect(net, FRESH) for _ in range(3)]
    sources = [Source() for _ in connections]
    senders = [
        gevent.spawn(server.send_stream, source) for (server, _), source in zip(connections, sources, strict=True)
    ]
    secret = NOISE[:1000]
    for _ in range(3):
        for source in sources:
            source.put(secret)
        connections[0][1].send(secret * 2)  # with the shared one, meanwhile
        assert connections[0][0].receive(5) == secret * 2
    for source in sources:
        source.put(None)
    gevent.joinall(senders, timeout=5, raise_error=True)
    for _, client in connections:
        assert client.receive(5) == secret * 3


contents = st.lists(st.text(max_size=30), max_size=6) | st.lists(st.binary(max_size=60), max_size=6)


@settings(max_examples=40)
@given(st.lists(contents, max_size=4), st.sampled_from([None, FRESH, KEEPING]), st.booleans())
def test_any_chunks_there_and_back(messages, agreement, is_client):
    net = Net()
    try:
        limits = {"max_message_size": 20, "max_stream_size": 1 << 20}
        sides = net.agreed(agreement, net.service(**limits), net.service(is_server=False, **limits))
        writer, reader = sides[::-1] if is_client else sides
        for chunks in messages:
            writer.send_stream(chunks)
            stream = reader.receive_stream(5)
            empty = "" if stream.is_text else b""
            assert empty.join(stream) == (type(chunks[0])() if chunks else b"").join(chunks)
    finally:
        net.end()
