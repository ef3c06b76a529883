"""The pool's decisions, by value: every test says what happened and when, and looks at the orders."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from greenws.client.members import Member, Orders, Phase, Rules, Waiter
from greenws.client.plan import AGE_SPREAD, STEADY, Plan
from greenws.errors import ConfigError

NEVER: dict[str, Any] = {"max_idle_time": None, "max_age": None, "check_after": None}


def make(*urls: str, **options: Any) -> Plan:
    """A plan that leaves a failing endpoint alone for 1, 2, 3 … seconds."""
    return Plan(urls or ("a",), Rules(**{**NEVER, **options}), lambda failures: float(failures))


def ask(plan: Plan, now: float = 0.0) -> tuple[Waiter, Orders]:
    waiter = Waiter()
    return waiter, plan.ask(waiter, now)


def lease(plan: Plan, now: float = 0.0) -> Member:
    """A member that is leased now; opened if need be."""
    waiter, orders = ask(plan, now)
    for member in orders.open:
        plan.opened(member, now)
    assert waiter.member is not None
    return waiter.member


def fill(plan: Plan, count: int, now: float = 0.0) -> list[Member]:
    """Makes so many members idle."""
    plan.warm = count + plan.leased
    members = plan.tick(now).open
    for member in members:
        plan.opened(member, now)
    plan.warm = 0
    return members


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


# ---- several endpoints


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


# ---- whatever happens, in whatever order

NUMBERS = strategies.integers(0, 1_000_000)


class AnyPool(RuleBasedStateMachine):
    """Everything that can happen to a plan. The world below it does what it was ordered to, and nothing else."""

    @initialize(
        min_idle=strategies.integers(0, 3),
        size=strategies.integers(3, 6),
        opening=strategies.integers(1, 3),
        endpoints=strategies.integers(1, 3),
        time=strategies.sampled_from([None, 5.0, 20.0]),
    )
    def begin(self, min_idle: int, size: int, opening: int, endpoints: int, time: float | None) -> None:
        rules = Rules(
            min_idle=min_idle, max_size=size, max_opening=opening, max_age=time, max_idle_time=time, check_after=1.0
        )
        self.plan = Plan([f"e{number}" for number in range(endpoints)], rules, lambda failures: min(8.0, 2.0**failures))
        self.now = 0.0
        self.opening: list[Member] = []
        self.leased: list[Member] = []
        self.waiting: list[Waiter] = []  # in the order they came
        self.ever: set[Member] = set()
        self.ended: set[Member] = set()

    def carry_out(self, orders: Orders) -> None:
        for member in orders.open:
            assert member not in self.ever, "opened twice"
            self.ever.add(member)
            self.opening.append(member)
        for member in orders.close:
            assert member not in self.ended, "closed twice"
            assert member not in self.opening
            self.ended.add(member)
            if member in self.leased:
                self.leased.remove(member)
        for waiter in orders.wake:
            assert waiter is self.waiting.pop(0), "somebody pushed in"
            assert waiter.member is not None
            assert waiter.member not in self.leased, "lent twice"
            assert waiter.member not in self.ended, "lent after its end"
            self.leased.append(waiter.member)

    @rule()
    def ask(self) -> None:
        waiter = Waiter()
        self.waiting.append(waiter)
        self.carry_out(self.plan.ask(waiter, self.now))

    @precondition(lambda self: self.waiting)
    @rule(number=NUMBERS)
    def leave(self, number: int) -> None:
        waiter = self.waiting.pop(number % len(self.waiting))
        self.carry_out(self.plan.leave(waiter, self.now))

    @precondition(lambda self: self.opening)
    @rule(number=NUMBERS)
    def opened(self, number: int) -> None:
        member = self.opening.pop(number % len(self.opening))
        self.carry_out(self.plan.opened(member, self.now))

    @precondition(lambda self: self.opening)
    @rule(number=NUMBERS)
    def failed(self, number: int) -> None:
        member = self.opening.pop(number % len(self.opening))
        self.ended.add(member)
        self.carry_out(self.plan.failed(member, self.now))

    @precondition(lambda self: self.leased)
    @rule(number=NUMBERS, reuse=strategies.booleans())
    def returned(self, number: int, reuse: bool) -> None:
        member = self.leased.pop(number % len(self.leased))
        self.carry_out(self.plan.returned(member, self.now, reuse=reuse))

    @precondition(lambda self: self.leased)
    @rule(number=NUMBERS)
    def found_dead_when_leased(self, number: int) -> None:
        member = self.leased.pop(number % len(self.leased))
        waiter = Waiter()
        self.carry_out(self.plan.broken(member, self.now))
        self.waiting.insert(0, waiter)
        self.carry_out(self.plan.ask(waiter, self.now, is_next=True))

    @precondition(lambda self: self.plan.idle)
    @rule(number=NUMBERS)
    def dies_idle(self, number: int) -> None:
        idle = sorted((m for m in self.plan.members if m.phase is Phase.IDLE), key=lambda member: member.number)
        self.carry_out(self.plan.broken(idle[number % len(idle)], self.now))

    @rule(seconds=strategies.sampled_from([0.0, 0.1, 1.0, 6.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.carry_out(self.plan.tick(self.now))

    @invariant()
    def every_member_is_in_one_place(self) -> None:
        plan = self.plan
        idle = {member for member in plan.members if member.phase is Phase.IDLE}
        assert plan.members == self.ever - self.ended
        assert idle == plan.members - set(self.opening) - set(self.leased)
        assert plan.size == plan.idle + plan.leased + plan.opening <= plan.rules.max_size
        assert (plan.idle, plan.leased, plan.opening) == (len(idle), len(self.leased), len(self.opening))
        assert plan.size == sum(endpoint.size for endpoint in plan.endpoints)
        assert plan.opening <= plan.max_opening

    @invariant()
    def nothing_is_idle_while_somebody_waits(self) -> None:
        assert not (self.plan.idle and self.plan.waiters)

    @invariant()
    def who_waits_has_something_to_wait_for(self) -> None:
        plan = self.plan
        if plan.waiters and plan.size < plan.rules.max_size and not plan.opening:
            assert plan.next_time(self.now) is not None, "nobody would ever come back to them"

    def let_all_go_well(self) -> None:
        for member in tuple(self.opening):
            self.opening.remove(member)
            self.carry_out(self.plan.opened(member, self.now))
        for member in tuple(self.leased):
            self.leased.remove(member)
            self.carry_out(self.plan.returned(member, self.now, reuse=True))

    def teardown(self) -> None:
        """When all goes well again, everybody is served, and in the end nothing is left."""
        if not hasattr(self, "plan"):
            return
        for _ in range(len(self.waiting) + 20):
            self.now += 10.0
            self.carry_out(self.plan.tick(self.now))
            self.let_all_go_well()
        assert not self.waiting, "somebody starves"
        self.carry_out(self.plan.close(self.now))
        self.let_all_go_well()
        assert self.ended == self.ever


AnyPool.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnyPool = pytest.mark.slow(AnyPool.TestCase)
