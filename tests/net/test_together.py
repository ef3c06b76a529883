"""Messages of many connections that come together: all are served, whoever waits, fails or is killed between."""

from __future__ import annotations

import gevent
import greenlet
import pytest
from gevent.event import Event

from greenws.errors import OperationTimeout, StateError
from greenws.net.reactor import get_reactor
from tests.net.conftest import COUNT, echo


@pytest.mark.parametrize("style", ["blocking", "event", "mixed"])
def test_all_are_served_whatever_their_style(style, echoes):
    pairs = echoes(style)
    for turn in range(3):
        for number, (_, peer) in enumerate(pairs):
            for part in range(number % 3 + 1):  # alone, or several that are answered in one write
                peer.send(1, b"%d %d %d" % (turn, number, part))
        for number, (_, peer) in enumerate(pairs):
            for part in range(number % 3 + 1):
                assert peer.frame() == (1, b"%d %d %d" % (turn, number, part))


@pytest.mark.parametrize("style", ["blocking", "event"])
def test_a_handler_that_blocks_hands_on_too(net, views, style):
    gate, log = Event(), []

    def on_message(conn, message):
        log.append(message)
        gate.wait(5)
        conn.send(message)

    def view(conn):
        for message in conn:
            on_message(conn, message)

    peers = []
    for _ in range(COUNT):
        conn, peer = net.bare(net.service(on_message) if style == "event" else None)
        if style == "blocking":
            views(view, conn)
        peers.append(peer)
    gevent.idle()
    for peer in peers:
        peer.send(1, b"x")
    while len(log) < COUNT:
        gevent.idle()
    gate.set()
    for peer in peers:
        assert peer.frame() == (1, b"x")


def test_messages_of_one_connection_do_not_overlap(net):
    gate, log = Event(), []

    def on_message(conn, message):
        log.append((conn.id, message))
        gate.wait(5)
        log.append((conn.id, message))

    pairs = [net.bare(net.service(on_message)) for _ in range(3)]
    for message in (b"a", b"b"):  # the second time there are parked greenlets, enough for all at once
        gate.clear()
        for _, peer in pairs:
            peer.send(1, message)
        gevent.idle()
        pairs[0][1].send(1, b"c")
        gevent.idle()
        assert [name for _, name in log] == [message.decode()] * 3
        gate.set()
        while len(log) < 8:
            gevent.idle()
        assert [name for number, name in log if number == pairs[0][0].id] == [message.decode()] * 2 + ["c"] * 2
        log.clear()


@pytest.mark.parametrize("how", ["kill", "throw"])
def test_a_receiver_that_is_killed_when_its_message_is_there(net, views, how):
    victims = []
    first, first_peer = net.bare()
    second, second_peer = net.bare()
    third, third_peer = net.bare()

    def killer(conn):
        conn.receive()
        victim = victims[0]
        victim.kill(block=False) if how == "kill" else gevent.spawn(victim.throw)
        conn.send("done")
        echo(conn)

    views(killer, first)
    victims.append(views(second.receive))
    views(echo, third)
    for peer in (first_peer, second_peer, third_peer):
        peer.send(1, b"x")
    assert first_peer.frame() == (1, b"done")
    assert third_peer.frame() == (1, b"x")
    victims[0].join(5)
    received = victims[0].value if isinstance(victims[0].value, str) else second.receive(5)
    assert received == "x"  # it is not lost
    first_peer.send(1, b"y")
    assert first_peer.frame() == (1, b"y")
    victims.clear()


def test_timeouts_while_others_have_their_turn(net, views):
    late = set()

    def view(conn):
        while not conn.closed:
            try:
                conn.send(conn.receive(0.001))
            except OperationTimeout:
                late.add(conn.id)

    pairs = [net.bare() for _ in range(COUNT)]
    for conn, _ in pairs:
        views(view, conn)
    for turn in range(20):
        peers = [peer for _, peer in pairs[turn % 2 :: 2]]
        for peer in peers:
            peer.send(1, b"x")
        assert [peer.frame() for peer in peers] == [(1, b"x")] * len(peers)
    with gevent.Timeout(5):
        while len(late) < COUNT:
            gevent.sleep(0.001)


@pytest.mark.parametrize("style", ["blocking", "event"])
def test_what_a_handler_raises_is_its_own(net, views, recorder, style):
    def on_message(conn, message):
        if message == "bad":
            raise ZeroDivisionError
        conn.send(message)

    def view(conn):
        try:
            for message in conn:
                on_message(conn, message)
        except ZeroDivisionError as error:
            conn.handler_failed(error)

    service = net.service(on_message) if style == "event" else net.service(on_error=recorder.on_error)
    pairs = [net.bare(service) for _ in range(COUNT)]
    if style == "blocking":
        for conn, _ in pairs:
            views(view, conn)
    gevent.idle()
    for number, (_, peer) in enumerate(pairs):
        peer.send(1, b"x" if number % 3 else b"bad")
    for number, (_, peer) in enumerate(pairs):
        assert peer.frame() == ((1, b"x") if number % 3 else (8, b"\x03\xf3internal error"))
    assert [type(error) for error in recorder.errors] == [ZeroDivisionError] * len(range(0, COUNT, 3))
    recorder.errors.clear()


def test_a_greenlet_that_ends_by_an_exception_ends_its_own_turn_only(net, monkeypatch, echoes):
    reported = []
    monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda context, kind, *rest: reported.append((context, kind)))
    pairs = echoes("blocking", 3)
    failing, failing_peer = net.bare()

    def fail():
        failing.receive()
        raise ZeroDivisionError

    gevent.get_hub().loop.run_callback(greenlet.greenlet(fail, gevent.get_hub()).switch)
    gevent.idle()
    for peer in (pairs[0][1], failing_peer, pairs[1][1], pairs[2][1]):
        peer.send(1, b"x")
    for _, peer in pairs:
        assert peer.frame() == (1, b"x")
    assert reported == [(failing, ZeroDivisionError)]
    reported.clear()


def test_a_view_that_receives_on_two_connections(net, views, echoes):
    """A gateway: what it waits for may be next in line, or have been before it."""
    outer, outer_peer = net.bare()
    inner, inner_peer = net.bare()
    others = echoes("mixed", 6)
    log = []

    def gateway():
        for message in outer:
            inner.send(message)
            log.append((message, inner.receive(5)))
            outer.send(log[-1][1])

    views(gateway)
    for turn in range(4):
        order = [outer_peer, *(peer for _, peer in others), inner_peer]
        for peer in order if turn % 2 else reversed(order):
            peer.send(1, b"%d" % turn)
        assert outer_peer.frame() == (1, b"%d" % turn)
        assert inner_peer.frame() == (1, b"%d" % turn)
        for _, peer in others:
            assert peer.frame() == (1, b"%d" % turn)
    assert log == [(str(turn), str(turn)) for turn in range(4)]


def test_a_handler_may_receive_from_another_connection(net, echoes):
    upstream, upstream_peer = net.bare()

    def on_message(conn, message):
        conn.send(upstream.receive(5))

    _, first_peer = net.bare(net.service(on_message))
    others = echoes("mixed", 6)
    gevent.idle()
    for turn in range(3):
        first_peer.send(1, b"?")
        for _, peer in others:
            peer.send(1, b"x")
        upstream_peer.send(1, b"%d" % turn)
        assert first_peer.frame() == (1, b"%d" % turn)
        for _, peer in others:
            assert peer.frame() == (1, b"x")


def test_who_waits_for_its_turn_is_still_the_one_that_receives(net, views):
    first, first_peer = net.bare()
    second, second_peer = net.bare()
    caught = []

    def meddler(conn):
        conn.receive()
        with pytest.raises(StateError) as found:
            second.receive()
        caught.append(str(found.value))
        conn.send("told")

    views(meddler, first)
    views(echo, second)
    first_peer.send(1, b"x")
    second_peer.send(1, b"y")
    assert first_peer.frame() == (1, b"told")
    assert second_peer.frame() == (1, b"y")
    assert "another greenlet" in caught[0]


def test_no_more_handlers_run_at_once_than_the_pool_has_room_for(net, views):
    net.pair()
    pool = get_reactor().pool
    size, pool.size, net.pool_size = pool.size, 3, 1
    running, most, gate = [], [], Event()

    def on_message(conn, message):
        running.append(conn)
        most.append(len(running))
        if message == "wait":
            gate.wait(5)
        running.remove(conn)
        conn.send(message)

    try:
        peers = [net.bare(net.service(on_message))[1] for _ in range(COUNT)]
        gevent.idle()
        for number, peer in enumerate(peers):
            peer.send(1, b"x" if number % 2 else b"wait")
        gevent.idle()
        gate.set()
        for number, peer in enumerate(peers):
            assert peer.frame() == (1, b"x" if number % 2 else b"wait")
        assert max(most) == 3
        assert pool.running == 0
    finally:
        pool.size = size
        gate.set()


def test_a_spawned_greenlet_ends_with_its_connection_though_it_waits_for_another(net):
    """It waits just when its connection ends, and must not be taken for the one that ends it."""
    conn, peer = net.bare()
    other, _ = net.bare()
    log = []

    def reader():
        log.append(conn.receive())
        try:
            other.receive()
        finally:
            log.append("ended")

    spawned = conn.spawn(reader)
    gevent.idle()
    peer.send(1, b"x")
    peer.send(8, b"\x03\xe8")
    assert peer.frames() == [(8, b"\x03\xe8")]
    spawned.join(5)
    assert log == ["x", "ended"]


def test_pongs_reach_their_waiters_between_turns(net, views, echoes):
    """Who waits for a pong is woken while others are read, and may be the one that hands on."""
    pinging, pinging_peer = net.bare()
    others = echoes("mixed", 8)
    trips = []

    def ping_and_receive():
        trips.append(pinging.ping(5))
        for message in pinging:
            pinging.send(message)

    views(ping_and_receive)
    opcode, payload = pinging_peer.frame()
    assert opcode == 9
    for _, peer in others[:4]:
        peer.send(1, b"x")
    pinging_peer.send(10, payload)
    pinging_peer.send(1, b"y")
    for _, peer in others[4:]:
        peer.send(1, b"x")
    assert pinging_peer.frame() == (1, b"y")
    for _, peer in others:
        assert peer.frame() == (1, b"x")
    assert len(trips) == 1


def test_timers_run_while_connections_never_fall_silent(net, views):
    go, talk = Event(), [True]

    def chatter(conn):
        go.wait(5)
        while talk:
            conn.send("x")
            conn.receive()

    for _ in range(COUNT):
        for conn in net.pair():
            views(chatter, conn)
    go.set()
    with gevent.Timeout(10):
        for _ in range(20):
            gevent.sleep(1e-6)
    talk.clear()
