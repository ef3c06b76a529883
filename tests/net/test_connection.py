"""Sending and receiving on a connection, and what may be called when."""

from __future__ import annotations

import array
import json
import math

import gevent
import pytest
from gevent.event import Event

from greenws.errors import ConnectionClosed, OperationTimeout, StateError
from greenws.net.connection import Connection
from greenws.net.reactor import get_reactor

MESSAGES = [
    "",
    "a",
    "é€😀",
    "x" * 125,
    "x" * 126,
    "x" * 65535,
    "x" * 65536,
    "\0",
    b"",
    b"\xff\x00",
    bytes(range(256)) * 1000,
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: f"{type(message).__name__} {len(message)}")
def test_a_message_arrives_as_it_was_sent_in_both_directions(net, message):
    server, client = net.pair()
    client.send(message)
    assert server.receive(5) == message
    server.send(message)
    assert client.receive(5) == message


@pytest.mark.parametrize(
    "message",
    [bytearray(b"abc"), memoryview(b"abc"), memoryview(b"xaxbxc")[1::2], array.array("B", b"abc")],
    ids=["bytearray", "memoryview", "strided", "array"],
)
def test_what_is_like_bytes_is_sent_as_binary(net, message):
    server, client = net.pair()
    server.send(message)
    client.send(message)
    assert (client.receive(5), server.receive(5)) == (b"abc", b"abc")


@pytest.mark.parametrize("message", [None, 5, 1.5, ["a"], {"a": 1}, object()], ids=repr)
def test_sending_anything_else_is_a_type_error_that_names_send_json(net, message):
    server, client = net.pair()
    with pytest.raises(TypeError, match="send_json"):
        server.send(message)
    server.send("still open")
    assert client.receive(5) == "still open"


def test_text_that_is_not_unicode_is_refused_and_nothing_of_it_sent(net):
    server, client = net.pair()
    with pytest.raises(UnicodeEncodeError):
        server.send("half a surrogate: \ud800")
    server.send("still open")
    assert client.receive(5) == "still open"


def test_messages_keep_their_order(net):
    server, client = net.pair()
    for number in range(1000):
        client.send(str(number))
    assert [server.receive(5) for _ in range(1000)] == [str(number) for number in range(1000)]


def test_json(net):
    server, client = net.pair()
    value = {"a": [1, 2.5, None, True, "é"]}
    server.send_json(value)
    assert client.receive_json(5) == value
    client.send(json.dumps(value).encode())
    assert server.receive_json() == value


def test_what_is_not_json_leaves_the_connection_open(net):
    server, client = net.pair()
    client.send("{")
    with pytest.raises(json.JSONDecodeError):
        server.receive_json()
    with pytest.raises(TypeError):
        server.send_json(object())
    client.send("[]")
    assert server.receive_json() == []


def test_receive_times_out_and_leaves_the_connection_as_it_was(net):
    server, client = net.pair()
    for _ in range(2):
        with pytest.raises(OperationTimeout) as caught:
            server.receive(0.001)
        assert isinstance(caught.value, TimeoutError)
    del caught
    client.send("late")
    assert server.receive(5) == "late"
    client.send("first")
    gevent.idle()
    assert server.receive(timeout=0) == "first"


def test_an_outer_timeout_is_not_taken_for_our_own(net):
    server, _ = net.pair()
    with pytest.raises(gevent.Timeout) as caught, gevent.Timeout(0.001) as outer:
        server.receive(5)
    assert caught.value is outer
    del caught


def test_a_second_receiver_is_told_so(net):
    server, client = net.pair()
    waiting = gevent.spawn(server.receive)
    gevent.idle()
    with pytest.raises(StateError, match="another greenlet"):
        server.receive()
    client.send("for the first")
    assert waiting.get(timeout=5) == "for the first"


def test_receive_of_an_event_style_connection_is_a_state_error(net, recorder):
    server, _ = net.pair(net.service(recorder.on_message))
    with pytest.raises(StateError, match="on_message"):
        server.receive()


@pytest.mark.parametrize("call", ["receive", "ping", "wait_closed"])
def test_a_killed_caller_leaves_the_connection_usable(net, call):
    server, peer = net.bare()
    stuck = gevent.spawn(getattr(server, call))
    gevent.idle()
    stuck.kill()
    if call == "ping":
        opcode, payload = peer.frame()
        assert opcode == 9
        peer.send(10, payload)  # nobody waits for it any more
    peer.send(1, b"x")
    assert server.receive(5) == "x"
    server.send("y")
    assert peer.frame() == (1, b"y")
    ping = gevent.spawn(server.ping)
    peer.send(10, peer.frame()[1])
    assert ping.get(timeout=5) >= 0


def test_a_message_is_not_lost_when_its_receiver_is_killed_before_it_comes(net):
    server, client = net.pair()
    stuck = gevent.spawn(server.receive)
    gevent.idle()
    stuck.kill(block=False)
    client.send("x")
    gevent.idle()
    received = stuck.value if isinstance(stuck.value, str) else server.receive(5)
    assert received == "x"


def test_free_attributes(net):
    server, client = net.pair()
    server.room = "lobby"
    server.nested = {"conn": server}  # also one that makes a cycle is collected
    assert server.room == "lobby"
    with pytest.raises(AttributeError):
        client.room  # noqa: B018
    del server.room
    assert not hasattr(server, "room")


@pytest.mark.parametrize(
    "name", ["id", "path", "remote_addr", "subprotocol", "latency", "closed", "close_code", "close_reason"]
)
def test_what_a_connection_says_of_itself_cannot_be_overwritten(net, name):
    server, _ = net.pair()
    with pytest.raises(AttributeError):
        setattr(server, name, 1)


def test_every_connection_has_another_id(net):
    conns = [conn for _ in range(10) for conn in net.pair()]
    assert len({conn.id for conn in conns}) == 20


def test_attributes_and_repr_through_life(net):
    service = net.service()
    conn = Connection(service, "/chat", "192.0.2.1", "v1")
    assert repr(conn) == f"<Connection {conn.id} '/chat' connecting>"
    assert (conn.path, conn.remote_addr, conn.subprotocol) == ("/chat", "192.0.2.1", "v1")
    ours, theirs = net.sockets()
    conn.attach(ours.detach())
    assert repr(conn) == f"<Connection {conn.id} '/chat' open>"
    assert (conn.closed, conn.close_code, conn.close_reason) == (False, None, None)
    conn.close(4000, "why")
    assert repr(conn) == f"<Connection {conn.id} '/chat' closing 4000>"
    assert (conn.closed, conn.close_code, conn.close_reason) == (True, 4000, "why")
    theirs.close()
    assert conn.wait_closed(5)
    assert repr(conn) == f"<Connection {conn.id} '/chat' closed 4000>"


def test_the_registry_knows_those_that_are_connected(net):
    server, client = net.pair()
    assert set(net.registry) == {server, client}
    client.close()
    assert client.wait_closed(5)
    assert server.wait_closed(5)
    assert len(net.registry) == 0


def test_ping_measures_the_round_trip(net):
    server, client = net.pair()
    assert math.isnan(server.latency)
    trip = server.ping()
    assert 0 <= trip < 5
    assert server.latency == pytest.approx(trip)
    assert client.ping() >= 0


def test_pings_of_several_greenlets_get_their_own_answers(net):
    server, _ = net.pair()
    pings = [gevent.spawn(server.ping) for _ in range(20)]
    gevent.joinall(pings, timeout=5)
    assert all(ping.value >= 0 for ping in pings)


def test_ping_times_out_and_a_late_or_unasked_pong_does_no_harm(net):
    server, peer = net.bare()
    with pytest.raises(OperationTimeout, match="pong"):
        server.ping(0.001)
    opcode, payload = peer.frame()
    assert opcode == 9
    peer.send(10, payload)
    peer.send(10, b"")
    peer.send(10, b"x" * 125)
    peer.send(1, b"alive")
    assert server.receive(5) == "alive"


def test_a_ping_is_answered_with_its_payload(net):
    server, peer = net.bare()
    for payload in (b"", b"a", b"\x00\xff" * 62):
        peer.send(9, payload)
        assert peer.frame() == (10, payload)
    assert not server.closed


def test_ping_fails_when_the_connection_ends_meanwhile(net):
    server, peer = net.bare()
    ping = gevent.spawn(server.ping)
    assert peer.frame()[0] == 9
    peer.close()
    with pytest.raises(ConnectionClosed) as caught:
        ping.get(timeout=5)
    assert caught.value.code == 1006
    del caught


def test_a_spawned_greenlet_ends_with_the_connection(net):
    server, client = net.pair()
    log = []

    def run(first, *, second):
        log.append((first, second))
        try:
            Event().wait()
        finally:
            log.append("ended")

    greenlet = server.spawn(run, 1, second=2)
    gevent.idle()
    assert log == [(1, 2)]
    client.close()
    greenlet.join(timeout=5)
    assert greenlet.dead
    assert log == [(1, 2), "ended"]


def test_a_spawned_greenlet_may_end_the_connection_it_belongs_to(net):
    server, client = net.pair()
    ended = server.spawn(lambda: (server.close(4001), server.wait_closed(5)))
    assert client.wait_closed(5)
    assert server.wait_closed(5)
    ended.join(timeout=5)
    assert ended.dead
    assert client.close_code == 4001


def test_an_error_of_a_spawned_greenlet_is_reported_and_closes_with_1011(net, recorder):
    server, client = net.pair(net.service(on_error=recorder.on_error))

    def fail():
        raise ZeroDivisionError

    server.spawn(fail)
    assert client.wait_closed(5)
    assert client.close_code == 1011
    assert [type(error) for error in recorder.errors] == [ZeroDivisionError]
    recorder.errors.clear()


def test_nothing_is_spawned_on_a_connection_that_has_ended(net):
    server, client = net.pair()
    client.close()
    assert server.wait_closed(5)
    with pytest.raises(ConnectionClosed):
        server.spawn(print)


def test_the_reactor_watches_nothing_when_nobody_is_connected(net):
    server, client = net.pair()
    assert get_reactor().count == 2
    client.close()
    assert client.wait_closed(5)
    assert server.wait_closed(5)
    assert get_reactor().count == 0
    server, client = net.pair()  # and again
    client.send("x")
    assert server.receive(5) == "x"
