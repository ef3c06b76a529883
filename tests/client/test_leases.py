"""Leases: who gets which connection, who waits, and what a kill or a timeout leaves behind."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from greenws import Connection
from greenws.client.pool import ConnectionPool
from greenws.errors import PoolTimeout
from tests.client.upstreams import Puppet, Upstream, echo, until, why_there_is_none


def test_a_lease_is_a_connection_and_the_next_lease_is_the_same_one(pool: ConnectionPool) -> None:
    with pool.lease() as first:
        echo(first)
    with pool.lease() as second:
        echo(second)
    assert second is first
    stats = pool.stats
    assert (stats.opened, stats.leases, stats.reused, stats.waited) == (1, 2, 1, 1)
    assert stats.connect_p99 > 0


def test_leases_at_one_time_are_different_connections(pool: ConnectionPool) -> None:
    leases = [pool.lease() for _ in range(5)]
    assert len({lease.conn for lease in leases}) == 5
    for lease in leases:
        lease.release()
    assert (pool.stats.idle, pool.stats.leased) == (5, 0)


def test_a_lease_that_is_given_back_twice_is_given_back_once(pool: ConnectionPool) -> None:
    lease = pool.lease()
    lease.release()
    with pool.lease() as conn:
        lease.release()  # somebody else's by now
        assert pool.stats.leased == 1
        echo(conn)
    assert pool.stats.idle == 1


def test_a_connection_is_not_lent_again_after_an_exception(pool: ConnectionPool) -> None:
    def fail(conn: Connection) -> None:
        conn.send("an answer to this is under way")
        raise KeyError("of the user")

    with pytest.raises(KeyError), pool.lease() as conn:
        fail(conn)
    assert conn.closed
    with pool.lease() as another:
        echo(another)
    assert another is not conn


def test_a_connection_that_holds_an_unread_answer_is_not_lent(pool: ConnectionPool) -> None:
    with pool.lease() as conn:
        conn.send("one")
        until(lambda: not conn.is_quiet)
    assert conn.closed
    with pool.lease() as another:
        echo(another)


def test_an_answer_that_comes_after_the_lease_goes_to_nobody(pool: ConnectionPool, upstream: Upstream) -> None:
    with pool.lease() as conn:
        pass
    upstream.conns[0].send("late")
    until(lambda: not conn.is_quiet)
    with pool.lease() as another:
        echo(another)
    assert another is not conn


def test_a_user_may_close_the_connection(pool: ConnectionPool) -> None:
    with pool.lease() as conn:
        conn.close()
    with pool.lease() as another:
        echo(another)
    assert pool.stats.lost == 0


def test_who_waits_gets_what_another_gives_back(upstream: Upstream) -> None:
    with ConnectionPool(upstream.url, max_size=1) as pool:
        lease = pool.lease()
        order: list[int] = []

        def wait(number: int) -> None:
            with pool.lease():
                order.append(number)

        waiting = [gevent.spawn(wait, number) for number in range(5)]
        gevent.idle()
        assert pool.stats.waiting == 5
        lease.release()
        gevent.joinall(waiting, raise_error=True)
        assert order == [0, 1, 2, 3, 4]
        assert pool.stats.opened == 1


def test_a_timeout_says_what_the_pool_looked_like(upstream: Upstream) -> None:
    with ConnectionPool(upstream.url, max_size=2) as pool, pool.lease(), pool.lease():
        with pytest.raises(
            PoolTimeout, match=r"within 0\.01 s: of at most 2 there are 2 leased, 0 idle and 0 opening"
        ) as error:
            pool.lease(timeout=0.01)
        assert isinstance(error.value, TimeoutError)
        assert error.value.stats.waiting == 1
        assert pool.stats.waiting == 0


def test_a_timeout_says_why_there_is_no_connection() -> None:
    with ConnectionPool("ws://127.0.0.1:1/") as pool:
        assert "refused" in why_there_is_none(pool)


def test_a_lease_without_waiting(pool: ConnectionPool) -> None:
    with pytest.raises(PoolTimeout):
        pool.lease(timeout=0)
    until(lambda: pool.stats.idle)
    with pool.lease(timeout=0) as conn:
        echo(conn)


# ---- kills and timeouts


def test_a_greenlet_killed_while_it_waits_leaves_nothing(upstream: Upstream) -> None:
    with ConnectionPool(upstream.url, max_size=1) as pool:
        with pool.lease():
            waiting = gevent.spawn(pool.lease)
            gevent.idle()
            assert pool.stats.waiting == 1
            waiting.kill()
            assert pool.stats.waiting == 0
        assert (pool.stats.idle, pool.stats.leased) == (1, 0)


def test_a_greenlet_killed_in_the_moment_it_was_served_hands_it_on(upstream: Upstream) -> None:
    with ConnectionPool(upstream.url, max_size=1) as pool:
        lease = pool.lease()
        first = gevent.spawn(pool.lease)
        second = gevent.spawn(pool.lease)
        gevent.idle()
        first.kill(block=False)  # comes in the next turn: by then it has been served
        lease.release()
        second.get().release()
        assert (pool.stats.idle, pool.stats.leased) == (1, 0)


def test_a_greenlet_that_times_out_in_a_lease_loses_its_connection(pool: ConnectionPool) -> None:
    pool.warm_up(1)
    with gevent.Timeout(0.01, False), pool.lease() as conn:
        conn.receive()
    assert conn.closed
    assert pool.stats.leased == 0


def test_a_greenlet_killed_while_its_connection_is_asked_leaves_nothing(puppet: Puppet) -> None:
    with ConnectionPool(puppet.url, check_after=0, ping_interval=None, close_timeout=0.1) as pool:
        pool.warm_up(1)
        asking = gevent.spawn(pool.lease)
        gevent.idle()
        assert pool.stats.leased == 1
        asking.kill()
        assert pool.stats.size == 0


def test_a_killed_greenlet_does_not_take_the_opening_connection_along(upstream: Upstream) -> None:
    gate = Event()
    upstream.before = gate.wait
    with ConnectionPool(upstream.url) as pool:
        waiting = gevent.spawn(pool.lease)
        until(lambda: upstream.handshakes)
        waiting.kill()
        gate.set()
        until(lambda: pool.stats.idle == 1)


def test_those_who_wait_outlast_a_failure_to_connect(upstream: Upstream) -> None:
    port = upstream.server.address[1]
    upstream.stop()
    with ConnectionPool(upstream.url) as pool:
        waiting = [gevent.spawn(pool.lease, 20) for _ in range(3)]
        until(lambda: pool.stats.failed)
        upstream.start(port)
        for greenlet in waiting:
            with greenlet.get() as conn:
                echo(conn)


def test_a_server_that_accepts_and_says_nothing_is_given_up_after_a_while() -> None:
    puppet = Puppet(upgrades=False)
    try:
        with ConnectionPool(puppet.url, connect_timeout=0.05) as pool:
            assert "within 0.05 s" in why_there_is_none(pool)
    finally:
        puppet.stop()
