"""The pool's decisions, by value: every test says what happened and when, and looks at the orders."""

from __future__ import annotations

from typing import Any

import pytest

from greenws.client.members import Orders, Phase, Rules
from greenws.client.plan import AGE_SPREAD
from greenws.errors import ConfigError
from tests.client.plans import ask, fill, lease, make

# ---- leases


def test_who_asks_an_empty_pool_has_a_member_opened() -> None:
    plan = make()
    waiter, orders = ask(plan)
    assert [member.endpoint.url for member in orders.open] == ["a"]
    assert waiter.member is None
    orders = plan.opened(orders.open[0], 1.0)
    assert orders.wake == [waiter]
    assert waiter.member is not None
    assert waiter.member.phase is Phase.LEASED


def test_the_member_used_last_is_leased_first() -> None:
    plan = make()
    first, second = fill(plan, 2)
    assert lease(plan) is second
    assert lease(plan) is first


def test_who_waits_is_served_in_the_order_they_came() -> None:
    plan = make(max_size=1)
    member = lease(plan)
    waiters = [ask(plan)[0] for _ in range(3)]
    for waiter in waiters:
        assert plan.returned(member, 0.0, reuse=True).wake == [waiter]
        assert waiter.member is member


def test_who_was_given_a_broken_member_is_the_next() -> None:
    plan = make(max_size=1)
    member = lease(plan)
    first, _ = ask(plan)
    second, _ = ask(plan)
    plan.returned(member, 0.0, reuse=True)
    orders = plan.broken(member, 0.0)
    again = orders.open or plan.tick(1.0).open
    plan.ask(first, 1.0, is_next=True)
    assert plan.opened(again[0], 1.0).wake == [first]
    assert second.member is None


def test_there_are_never_more_than_max_size() -> None:
    plan = make(max_size=2)
    opened = [member for _ in range(5) for member in ask(plan)[1].open]
    assert len(opened) == plan.size == 2


def test_no_more_are_opening_at_once_than_allowed() -> None:
    plan = make(max_opening=2)
    opened = [member for _ in range(5) for member in ask(plan)[1].open]
    assert len(opened) == 2
    assert len(plan.opened(opened[0], 0.0).open) == 1


def test_who_leaves_gets_nothing_and_what_was_opened_for_them_is_idle() -> None:
    plan = make()
    waiter, orders = ask(plan)
    assert plan.leave(waiter, 0.0) == Orders()
    assert plan.opened(orders.open[0], 0.0) == Orders()
    assert plan.idle == 1


def test_who_leaves_with_a_member_in_hand_hands_it_on() -> None:
    plan = make(max_size=1)
    member = lease(plan)
    first, _ = ask(plan)
    second, _ = ask(plan)
    plan.returned(member, 0.0, reuse=True)
    assert plan.leave(first, 0.0).wake == [second]
    assert second.member is member


def test_what_is_not_fit_is_closed_and_who_waits_has_another_opened() -> None:
    plan = make(max_size=1)
    member = lease(plan)
    ask(plan)
    orders = plan.returned(member, 0.0, reuse=False)
    assert orders.close == [member]
    assert len(orders.open) == 1


# ---- how many


def test_as_many_are_kept_idle_as_wanted() -> None:
    plan = make(min_idle=2, max_size=3)
    opened = plan.tick(0.0).open
    assert len(opened) == 2
    for member in opened:
        plan.opened(member, 0.0)
    assert len(ask(plan)[1].open) == 1  # the two others are to be idle again
    assert ask(plan)[1].open == []  # max_size


def test_a_warm_up_opens_more_than_are_kept() -> None:
    plan = make(max_opening=3)
    plan.warm = 5
    opened = plan.tick(0.0).open
    assert len(opened) == 3
    for member in opened:
        opened += plan.opened(member, 0.0).open
    assert len(opened) == 5


def test_what_is_idle_too_long_is_closed_but_for_those_wanted() -> None:
    plan = make(min_idle=1, max_idle_time=10.0)
    first, second, third = fill(plan, 3)
    assert plan.tick(9.0).close == []
    assert plan.tick(10.0).close == [first, second]
    assert plan.tick(99.0) == Orders()
    assert third.phase is Phase.IDLE


def test_what_is_too_old_is_replaced() -> None:
    plan = make(min_idle=1, max_age=10.0)
    member = plan.tick(0.0).open[0]
    plan.opened(member, 0.0)
    orders = plan.tick(10.0)
    assert orders.close == [member]
    assert len(orders.open) == 1


def test_what_is_too_old_is_not_leased() -> None:
    plan = make(max_age=10.0)
    (member,) = fill(plan, 1)
    orders = ask(plan, 10.0)[1]
    assert orders.close == [member]
    assert len(orders.open) == 1


def test_what_became_too_old_while_it_was_leased_is_closed_when_it_returns() -> None:
    plan = make(max_age=10.0)
    member = lease(plan)
    assert plan.returned(member, 10.0, reuse=True).close == [member]


def test_those_opened_together_grow_old_one_after_another() -> None:
    plan = make(max_age=100.0)
    ends = [member.expires_at for member in fill(plan, 50)]
    assert len(set(ends)) == 50
    assert 100.0 * (1 - AGE_SPREAD) < min(ends) < 82 < 98 < max(ends) <= 100.0


def test_what_was_idle_for_long_is_to_be_checked() -> None:
    plan = make(check_after=10.0)
    (member,) = fill(plan, 1)
    assert not lease(plan, 9.9).is_stale
    plan.returned(member, 10.0, reuse=True)
    assert lease(plan, 20.0).is_stale


def test_what_has_just_been_opened_needs_no_check() -> None:
    plan = make(check_after=0.0)
    assert not lease(plan).is_stale


def test_who_leaves_without_having_checked_leaves_nothing_that_looks_fresh() -> None:
    plan = make(check_after=10.0, max_size=1)
    (member,) = fill(plan, 1)
    waiter, _ = ask(plan, 20.0)
    assert plan.leave(waiter, 20.0).close == [member]


def test_when_one_of_the_stale_turns_out_dead_the_other_stale_ones_go_too() -> None:
    plan = make(check_after=10.0)
    first, second, fresh, third = fill(plan, 4)
    member = lease(plan)
    assert member is third
    plan.returned(member, 5.0, reuse=True)
    plan.returned(lease(plan, 5.0), 5.0, reuse=True)
    plan.tick(5.0)
    held = lease(plan, 12.0)
    assert held is third
    assert not held.is_stale
    found = lease(plan, 12.0)
    assert found is fresh
    assert found.is_stale
    assert plan.broken(found, 12.0).close == [fresh, first, second]


# ---- the end


def test_a_closed_pool_refuses_who_waits_and_closes_what_is_idle() -> None:
    plan = make(max_size=2)
    leased = lease(plan)
    (idle,) = fill(plan, 1)
    orders = plan.close(0.0)
    assert orders.close == [idle]
    assert plan.returned(leased, 0.0, reuse=True).close == [leased]
    assert plan.size == 0

    waiting = make(max_size=1)
    lease(waiting)
    waiter, _ = ask(waiting)
    assert waiting.close(0.0).wake == [waiter]
    assert waiter.member is None


def test_a_closed_pool_closes_what_was_still_opening_and_opens_nothing() -> None:
    plan = make(min_idle=1)
    member = plan.tick(0.0).open[0]
    plan.close(0.0)
    assert plan.opened(member, 0.0) == Orders(close=[member])
    late, orders = ask(plan)
    assert orders == Orders(wake=[late])
    assert plan.tick(1.0) == Orders()


@pytest.mark.parametrize(
    "options",
    [
        {"min_idle": 3, "max_size": 2},
        {"max_size": 0},
        {"max_age": 0},
        {"min_idle": -1},
        {"max_size": 1.5},
        {"max_opening": None},
    ],
)
def test_rules_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Rules(**options)
