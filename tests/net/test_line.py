"""Whose turn it is, and that the hub is not between two turns. With a watcher for each descriptor there is no line."""

from __future__ import annotations

import os
import select

import gevent
import greenlet
import pytest

from greenws.errors import ConnectionClosed
from tests.net.conftest import COUNT, echo

LINE = 16  # connections that wait for their turn while others are read
SIZE = 32768  # bytes of messages that do

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="without epoll gevent's loop says who is first")


class Switches:
    """Notes each switch of this thread while the block runs."""

    def __enter__(self):
        self.seen = []
        self._before = greenlet.settrace(self._note)
        return self

    def _note(self, event, pair):
        self.seen.append(pair)

    def __exit__(self, *error):
        greenlet.settrace(self._before)

    def into(self, one):
        """How many went there."""
        return sum(target is one for _, target in self.seen)


@pytest.mark.parametrize("style", ["blocking", "event", "mixed"])
def test_turns_come_in_the_order_of_arrival(net, views, style):
    log = []

    def view(conn):
        log.extend(conn)

    peers = []
    for number in range(COUNT):
        event = style == "event" or (style == "mixed" and number % 2)
        conn, peer = net.bare(net.service(lambda conn, message: log.append(message)) if event else None)
        if not event:
            views(view, conn)
        peers.append(peer)
    gevent.idle()
    order = [7 * number % COUNT for number in range(COUNT)]
    for number in order:
        peers[number].send(1, str(number).encode())
    while len(log) < COUNT:
        gevent.idle()
    assert log == [str(number) for number in order]


def test_views_hand_on_to_each_other_without_the_hub(echoes):
    pairs = echoes("blocking")
    for _, peer in pairs:
        peer.send(1, b"x")
    with Switches() as switches:
        for _, peer in pairs:
            assert peer.frame() == (1, b"x")
    assert switches.into(gevent.get_hub()) <= COUNT / LINE + 3  # with the test's own


def test_large_messages_are_handled_one_by_one(echoes):
    """They would not fit into the processor's cache together."""
    pairs = echoes("blocking")
    message = b"x" * SIZE
    for _, peer in pairs:
        peer.send(1, message)
    with Switches() as switches:
        for _, peer in pairs:
            assert peer.frame() == (1, message)
    assert switches.into(gevent.get_hub()) >= COUNT


def test_a_greenlet_of_the_pool_goes_on_with_the_next_connection(net):
    used = []

    def on_message(conn, message):
        used.append(greenlet.getcurrent())
        conn.send(message)

    peers = [net.bare(net.service(on_message))[1] for _ in range(COUNT)]
    gevent.idle()
    for _ in range(2):
        for peer in peers:
            peer.send(1, b"x")
        with Switches() as switches:
            for peer in peers:
                assert peer.frame() == (1, b"x")
    assert len(set(used[COUNT:])) == 1
    assert switches.into(used[-1]) <= COUNT / LINE + 1
    used.clear()


def test_a_receiver_that_leaves_before_its_turn_leaves_its_message(net, views):
    """A greenlet that is thrown into at once, not by the hub, is gone when its connection's turn comes."""
    first, first_peer = net.bare()
    second, second_peer = net.bare()
    third, third_peer = net.bare()
    me = []

    def waiter():
        me.append(greenlet.getcurrent())
        try:
            second.receive()
        except ZeroDivisionError:
            me[1].switch()

    def thrower(conn):
        conn.receive()
        me.append(greenlet.getcurrent())
        me[0].throw(ZeroDivisionError)
        conn.send("thrown")

    raw = greenlet.greenlet(waiter, gevent.get_hub())
    gevent.get_hub().loop.run_callback(raw.switch)
    gevent.idle()
    views(thrower, first)
    views(echo, third)
    for peer in (first_peer, second_peer, third_peer):
        peer.send(1, b"x")
    assert first_peer.frame() == (1, b"thrown")
    assert third_peer.frame() == (1, b"x")
    assert second.receive(5) == "x"
    gevent.get_hub().loop.run_callback(raw.switch)  # to its end
    gevent.idle()
    assert raw.dead
    me.clear()


@pytest.mark.parametrize("style", ["blocking", "event"])
@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_connection_that_is_ended_while_it_waits_for_its_turn(net, views, recorder, how, style, echoes):
    log = []
    second, second_peer = net.bare(net.service(recorder.on_message) if style == "event" else None)

    def ender(conn):
        conn.receive()
        getattr(second, how)()
        conn.send("done")

    def view(conn):
        try:
            while True:
                log.append(conn.receive())
        except ConnectionClosed as error:
            log.append(error.code)

    first, first_peer = net.bare()
    views(ender, first)
    if style == "blocking":
        views(view, second)
    others = echoes("mixed", 4)
    first_peer.send(1, b"x")
    second_peer.send(1, b"y")
    for _, peer in others:
        peer.send(1, b"z")
    assert first_peer.frame() == (1, b"done")
    for _, peer in others:
        assert peer.frame() == (1, b"z")
    second_peer.close()
    assert second.wait_closed(5)
    gevent.idle()
    code = 1000 if how == "close" else 1006
    if style == "blocking":
        assert log[-1] == code
        assert how == "abort" or log == [code]  # a close drops what has not been handled
    else:
        assert recorder.closed.wait(5)
        assert recorder.closes == [(code, "")]


def test_answers_to_what_came_together_leave_when_the_turn_ends(net, views):
    """They are not kept until all others have had theirs."""
    first, first_peer = net.bare()
    second, second_peer = net.bare()
    seen = []

    def looker(conn):
        conn.receive()
        seen.append(select.select([first_peer.socket], [], [], 0)[0] != [])
        conn.send("looked")

    views(echo, first)
    views(looker, second)
    for peer in (first_peer, first_peer, second_peer):
        peer.send(1, b"x")
    assert second_peer.frame() == (1, b"looked")
    assert [first_peer.frame(), first_peer.frame()] == [(1, b"x")] * 2
    assert seen == [True]


def test_a_child_that_is_forked_in_a_handler_does_not_go_on_with_the_others(net, views):
    first, first_peer = net.bare()
    others = [net.bare() for _ in range(4)]
    parent = os.getpid()
    reader, writer = os.pipe()

    def forker(conn):
        conn.receive()
        pid = os.fork()
        if pid == 0:
            try:
                gevent.get_hub().loop.run_callback(os._exit, 7)
                conn.receive()
            finally:
                os._exit(1)
        conn.send(str(os.waitpid(pid, 0)[1]))

    def view(conn):
        for message in conn:
            os.write(writer, b"parent" if os.getpid() == parent else b"child")
            conn.send(message)

    views(forker, first)
    for conn, _ in others:
        views(view, conn)
    for peer in (first_peer, *(peer for _, peer in others)):
        peer.send(1, b"x")
    assert first_peer.frame() == (1, str(7 << 8).encode())
    for _, peer in others:
        assert peer.frame() == (1, b"x")
    assert os.read(reader, 100) == b"parent" * 4
    os.close(reader)
    os.close(writer)
