"""Leases that nobody releases: the pool finds them, says whose they were, and takes their place back."""

from __future__ import annotations

import gc
from typing import Any

import gevent
import pytest

from greenws import ConnectionClosed
from greenws.client import keeper
from greenws.client.members import Phase
from greenws.client.pool import ConnectionPool
from tests.client.plans import ask, lease, make
from tests.client.upstreams import Upstream, echo


def test_a_lease_that_nobody_holds_any_more_is_logged_and_its_place_is_free(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    with ConnectionPool(upstream.url, max_size=1) as pool:
        pool.lease()
        gc.collect()
        with pool.lease(timeout=5) as conn:
            echo(conn)
        assert (pool.stats.leaked, pool.stats.opened) == (1, 2)
    assert "never released" in caplog.text
    assert "test_a_lease_that_nobody_holds_any_more" in caplog.text
    assert __file__ in caplog.text


def test_a_lease_in_a_cycle_of_garbage_is_found_when_it_is_collected(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    class Holder:
        pass

    with ConnectionPool(upstream.url, max_size=1) as pool:
        holder: Any = Holder()
        holder.itself, holder.lease = holder, pool.lease()
        del holder
        gc.collect()
        with pool.lease(timeout=5) as conn:
            echo(conn)
        assert pool.stats.leaked == 1


def test_a_lease_that_was_released_is_no_leak(pool: ConnectionPool, caplog: pytest.LogCaptureFixture) -> None:
    pool.lease().release()
    gc.collect()
    gevent.idle()
    assert (pool.stats.leaked, pool.stats.idle) == (0, 1)
    assert not caplog.records


def test_a_lease_that_is_collected_behind_the_end_of_its_pool_is_nothing(upstream: Upstream) -> None:
    pool = ConnectionPool(upstream.url)
    lease = pool.lease()
    assert not pool.drain(timeout=0.01)
    del lease
    gc.collect()
    gevent.idle()
    assert pool.stats.size == 0


def test_a_lease_that_lasts_too_long_is_taken_back_and_who_had_it_is_told(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper, "TICK", 0.01)
    with ConnectionPool(upstream.url, max_size=1, max_lease_time=0.05) as pool:
        lease = pool.lease()
        with pytest.raises(ConnectionClosed):
            lease.conn.receive(timeout=5)
        lease.release()  # too late, and nothing
        with pool.lease(timeout=5) as conn:
            echo(conn)
        assert pool.stats.leaked == 1
    assert "has lasted 0.05 s" in caplog.text
    assert "test_a_lease_that_lasts_too_long" in caplog.text


# ---- its decisions


def test_a_lease_that_lasts_too_long_is_ended_and_its_place_is_free() -> None:
    plan = make(max_size=1, max_lease_time=30)
    member = lease(plan)
    waiter, _ = ask(plan, 5.0)
    assert plan.tick(29.9).leaked == []
    orders = plan.tick(30.0)
    assert (orders.leaked, orders.close) == ([member], [member])
    assert member.phase is Phase.CLOSED
    plan.opened(orders.open[0], 30.0)
    assert waiter.member is orders.open[0]


def test_a_lease_may_last_for_ever_unless_it_is_said_otherwise() -> None:
    plan = make()
    lease(plan)
    assert plan.tick(1e6).leaked == []


def test_each_lease_has_its_time_anew() -> None:
    plan = make(max_lease_time=30)
    member = lease(plan)
    plan.returned(member, 20.0, reuse=True)
    assert lease(plan, 25.0) is member
    assert plan.tick(54.0).leaked == []
    assert plan.tick(55.0).leaked == [member]
