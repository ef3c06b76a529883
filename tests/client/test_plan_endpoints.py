"""The pool's decisions about endpoints: which one lends or is opened next, and how long a failing one is left alone."""

from __future__ import annotations

from greenws.client.members import Orders
from greenws.client.plan import STEADY
from tests.client.plans import ask, fill, lease, make


def test_the_endpoint_with_the_fewest_leases_lends_next() -> None:
    plan = make("a", "b", "c")
    fill(plan, 9)
    assert sorted(lease(plan).endpoint.url for _ in range(6)) == ["a", "a", "b", "b", "c", "c"]


def test_equal_endpoints_take_turns() -> None:
    plan = make("a", "b", "c")
    fill(plan, 3)
    urls = []
    for _ in range(6):
        member = lease(plan)
        urls.append(member.endpoint.url)
        plan.returned(member, 0.0, reuse=True)
    assert sorted(urls) == ["a", "a", "b", "b", "c", "c"]


def test_the_endpoint_with_the_fewest_members_is_opened_next() -> None:
    plan = make("a", "b", min_idle=4)
    assert sorted(member.endpoint.url for member in plan.tick(0.0).open) == ["a", "a", "b", "b"]


def test_an_endpoint_that_fails_is_left_alone_and_the_others_serve() -> None:
    plan = make("a", "b")
    _, orders = ask(plan)
    assert [member.endpoint.url for member in plan.failed(orders.open[0], 0.0).open] == ["b"]
    assert {member.endpoint.url for _ in range(5) for member in ask(plan, 0.5)[1].open} == {"b"}
    assert plan.next_time(0.5) == 1.0


def test_an_endpoint_that_failed_is_tried_again_with_one_member() -> None:
    plan = make(max_opening=10)
    for _ in range(5):
        ask(plan)
    for member in tuple(plan.members):
        assert plan.failed(member, 0.0).open == []
    assert plan.tick(0.9).open == []
    assert len(plan.tick(1.0).open) == 1


def test_one_wave_of_failures_is_one_failure() -> None:
    plan = make(max_opening=10)
    for _ in range(5):
        ask(plan)
    for member in tuple(plan.members):
        plan.failed(member, 0.0)
    assert plan.endpoints[0].failures == 1


def test_each_further_failure_waits_longer() -> None:
    plan = make()
    _, orders = ask(plan)
    now = 0.0
    for failures in (1, 2, 3):
        assert plan.failed(orders.open[0], now) == Orders()
        assert plan.next_time(now) == now + failures
        now += failures
        orders = plan.tick(now)


def test_a_member_that_dies_before_it_was_of_use_is_a_failure() -> None:
    plan = make(min_idle=5, max_size=5)
    now, attempts = 0.0, 0
    while now < 100:
        for member in plan.tick(now).open:
            attempts += 1
            plan.opened(member, now)
            plan.broken(member, now)
        now += 0.01
    assert attempts <= 20  # five at once, then after 1, 2, 3 … seconds


def test_a_member_that_was_of_use_clears_its_endpoint() -> None:
    plan = make(max_opening=10)
    plan.failed(ask(plan)[1].open[0], 0.0)
    member = plan.tick(1.0).open[0]
    plan.opened(member, 1.0)
    plan.returned(member, 1.0, reuse=True)
    assert plan.endpoints[0].failures == 0
    assert sum(len(ask(plan, 1.0)[1].open) for _ in range(4)) == 3


def test_a_member_that_lasts_clears_its_endpoint() -> None:
    plan = make(min_idle=1)
    plan.failed(plan.tick(0.0).open[0], 0.0)
    plan.opened(plan.tick(1.0).open[0], 1.0)
    plan.tick(1.0 + STEADY)
    assert plan.endpoints[0].failures == 0


def test_an_old_member_says_nothing_about_an_endpoint_that_failed_since() -> None:
    plan = make()
    old = lease(plan)
    plan.failed(ask(plan)[1].open[0], 0.0)
    plan.returned(old, 0.0, reuse=True)
    assert plan.endpoints[0].failures == 1


def test_what_breaks_after_it_was_of_use_is_replaced_a_little_later() -> None:
    plan = make(min_idle=3)
    members = plan.tick(0.0).open
    for member in members:
        plan.opened(member, 0.0)
    now = STEADY
    for member in members:
        assert plan.broken(member, now).open == []
    assert plan.next_time(now) == now + 1
    assert len(plan.tick(now + 1).open) == 3
