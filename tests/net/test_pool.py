"""The pool of handlers: bounded, in order of arrival, reused, and never broken by what a handler does."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent

from greenws.net.pool import get_upgrade_pool
from greenws.net.reactor import Job, get_reactor


@pytest.fixture
def pool(net):
    """The pool of this process, which is made with the first connection."""
    net.pair()
    return get_reactor().pool


@pytest.fixture
def small_pool(net, pool):
    """The pool with room for three handlers at once."""
    size = pool.size
    pool.size = 3
    net.pool_size = 1  # services that ask for more would enlarge it
    yield pool
    pool.size = size


class Gate:
    """Handlers that wait until they are let through."""

    def __init__(self):
        self.inside = []
        self.most = 0
        self.greenlets = set()
        self.open = Event()
        self.done = []

    def __call__(self, conn, message):
        self.greenlets.add(getcurrent())
        self.inside.append(message)
        self.most = max(self.most, len(self.inside))
        try:
            self.open.wait(10)
            self.done.append(message)
        finally:
            self.inside.remove(message)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()  # also after a failure: the others have the same pool
    gevent.idle()
    gate.greenlets.clear()


def peers(net, gate, count):
    """Connections of one service that each have said their number, in order."""
    service = net.service(gate)
    found = []
    for number in range(count):
        server, client = net.pair(service)
        client.send(str(number))
        found.append((server, client))
        gevent.idle()
    return found


def test_no_more_handlers_run_at_once_than_the_pool_has_room_for(net, small_pool, gate):
    peers(net, gate, 10)
    assert gate.inside == ["0", "1", "2"]
    assert (small_pool.running, len(small_pool.waiting)) == (3, 7)
    gate.open.set()
    gevent.idle()
    assert gate.most == 3
    assert small_pool.running == 0
    assert gate.done == [str(number) for number in range(10)]


def test_connections_wait_their_turn_in_order_of_arrival(net, small_pool, gate):
    begun = []
    gate_call = gate.__call__

    def handler(conn, message):
        begun.append(message)
        gate_call(conn, message)

    service = net.service(handler)
    pairs = [net.pair(service) for _ in range(8)]
    for number in (5, 2, 7, 0, 6, 1, 4, 3):
        pairs[number][1].send(str(number))
        gevent.idle()
    gate.open.set()
    gevent.idle()
    assert begun == list("52706143")


def test_greenlets_are_reused(net, pool):
    seen = set()
    service = net.service(lambda conn, message: seen.add(id(getcurrent())))
    for _ in range(20):
        _, client = net.pair(service)
        client.send("x")
        gevent.idle()
    assert len(seen) == 1


def test_a_handler_that_blocks_blocks_nobody_else(net, gate):
    peers(net, gate, 5)
    echo = net.service(lambda conn, message: conn.send(message))
    _, client = net.pair(echo)
    client.send("x")
    assert client.receive(5) == "x"
    assert gate.inside == list("01234")
    gate.open.set()
    gevent.idle()


def test_messages_behind_a_blocked_handler_wait_and_do_not_take_a_place(net, small_pool, gate):
    _, client = net.pair(net.service(gate))
    for number in range(10):
        client.send(str(number))
    gevent.idle()
    assert gate.inside == ["0"]
    assert (small_pool.running, len(small_pool.waiting)) == (1, 0)
    gate.open.set()
    gevent.idle()
    assert gate.done == [str(number) for number in range(10)]


def test_killing_handlers_is_survived_and_the_count_stays_right(net, small_pool, gate):
    pairs = peers(net, gate, 6)
    victims = list(gate.greenlets)
    assert len(victims) == 3
    for victim in victims:
        gevent.kill(victim)
    gevent.idle()
    assert gate.inside == ["3", "4", "5"]
    assert small_pool.running == 3
    for server, client in pairs[:3]:
        assert client.wait_closed(5)
        assert client.close_code == 1011
        assert server.wait_closed(5)
    gate.open.set()
    gevent.idle()
    assert (small_pool.running, len(small_pool.waiting)) == (0, 0)
    assert gate.done == ["3", "4", "5"]
    assert net.recorder.closes == [(1011, "handler was killed")] * 3
    victims.clear()


def test_killing_a_parked_greenlet_is_survived(net, pool):
    seen = []
    service = net.service(lambda conn, message: seen.append(getcurrent()))
    _, client = net.pair(service)
    client.send("x")
    gevent.idle()
    (parked,) = seen
    gevent.kill(parked)
    gevent.idle()
    assert pool.running == 0
    client.send("y")
    gevent.idle()
    assert len(seen) == 2
    assert seen[1] is not parked
    assert pool.running == 0
    del parked
    seen.clear()


def test_a_parked_greenlet_that_is_about_to_be_killed_gets_work(net, pool):
    """The kill is on its way when a message needs the greenlet: whichever comes first, the count stays right."""
    seen = []

    def handler(conn, message):
        seen.append(getcurrent())
        gevent.sleep(0)
        conn.send(message)

    server, client = net.pair(net.service(handler))
    client.send("x")
    assert client.receive(5) == "x"
    gevent.kill(seen[0])
    client.send("y")
    gevent.idle()
    assert pool.running == 0
    _, other = net.pair(net.service(handler))
    other.send("z")
    assert other.receive(5) == "z"
    assert pool.running == 0
    seen.clear()
    server.close()


def test_what_handlers_raise_leaves_the_pool_as_it_was(net, pool, recorder):
    def handler(conn, message):
        raise ZeroDivisionError

    service = net.service(handler)
    for _ in range(5):
        _, client = net.pair(service)
        client.send("x")
        assert client.wait_closed(5)
        assert client.close_code == 1011
    gevent.idle()
    assert pool.running == 0
    assert len(recorder.errors) == 5
    assert recorder.closes == [(1011, "internal error")] * 5
    recorder.errors.clear()


def test_a_rush_leaves_only_so_many_parked_greenlets(net, pool, gate):
    peers_ = peers(net, gate, 200)
    assert len(gate.inside) == 200
    greenlets = gate.greenlets
    gate.open.set()
    gevent.idle()
    assert len(gate.done) == 200
    assert sum(not greenlet.dead for greenlet in greenlets) == 128
    assert pool.running == 0
    greenlets.clear()
    del peers_


def test_jobs_that_block_for_a_moment_do_not_pile_up(net):
    """Each would hold a stack meanwhile: five hundred of them took more memory than five thousand connections."""
    running, most, done = 0, 0, 0

    class Upgrade(Job):
        def run(self):
            nonlocal running, most, done
            running += 1
            most = max(most, running)
            gevent.sleep(0)  # as one that waits for what a callback of the loop brings
            running -= 1
            done += 1

    for _ in range(500):
        get_upgrade_pool().enqueue(Upgrade())
    with gevent.Timeout(5):
        while done < 500:
            gevent.sleep(0.01)
    assert 1 < most <= 32


def test_a_handler_may_end_its_connection_and_wait_for_that(net):
    ended = []

    def handler(conn, message):
        conn.close(4000)
        ended.append(conn.wait_closed(5))

    _, client = net.pair(net.service(handler))
    client.send("x")
    assert client.wait_closed(5)
    gevent.idle()
    assert ended == [True]
    assert net.recorder.closes == [(4000, "")]


def test_a_handler_may_ping_and_get_the_answer_while_it_runs(net):
    trips = []
    _, client = net.pair(net.service(lambda conn, message: trips.append(conn.ping(5))))
    reader = gevent.spawn(client.receive)
    client.send("x")
    gevent.idle()
    assert len(trips) == 1
    reader.kill()
