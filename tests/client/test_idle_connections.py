"""Idle connections of a pool: how they are prepared, what is found out when they end, and what is never lent."""

from __future__ import annotations

import select

import pytest

from greenws import Connection, ConnectionClosed
from greenws.client import keeper
from greenws.client.pool import ConnectionPool
from greenws.errors import PoolTimeout
from tests.client.upstreams import Puppet, Upstream, echo, until, why_there_is_none

# ---- what died while it was idle


def test_what_died_is_not_lent_even_before_its_end_was_seen(pool: ConnectionPool, upstream: Upstream) -> None:
    with pool.lease() as conn:
        pass
    upstream.conns[0].abort()
    wait_for_bytes(conn)
    assert not conn.closed  # we could not know yet
    with pool.lease() as another:
        echo(another)
    assert another is not conn
    assert pool.stats.lost == 1


def wait_for_bytes(conn: Connection) -> None:
    """Until the kernel has something for a connection, without letting the hub look at it."""
    assert select.select([conn.fileno()], [], [], 5)[0]


def test_what_was_closed_while_idle_is_not_lent(pool: ConnectionPool, upstream: Upstream) -> None:
    with pool.lease() as conn:
        pass
    upstream.conns[0].close(1001)
    wait_for_bytes(conn)
    with pool.lease() as another:
        echo(another)
    assert another is not conn


def test_what_stopped_answering_is_not_lent(
    puppet: Puppet, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "CHECK_TIMEOUT", 0.05)
    with ConnectionPool([puppet.url, upstream.url], check_after=0, ping_interval=None, close_timeout=0.1) as pool:
        pool.warm_up(2)
        for _ in range(4):
            with pool.lease() as conn:
                echo(conn)
        assert pool.stats.lost >= 1


def test_all_that_died_together_is_found_out_by_one_question(puppet: Puppet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "CHECK_TIMEOUT", 0.05)
    with ConnectionPool(puppet.url, check_after=0, ping_interval=None, close_timeout=0.1) as pool:
        pool.warm_up(20)
        with pytest.raises(PoolTimeout):
            pool.lease(timeout=0)
        assert pool.stats.idle == 0


def test_idle_connections_that_end_are_replaced(upstream: Upstream) -> None:
    with ConnectionPool(upstream.url, min_idle=3) as pool:
        pool.warm_up()
        for conn in tuple(upstream.conns):
            conn.close(1012)
        until(lambda: pool.stats.lost == 3)
        until(lambda: pool.stats.idle == 3)
        assert pool.stats.opened == 6


def test_a_message_sent_on_a_dying_connection_is_an_error_not_silence(pool: ConnectionPool, upstream: Upstream) -> None:
    with pytest.raises(ConnectionClosed), pool.lease() as conn:  # noqa: PT012
        upstream.conns[0].abort()
        conn.send("lost")
        conn.receive(timeout=5)
    assert pool.stats.size == 0


# ---- on_open


def test_each_connection_is_prepared_before_it_is_lent(upstream: Upstream) -> None:
    upstream.greeting = "welcome"
    with ConnectionPool(upstream.url, on_open=lambda conn: conn.receive(timeout=5)) as pool, pool.lease() as conn:
        echo(conn)


def test_what_cannot_be_prepared_is_not_lent(upstream: Upstream) -> None:
    def refuse(conn: Connection) -> None:
        raise ValueError("wrong password")

    with ConnectionPool(upstream.url, on_open=refuse) as pool:
        assert "ValueError: wrong password" in why_there_is_none(pool)


@pytest.mark.slow
def test_a_greeting_that_nobody_receives_does_not_make_a_storm(upstream: Upstream) -> None:
    upstream.greeting = "welcome"
    with ConnectionPool(upstream.url) as pool, pytest.raises(PoolTimeout, match="on_open can receive a greeting"):
        pool.lease(timeout=1)
    assert upstream.handshakes <= 20
