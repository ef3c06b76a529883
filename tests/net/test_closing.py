"""The closing handshake (RFC 6455 §7), and every other way in which a connection ends."""

from __future__ import annotations

import struct

import gevent
import pytest
from gevent import socket
from markupsafe import Markup

from greenws.errors import ConnectionClosed
from greenws.protocol.codes import may_be_sent

CLOSE = 8


def payload(code, reason=""):
    return code.to_bytes(2, "big") + reason.encode()


def drain(conn):
    """The messages up to the end, and the error that ends them."""
    found = []
    while True:
        try:
            found.append(conn.receive(5))
        except ConnectionClosed as error:
            return found, (error.code, error.reason)


@pytest.mark.parametrize("first", ["server", "client"])
def test_the_handshake_goes_both_ways(net, first):
    server, client = net.pair()
    active, passive = (server, client) if first == "server" else (client, server)
    active.close(4001, "söme reason")
    assert active.closed
    assert active.wait_closed(5)
    assert passive.wait_closed(5)
    for conn in (active, passive):
        assert (conn.close_code, conn.close_reason) == (4001, "söme reason")
        assert conn.fileno() == -1
        with pytest.raises(ConnectionClosed) as caught:
            conn.send("late")
        assert (caught.value.code, caught.value.reason) == (4001, "söme reason")
        with pytest.raises(ConnectionClosed):
            conn.ping()
    del caught


def test_a_reason_may_be_of_a_subclass_of_str(net):
    server, client = net.pair()
    server.close(4001, Markup("so"))
    assert client.wait_closed(5)
    assert (server.close_reason, client.close_reason) == ("so", "so")


def test_both_may_close_at_the_same_time(net):
    server, client = net.pair()
    server.close(4001)
    client.close(4002)
    assert server.wait_closed(5)
    assert client.wait_closed(5)
    assert (server.close_code, client.close_code) == (4001, 4002)


def test_the_server_closes_the_descriptor_first_and_right_behind_its_answer(net):
    """RFC 6455 §7.1.1: so that TIME_WAIT stays on its side; §5.5.1: the answer echoes the code."""
    server, peer = net.bare()
    peer.send(CLOSE, payload(1001, "going"))
    assert peer.frames() == [(CLOSE, payload(1001))]
    assert server.wait_closed(5)
    assert (server.close_code, server.close_reason) == (1001, "going")


def test_a_close_without_a_code_is_answered_by_one_without(net):
    server, peer = net.bare()
    peer.send(CLOSE)
    assert peer.frames() == [(CLOSE, b"")]
    assert server.wait_closed(5)
    assert server.close_code == 1005


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
def test_a_code_of_the_peer_is_echoed(net, code):
    _, peer = net.bare()
    peer.send(CLOSE, payload(code))
    assert peer.frames() == [(CLOSE, payload(code))]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_a_code_that_may_not_be_sent_is_a_protocol_error(net, code):
    server, peer = net.bare()
    peer.send(CLOSE, payload(code))
    (frame,) = peer.frames()
    assert frame[1][:2] == (1002).to_bytes(2, "big")
    peer.close()
    assert server.wait_closed(5)
    assert server.close_code == 1002


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 70000])
def test_close_refuses_a_code_that_may_not_be_sent(net, code):
    server, client = net.pair()
    assert not may_be_sent(code)
    with pytest.raises(ValueError, match="close code"):
        server.close(code)
    assert not server.closed
    server.send("still open")
    assert client.receive(5) == "still open"


def test_close_refuses_a_reason_that_is_too_long_for_its_frame(net):
    server, client = net.pair()
    with pytest.raises(ValueError, match="123"):
        server.close(1000, "é" * 62)
    server.close(1000, "é" * 61 + "x")
    assert client.wait_closed(5)
    assert client.close_reason == "é" * 61 + "x"


def test_closing_again_does_nothing(net):
    server, client = net.pair()
    server.close(4000, "first")
    server.close(4001, "second")
    assert client.wait_closed(5)
    assert server.wait_closed(5)
    server.close(4002, "third")
    assert (client.close_code, server.close_code) == (4000, 4000)


def test_what_is_sent_before_the_close_arrives_before_it(net):
    server, client = net.pair()
    for number in range(500):
        server.send(str(number) * 100)
    server.close(4000)
    assert drain(client) == ([str(number) * 100 for number in range(500)], (4000, ""))


@pytest.mark.slow
def test_a_silent_peer_is_left_after_close_timeout(net):
    server, peer = net.bare(net.service(close_timeout=1))
    server.close(4000, "bye")
    assert not server.wait_closed(0.05)
    assert server.wait_closed(5)
    assert server.close_code == 4000
    assert peer.frames() == [(CLOSE, payload(4000, "bye"))]


@pytest.mark.slow
def test_a_peer_that_talks_on_is_left_after_close_timeout_too(net):
    server, peer = net.bare(net.service(close_timeout=0.3))
    server.close()

    def talk():
        try:
            while True:
                peer.send(1, b"la")
                peer.send(9, b"li")
                gevent.sleep(0.01)
        except OSError:
            pass

    talker = gevent.spawn(talk)
    assert server.wait_closed(5)
    talker.join(timeout=5)
    assert talker.dead


@pytest.mark.parametrize("code", [1000, 1001, 1005])
def test_iteration_ends_quietly_on_a_normal_close(net, code):
    server, peer = net.bare()
    peer.send(1, b"a")
    peer.send(2, b"b")
    peer.send(CLOSE, b"" if code == 1005 else payload(code))
    assert list(server) == ["a", b"b"]
    assert list(server) == []
    assert server.close_code == code


@pytest.mark.parametrize("code", [1002, 1008, 1011, 3000, 4000])
def test_iteration_raises_on_another_close_of_the_peer(net, code):
    server, peer = net.bare()
    peer.send(1, b"a")
    peer.send(CLOSE, payload(code, "why"))
    messages = iter(server)
    assert next(messages) == "a"
    with pytest.raises(ConnectionClosed) as caught:
        next(messages)
    assert (caught.value.code, caught.value.reason, caught.value.is_normal) == (code, "why", False)
    del caught


def test_iteration_ends_quietly_on_our_own_close_whatever_its_code(net):
    server, client = net.pair()
    client.send("a")
    gevent.idle()
    received = []
    for message in server:
        received.append(message)
        server.close(4000)
    assert received == ["a"]


def test_iteration_ends_quietly_when_another_greenlet_closes(net):
    server, client = net.pair()
    reader = gevent.spawn(list, server)
    gevent.idle()
    server.close(4000)
    assert reader.get(timeout=5) == []
    assert client.wait_closed(5)


def lose(peer, how):
    if how == "rst":
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how == "half-close":
        peer.socket.shutdown(socket.SHUT_WR)
    else:
        peer.close()


@pytest.mark.parametrize("how", ["fin", "half-close"])
@pytest.mark.parametrize("before", [b"", b"\x81", b"\x81\x85\0\0\0\0he"], ids=["idle", "in a header", "in a frame"])
def test_a_lost_peer_is_1006_in_a_receiver_and_an_iteration(net, how, before):
    server, peer = net.bare()
    peer.socket.sendall(before)
    lose(peer, how)
    with pytest.raises(ConnectionClosed) as caught:
        server.receive(5)
    assert (caught.value.code, caught.value.reason) == (1006, "")
    with pytest.raises(ConnectionClosed):
        list(server)
    assert server.wait_closed(5)
    del caught


def test_what_a_lost_peer_had_said_is_received_first(net):
    server, peer = net.bare()
    peer.send(1, b"a")
    peer.send(1, b"b")
    peer.close()
    assert drain(server) == (["a", "b"], (1006, ""))


def test_a_reset_in_the_middle_of_a_frame_is_1006(net):
    listener = socket.create_server(("127.0.0.1", 0))
    sock = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    listener.close()
    server = net.attach(accepted, net.service())
    with sock:
        sock.sendall(b"\x81\x85\0\0\0\0he")
        gevent.idle()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert drain(server) == ([], (1006, ""))
    with pytest.raises(ConnectionClosed):
        server.send("into the void")


def test_sending_to_a_lost_peer_raises_before_the_loop_has_noticed(net):
    server, peer = net.bare()
    peer.close()
    with pytest.raises(ConnectionClosed) as caught:
        server.send("x")
    assert caught.value.code == 1006
    with pytest.raises(ConnectionClosed):
        server.send("y")
    assert server.wait_closed(5)
    del caught


def test_after_the_close_of_the_peer_nothing_more_is_read(net):
    server, peer = net.bare()
    peer.socket.sendall(
        b"\x88\x80\0\0\0\0"
        + b"\x81\x81\0\0\0\0x"
        + b"\x88\x82\0\0\0\0\x03\xe8"
        + b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert drain(server) == ([], (1005, ""))
    assert server.close_code == 1005


def test_messages_that_are_not_handled_yet_are_dropped_by_close(net):
    server, peer = net.bare()
    for number in range(3):
        peer.send(1, str(number).encode())
    assert server.receive(5) == "0"
    server.close()
    assert drain(server) == ([], (1000, ""))


def test_what_came_before_the_close_is_answered_before_it(net):
    def echo(conn, message):
        gevent.sleep(0)
        conn.send(message)

    server, peer = net.bare(net.service(echo))
    peer.send(1, b"a")
    peer.send(1, b"b")
    peer.send(CLOSE, payload(1000))
    assert peer.frames() == [(1, b"a"), (1, b"b"), (CLOSE, payload(1000))]
    assert server.wait_closed(5)


@pytest.mark.parametrize("then", ["wait_closed", "push", "nothing"])
def test_the_peers_close_is_answered_though_nobody_receives_any_more(net, then):
    """Receive what is wanted, then only push: the peer need not wait for our close_timeout."""
    server, peer = net.bare(net.service(close_timeout=25))
    peer.send(1, b"subscribe")
    assert server.receive(5) == "subscribe"
    pushed = []

    def push():
        while True:
            server.send("news")
            pushed.append(True)
            gevent.idle()

    worker = gevent.spawn({"wait_closed": server.wait_closed, "push": push, "nothing": lambda: None}[then])
    gevent.idle()
    peer.send(CLOSE, payload(1000))
    with gevent.Timeout(2):
        frames = peer.frames()
    assert frames[-1] == (CLOSE, payload(1000))
    assert set(frames[:-1]) <= {(1, b"news")}
    worker.join(timeout=5)
    assert worker.dead
    if then == "push":
        assert pushed
        assert isinstance(worker.exception, ConnectionClosed)


def test_a_failure_is_told_to_the_peer_even_while_it_sends(net):
    server, peer = net.bare(net.service(max_message_size=10))
    peer.socket.sendall(b"\x82\xfe\x10\0" + bytes(4) + bytes(4096))
    (frame,) = peer.frames()
    assert frame[0] == CLOSE
    assert frame[1][:2] == payload(1009)
    peer.close()
    assert server.wait_closed(5)
    assert server.close_code == 1009


def test_wait_closed(net):
    server, client = net.pair()
    assert server.wait_closed(0.001) is False
    waiters = [gevent.spawn(server.wait_closed) for _ in range(3)]
    gevent.idle()
    client.close()
    assert [waiter.get(timeout=5) for waiter in waiters] == [True] * 3
    assert server.wait_closed(0) is True


def test_a_with_block_closes_with_1000_and_waits(net):
    server, client = net.pair()
    reader = gevent.spawn(drain, server)
    with client as entered:
        assert entered is client
        client.send("x")
    assert client.fileno() == -1
    assert reader.get(timeout=5) == (["x"], (1000, ""))


def test_a_with_block_that_raises_closes_with_1011(net):
    server, client = net.pair()
    with pytest.raises(ZeroDivisionError), client:
        raise ZeroDivisionError
    assert client.fileno() == -1
    assert server.wait_closed(5)
    assert server.close_code == 1011


@pytest.mark.slow
def test_a_with_block_does_not_wait_for_a_silent_peer_longer_than_close_timeout(net):
    server, peer = net.bare(net.service(close_timeout=0.1))
    with gevent.Timeout(5), server:
        pass
    assert server.fileno() == -1
    peer.close()


def test_a_handler_that_answers_a_lost_peer_has_not_failed(net, recorder):
    server, peer = net.bare(net.service(lambda conn, message: conn.send(message)))
    peer.send(1, b"x")
    peer.close()
    assert server.wait_closed(5)
    assert recorder.closed.wait(5)
    assert (recorder.errors, recorder.closes) == ([], [(1006, "")])


def test_a_handler_that_writes_to_another_connection_that_has_ended_has_failed(net, recorder):
    ended, _ = net.bare()
    ended.abort()
    _, client = net.pair(net.service(lambda conn, message: ended.send(message)))
    client.send("x")
    assert client.wait_closed(5)
    assert client.close_code == 1011
    assert [type(error) for error in recorder.errors] == [ConnectionClosed]
    recorder.errors.clear()
