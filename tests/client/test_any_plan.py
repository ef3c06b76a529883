"""The laws of a pool's decisions, whatever happens to it, in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from greenws.client.members import Member, Orders, Phase, Rules, Waiter
from greenws.client.plan import Plan

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
