"""Compressed messages over real connections: sent, received, broadcast; shared where nothing makes a difference."""

from __future__ import annotations

import gc
import random
import sys

import gevent
import pytest

from greenws.config import Compression
from greenws.net.broadcast import broadcast
from greenws.net.connection import Connection
from greenws.protocol.deflate import Agreement, Compressor, make_deflate
from greenws.protocol.inflate import Inflater

ROW = "a row of a table, " * 200
NOISE = random.Random(4).randbytes(5000)
RSV1 = 0x40
FRESH = Agreement(True, True)
KEEPING = Agreement(False, False)


@pytest.fixture(params=[FRESH, KEEPING], ids=["fresh", "keeping"])
def agreed(request):
    return request.param


def connect(net, agreement=FRESH, options=None, on_message=None, **settings):
    """Both sides of a connection that compresses."""
    options = options or Compression()
    sides = []
    for sock, is_server in zip(net.sockets(settings.pop("buffer", None)), (True, False), strict=True):
        hooks = settings if is_server else {"max_message_size": 1 << 26}
        service = net.service(on_message if is_server else None, is_server=is_server, **hooks)
        conn = Connection(service, deflate=make_deflate(agreement, options, is_server=is_server))
        conn.accept()
        net._made.append(conn)
        conn.attach(sock.detach())
        sides.append(conn)
    return sides


class Counting:
    """Counts the messages that are deflated."""

    def __init__(self, monkeypatch):
        self.count = 0
        encode = Compressor.encode

        def counted(compressor, payload):
            self.count += 1
            return encode(compressor, payload)

        monkeypatch.setattr(Compressor, "encode", counted)


@pytest.mark.parametrize("message", ["", "x", ROW, "é" * 5000, b"", b"x", NOISE, NOISE * 20, ROW.encode() * 100])
@pytest.mark.parametrize("compress", [None, True, False])
def test_messages_go_both_ways(net, agreed, message, compress):
    server, client = connect(net, agreed)
    for sender, receiver in ((server, client), (client, server), (server, client)):
        for _ in range(3):
            sender.send(message, compress=compress)
            sender.send_json({"row": [1]}, compress=compress)
            assert receiver.receive(5) == message
            assert receiver.receive_json(5) == {"row": [1]}


@pytest.mark.parametrize(
    ("size", "compress", "is_deflated"),
    [(99, None, False), (100, None, True), (99, True, True), (100, False, False), (10000, None, True)],
)
@pytest.mark.parametrize("kind", [str, bytes])
def test_the_threshold_decides_unless_the_message_is_told(net, agreed, kind, size, compress, is_deflated):
    ours, theirs = net.sockets()
    conn = Connection(net.service(), deflate=make_deflate(agreed, Compression(threshold=100), is_server=True))
    net._made.append(conn)
    conn.attach(ours.detach())
    conn.send("x" * size if kind is str else b"x" * size, compress=compress)
    assert theirs.recv(1)[0] == (0x81 if kind is str else 0x82) | RSV1 * is_deflated


def test_what_gets_no_smaller_goes_as_it_is(net):
    ours, theirs = net.sockets()
    conn = Connection(net.service(), deflate=make_deflate(FRESH, Compression(), is_server=True))
    net._made.append(conn)
    conn.attach(ours.detach())
    conn.send(NOISE)
    assert theirs.recv(4) == b"\x82\x7e" + len(NOISE).to_bytes(2, "big")


def test_without_an_agreement_a_compressed_frame_is_an_error(net):
    """Also when the last one to have the decoder was one who may compress."""
    service = net.service()
    for _ in range(2):
        ours, theirs = net.sockets()
        conn = Connection(service, deflate=make_deflate(FRESH, Compression(), is_server=True))
        net._made.append(conn)
        conn.attach(ours.detach())
        theirs.sendall(bytes.fromhex("c18700000000 f248cdc9c90700"))
        assert conn.receive(5) == "Hello"
        _, peer = net.bare(service)
        peer.socket.sendall(bytes.fromhex("c18700000000 f248cdc9c90700"))
        assert peer.frame()[1][:2] == (1002).to_bytes(2, "big")
        theirs.close()


def test_many_share_a_service_and_keep_their_contexts(net):
    """Their messages come in turns, some of them in halves."""
    service = net.service()
    peers = []
    for number in range(6):
        agreement = (FRESH, KEEPING)[number % 2]
        ours, theirs = net.sockets()
        sides = []
        for sock, role in ((ours, service), (theirs, net.service(is_server=False))):
            conn = Connection(role, deflate=make_deflate(agreement, Compression(), is_server=role is service))
            net._made.append(conn)
            conn.attach(sock.detach())
            sides.append(conn)
        peers.append(sides)
    for turn in range(5):
        for number, (_, client) in enumerate(peers):
            client.send(f"{number} {turn} {ROW * 9}")
        for number, (server, _) in enumerate(peers):
            assert server.receive(5) == f"{number} {turn} {ROW * 9}"


def test_broadcast_compresses_once_for_all_that_agreed_on_the_same(net, monkeypatch):
    connections = [connect(net) for _ in range(5)] + [connect(net, Agreement(True, True, 10)) for _ in range(5)]
    connections.append(net.pair())
    counting = Counting(monkeypatch)
    assert broadcast([server for server, _ in connections], ROW) == 11
    assert counting.count == 2
    assert [client.receive(5) for _, client in connections] == [ROW] * 11
    assert broadcast([client for _, client in connections], ROW * 50) == 11
    assert [server.receive(5) for server, _ in connections] == [ROW * 50] * 11
    assert broadcast([server for server, _ in connections], ROW, compress=False) == 11
    assert counting.count == 3
    assert broadcast([server for server, _ in connections], "short") == 11
    assert broadcast([server for server, _ in connections], "short", compress=True) == 11
    assert counting.count == 5
    assert [client.receive(5) for _, client in connections] == [ROW] * 11


def test_broadcast_compresses_for_each_that_keeps_its_context(net, monkeypatch):
    counting = Counting(monkeypatch)
    connections = [connect(net, KEEPING) for _ in range(3)]
    for message in (ROW, NOISE, "short", ROW):
        assert broadcast([server for server, _ in connections], message) == 3
        connections[0][0].send(ROW)
        assert [client.receive(5) for _, client in connections] == [message] * 3
        assert connections[0][1].receive(5) == ROW
        assert broadcast([client for _, client in connections], message) == 3
        assert [server.receive(5) for server, _ in connections] == [message] * 3
    assert counting.count == 2 * 3 * 3 + 4


@pytest.mark.parametrize("policy", ["drop", "latest"])
def test_what_is_left_out_for_a_slow_reader_does_not_get_into_its_context(net, policy):
    server, client = connect(net, KEEPING, buffer=4096, high_water_mark=16384)
    client_socket_is_full = 0
    while broadcast([server], random.Random(client_socket_is_full).randbytes(3000), "drop"):
        client_socket_is_full += 1
    for number in range(5):
        broadcast([server], f"{number} {ROW}", policy)
    got = [client.receive(5) for _ in range(client_socket_is_full)]
    assert got == [random.Random(number).randbytes(3000) for number in range(client_socket_is_full)]
    if policy == "latest":
        assert client.receive(5) == f"4 {ROW}"
    server.send(ROW)
    assert client.receive(5) == ROW


def test_nothing_is_inflated_for_nobody(net, monkeypatch):
    """After our Close nobody wants what still comes."""
    inflated = []
    monkeypatch.setattr(Inflater, "begin", lambda inflater: inflated.append(1))
    server, client = connect(net, KEEPING)
    server.close()
    client.send(ROW)
    client.wait_closed(5)
    assert server.wait_closed(5)
    assert inflated == []


def test_a_context_ends_with_its_connection(net):
    server, client = connect(net, KEEPING)
    for sender, receiver in ((server, client), (client, server)):
        sender.send(ROW)
        receiver.receive(5)
    deflate = server.deflate
    server.close()
    assert server.wait_closed(5)
    assert client.wait_closed(5)
    assert server.deflate is None
    gc.collect()
    assert sys.getrefcount(deflate) == 2


def test_handlers_answer_in_order(net, agreed):
    server, client = connect(net, agreed, on_message=lambda conn, message: conn.send(message))
    sent = [f"{number} {ROW}" if number % 3 else str(number) for number in range(200)]
    sender = gevent.spawn(lambda: [client.send(message) for message in sent])
    assert [client.receive(5) for _ in sent] == sent
    sender.join()
    assert server.close_code is None
