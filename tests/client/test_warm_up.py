"""Warm-ups of a pool: how many at once, and when there is no hope."""

from __future__ import annotations

import socket
from typing import Any

import gevent
import pytest
from flask import abort
from gevent.event import Event

from greenws.client import names
from greenws.client.members import Member
from greenws.client.plan import Plan
from greenws.client.pool import ConnectionPool
from greenws.errors import ConfigError, StateError
from tests.client.plans import make
from tests.client.upstreams import Upstream, echo, why_there_is_none


def test_a_warm_up_opens_so_many_at_once_and_tells_how_it_goes(upstream: Upstream) -> None:
    upstream.before = gevent.idle
    seen: list[tuple[int, int]] = []
    with ConnectionPool(upstream.url) as pool:
        report = pool.warm_up(30, concurrency=7, progress=lambda ready, count: seen.append((ready, count)))
        assert report.is_complete
        assert (report.wanted, report.ready, report.opened, report.failed) == (30, 30, 30, 0)
        assert 0 < report.connect_p50 <= report.connect_p99 <= report.seconds
        assert upstream.most_at_once <= 7
        assert seen[0] == (0, 30)
        assert seen[-1] == (30, 30)
        assert seen == sorted(seen)
        assert "30 of 30 connections ready" in str(report)
        with pool.lease(timeout=0) as conn:
            echo(conn)
        assert pool.stats.opened == 30


def test_a_warm_up_has_a_greenlet_for_each_that_opens_at_once_not_for_each(upstream: Upstream) -> None:
    openers: set[object] = set()
    with ConnectionPool(upstream.url, on_open=lambda conn: openers.add(gevent.getcurrent())) as pool:
        assert pool.warm_up(12, concurrency=3).is_complete
        assert len(openers) == 3


def test_what_fails_after_others_were_opened_counts_as_failed(upstream: Upstream) -> None:
    answers = iter((200, 200, 403))
    upstream.before = lambda: abort(status) if (status := next(answers)) != 200 else None
    with ConnectionPool(upstream.url) as pool:
        report = pool.warm_up(5, concurrency=1)
        assert (report.ready, report.opened, report.failed) == (2, 2, 1)
        assert report.is_refused
        assert pool.stats.opening == 0


def test_a_pool_that_is_closed_gives_up_what_is_opened_after_others(upstream: Upstream) -> None:
    begun, go_on = Event(), Event()

    def wait() -> None:
        if pool.stats.opened:
            begun.set()
            go_on.wait(5)

    upstream.before = wait
    with ConnectionPool(upstream.url) as pool:
        warming = gevent.spawn(pool.warm_up, 3, concurrency=1)
        assert begun.wait(5)
        assert pool.drain(5)
        go_on.set()
        assert not warming.get().is_complete
        assert (pool.stats.opened, pool.stats.failed, pool.stats.opening) == (1, 1, 0)


def test_a_warm_up_of_nobody_says_why_and_asks_seldom() -> None:
    with ConnectionPool("ws://127.0.0.1:1/", min_idle=50) as pool:
        why_there_is_none(pool)
        report = pool.warm_up(timeout=0.1)
        assert not report.is_complete
        assert "refused" in str(report)
        assert pool.stats.failed <= 60  # the first fifty at once, then one by one
        assert pool.stats.idle == 0


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_warm_up_that_is_refused_for_good_ends_at_once_and_says_why(upstream: Upstream, status: int) -> None:
    upstream.before = lambda: abort(status)
    with ConnectionPool(upstream.url, min_idle=5) as pool:
        report = pool.warm_up()
        assert report.is_refused
        assert not report.is_complete
        assert report.seconds < 5  # of 30
        assert str(status) in str(report)
        assert "given up" in str(report)


def test_a_warm_up_with_a_wrong_certificate_ends_at_once(certificate: tuple[str, str]) -> None:
    certfile, keyfile = certificate
    upstream = Upstream(certfile=certfile, keyfile=keyfile)
    try:
        for url in (upstream.url, upstream.url.replace("wss://", "tls://").rstrip("/")):
            with ConnectionPool(url, min_idle=2) as pool:
                report = pool.warm_up()
                assert report.is_refused
                assert "CERTIFICATE_VERIFY_FAILED" in str(report)
    finally:
        upstream.stop()


def test_a_warm_up_of_a_name_that_does_not_exist_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(names, "resolve", unknown)
    with ConnectionPool("ws://nowhere.invalid/", min_idle=2) as pool:
        report = pool.warm_up()
        assert report.is_refused
        assert "nowhere.invalid cannot be resolved" in str(report)


def test_a_refusal_that_passes_is_waited_for(upstream: Upstream) -> None:
    answers = iter((503, 503))
    upstream.before = lambda: abort(status) if (status := next(answers, None)) else None
    with ConnectionPool(upstream.url, min_idle=2) as pool:
        report = pool.warm_up()
        assert report.is_complete
        assert not report.is_refused


def test_a_warm_up_that_can_never_succeed_is_refused(pool: ConnectionPool) -> None:
    with pytest.raises(ConfigError, match="max_size is 100"):
        pool.warm_up(101)


def test_two_warm_ups_at_once_are_an_error(pool: ConnectionPool) -> None:
    first = gevent.spawn(pool.warm_up, 3)
    gevent.sleep(0)
    with pytest.raises(StateError, match="already"):
        pool.warm_up(2)
    assert first.get().is_complete


def test_a_warm_up_that_is_killed_leaves_a_pool_that_works(pool: ConnectionPool) -> None:
    first = gevent.spawn(pool.warm_up, 50, concurrency=1)
    gevent.sleep(0)
    first.kill()
    with pool.lease() as conn:
        echo(conn)
    assert pool.stats.size < 50


# ---- its decisions


def begin(plan: Plan, count: int, most: int = 50, now: float = 0.0) -> list[Member]:
    return plan.begin_warm_up(count, most, now).open


def test_a_warm_up_has_no_hope_when_the_last_attempt_is_refused_for_good() -> None:
    plan = make()
    first, second = begin(plan, 2)
    plan.failed(first, 1.0, is_hopeless=True)
    assert not plan.is_hopeless  # the other attempt may do better
    plan.failed(second, 1.0, is_hopeless=True)
    assert plan.is_hopeless


def test_one_endpoint_that_does_not_refuse_is_hope() -> None:
    plan = make("a", "b")
    first, second = begin(plan, 2)
    plan.failed(first, 1.0, is_hopeless=True)
    plan.failed(second, 1.0)
    assert not plan.is_hopeless


def test_an_attempt_that_succeeds_or_fails_otherwise_is_hope() -> None:
    plan = make()
    first, second, third = begin(plan, 3)
    plan.failed(first, 1.0, is_hopeless=True)
    plan.opened(second, 1.0)
    plan.failed(third, 1.0)
    assert not plan.is_hopeless


def test_the_next_warm_up_begins_with_hope() -> None:
    plan = make()
    plan.failed(begin(plan, 1)[0], 1.0, is_hopeless=True)
    plan.end_warm_up()
    begin(plan, 1, now=10.0)
    assert not plan.is_hopeless
