"""Plans for tests, and the steps that bring one into a state."""

from __future__ import annotations

from typing import Any

from greenws.client.members import Member, Orders, Rules, Waiter
from greenws.client.plan import Plan

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
