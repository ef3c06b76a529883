"""What a pool of connections does next, as values: no I/O, no clock, no greenlet.

Whatever happens to a pool is one call here. It is told the time and returns ``Orders``: what to open, what to close,
and who waits no longer. ``greenws.client.keeper`` carries them out and tells how it went.

A member's life:

    OPENING ──opened──▶ IDLE ◀──returned── LEASED
       │                 │ ╰────lease────────▶│
       ╰──── failed ─────┴── broken, retired ─┴──▶ CLOSED

The laws: there are never more than ``max_size`` members. Who waits is served in the order they came, and while anybody
waits nothing is idle. An endpoint that fails is left alone for a while, longer each time, then tried with one member.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from greenws.client.members import Endpoint, Member, Orders, Phase, Rules, Waiter
from greenws.net.heartbeat import GOLDEN

STEADY = 5.0  # seconds after which a connection proves that its endpoint works, if it has not been used before
AGE_SPREAD = 0.2  # members live up to so much less than max_age: those opened together do not all end together


class Plan:
    """The decisions of one pool.

    Args:
        urls: where to connect to.
        rules: the settings.
        delay: how many seconds to leave an endpoint alone after so many failures in a row.

    Attributes:
        warm: how many members are wanted in all, for the time of a warm-up.
        max_opening: how many may be opening at once.
    """

    def __init__(self, urls: Iterable[str], rules: Rules, delay: Callable[[int], float]) -> None:
        self.rules = rules
        self.endpoints = [Endpoint(url) for url in urls]
        self.members: set[Member] = set()
        self.waiters: deque[Waiter] = deque()
        self.warm = 0
        self.max_opening = rules.max_opening
        self.is_closed = False
        self.idle = self.leased = self.opening = 0
        self._delay = delay
        self._number = 0
        self._turn = 0
        self._refill_at = 0.0

    # ---- what happens to a pool

    def ask(self, waiter: Waiter, now: float, *, is_next: bool = False) -> Orders:
        """Somebody wants a member; ``is_next`` for who was given one that turned out to be broken."""
        waiter.member = None
        if self.is_closed:
            return Orders(wake=[waiter])
        if is_next:
            self.waiters.appendleft(waiter)
        else:
            self.waiters.append(waiter)
        return self._settle(now)

    def leave(self, waiter: Waiter, now: float) -> Orders:
        """Somebody waits no longer, though they may just have been given a member."""
        if waiter.member is not None:
            return self.returned(waiter.member, now, reuse=not waiter.member.is_stale, is_used=False)
        if waiter in self.waiters:
            self.waiters.remove(waiter)
        return Orders()

    def opened(self, member: Member, now: float) -> Orders:
        """A member is connected."""
        member.opened_at = now
        member.endpoint.refuses = False
        if self.rules.max_age is not None:
            member.expires_at = now + self.rules.max_age * (1 - AGE_SPREAD * (member.number * GOLDEN % 1))
        return self._settle(now, self._rest(member, now))

    def failed(self, member: Member, now: float, *, is_hopeless: bool = False) -> Orders:
        """A member could not be connected; ``is_hopeless`` when another one would fare no better."""
        member.endpoint.refuses = is_hopeless
        self._move(member, Phase.CLOSED, now)
        self._blame(member, now)
        return self._settle(now)

    def returned(self, member: Member, now: float, *, reuse: bool, is_used: bool = True) -> Orders:
        """A lease has ended. ``reuse`` says whether the member is fit for the next."""
        if reuse and is_used:
            member.is_proven = True
            self._absolve(member)
        orders = self._rest(member, now) if reuse else self._retire(member, now, Orders())
        return self._settle(now, orders)

    def broken(self, member: Member, now: float) -> Orders:
        """A member was found dead.

        One that never did any good counts like one that could not be connected. If it was stale, the others that are
        stale go with it: to open new ones takes less time than to ask each.
        """
        orders = self._retire(member, now, Orders())
        if member.is_stale:
            for other in tuple(member.endpoint.idle):
                if self._is_stale(other, now):
                    self._retire(other, now, orders)
        if not self._is_proven(member, now):
            self._blame(member, now)
        elif self._refill_at <= now:
            self._refill_at = now + self._delay(1)
        return self._settle(now, orders)

    def tick(self, now: float) -> Orders:
        """Time has passed."""
        orders, limit = Orders(), self.rules.max_idle_time
        self._take_from_the_slow(now, orders)
        spare = self.idle - max(self.rules.min_idle, self.warm)
        for endpoint in self.endpoints:
            for member in tuple(endpoint.idle):
                if now >= member.expires_at or limit is not None and spare > 0 and now - member.since >= limit:
                    self._retire(member, now, orders)
                    spare -= 1
        if any(endpoint.failures for endpoint in self.endpoints):
            for member in self.members:
                if member.phase is not Phase.OPENING and self._is_proven(member, now):
                    self._absolve(member)
        return self._settle(now, orders)

    def begin_warm_up(self, count: int, max_opening: int, now: float) -> Orders:
        """There are to be ``count`` members in all, idle and leased, until ``end_warm_up``."""
        self.warm, self.max_opening = count, max_opening
        for endpoint in self.endpoints:
            endpoint.refuses = False  # what it said before may have changed
        return self.tick(now)

    def end_warm_up(self) -> None:
        """There are as many as were wanted, or nobody waits for them any more."""
        self.warm, self.max_opening = 0, self.rules.max_opening

    @property
    def is_hopeless(self) -> bool:
        """Whether every endpoint refuses for good, and no attempt is under way."""
        return not self.opening and all(endpoint.refuses for endpoint in self.endpoints)

    def next_time(self, now: float) -> float | None:
        """When ``tick`` has something to do that cannot wait; None if nothing is known to come."""
        if self.is_closed:
            return None
        times = [endpoint.retry_at for endpoint in self.endpoints if endpoint.failures] + [self._refill_at]
        return min((time for time in times if time > now), default=None)

    def close(self, now: float) -> Orders:
        """No more leases: who waits is refused, what is idle is closed, what is leased is closed when it returns."""
        self.is_closed = True
        orders = Orders(wake=list(self.waiters))
        self.waiters.clear()
        for endpoint in self.endpoints:
            for member in tuple(endpoint.idle):
                self._retire(member, now, orders)
        return orders

    # ---- how it is decided

    def _settle(self, now: float, orders: Orders | None = None) -> Orders:
        """Serves who waits, and opens what is wanted and allowed."""
        orders = orders or Orders()
        while self.waiters and (member := self._take(now, orders)):
            waiter = self.waiters.popleft()
            waiter.member = member
            orders.wake.append(waiter)
        for _ in range(min(self._missing(now), self.rules.max_size - self.size, self.max_opening - self.opening)):
            endpoint = self._where_to_open(now)
            if endpoint is None:
                break
            self._number += 1
            member = Member(self._number, endpoint, now)
            self.members.add(member)
            self.opening += 1
            endpoint.opening += 1
            orders.open.append(member)
        return orders

    def _take(self, now: float, orders: Orders) -> Member | None:
        """Leases the idle member used last, of the endpoint with the fewest leases."""
        while self.idle:
            endpoint = min(filter(_has_idle, self.endpoints), key=_lease_order)
            member = next(reversed(endpoint.idle))
            if now >= member.expires_at:
                self._retire(member, now, orders)
                continue
            member.is_stale = self._is_stale(member, now)
            self._move(member, Phase.LEASED, now)
            self._turn += 1
            endpoint.turn = self._turn
            return member
        return None

    def _missing(self, now: float) -> int:
        if self.is_closed:
            return 0
        spare = self.rules.min_idle - self.idle if now >= self._refill_at else 0
        return len(self.waiters) + max(spare, self.warm - self.idle - self.leased, 0) - self.opening

    def _where_to_open(self, now: float) -> Endpoint | None:
        """The endpoint with the fewest members. One that failed is tried when its time has come, with one at a time."""
        fit = [e for e in self.endpoints if not e.failures or now >= e.retry_at and not e.opening]
        return min(fit, key=lambda endpoint: endpoint.size, default=None)

    def _rest(self, member: Member, now: float) -> Orders:
        orders = Orders()
        if self.is_closed or now >= member.expires_at:
            return self._retire(member, now, orders)
        self._move(member, Phase.IDLE, now)
        return orders

    def _retire(self, member: Member, now: float, orders: Orders) -> Orders:
        self._move(member, Phase.CLOSED, now)
        orders.close.append(member)
        return orders

    def _move(self, member: Member, phase: Phase, now: float) -> None:
        """Changes a member's phase, and every count that goes by it."""
        endpoint = member.endpoint
        for which, step in ((member.phase, -1), (phase, 1)):
            if which is Phase.IDLE:
                self.idle += step
                if step > 0:
                    endpoint.idle[member] = None
                else:
                    del endpoint.idle[member]
            elif which is Phase.LEASED:
                self.leased += step
                endpoint.leased += step
            elif which is Phase.OPENING:
                self.opening += step
                endpoint.opening += step
        member.phase, member.since = phase, now
        if phase is Phase.CLOSED:
            self.members.remove(member)

    def _take_from_the_slow(self, now: float, orders: Orders) -> None:
        """Ends the leases that have lasted too long."""
        limit = self.rules.max_lease_time
        if limit is not None and self.leased:
            for member in tuple(self.members):
                if member.phase is Phase.LEASED and now - member.since >= limit:
                    orders.leaked.append(member)
                    self._retire(member, now, orders)

    @property
    def size(self) -> int:
        """How many members there are."""
        return len(self.members)

    # ---- whom to trust

    def _is_stale(self, member: Member, now: float) -> bool:
        limit = self.rules.check_after
        return limit is not None and now - member.since >= limit and now > member.opened_at

    def _is_proven(self, member: Member, now: float) -> bool:
        return member.is_proven or now - member.opened_at >= STEADY

    def _blame(self, member: Member, now: float) -> None:
        """Counts a failure: once for all that were under way when the first of them failed."""
        endpoint = member.endpoint
        if member.number > endpoint.blamed:
            endpoint.blamed = self._number
            endpoint.failures += 1
            endpoint.retry_at = now + self._delay(endpoint.failures)

    def _absolve(self, member: Member) -> None:
        if member.number > member.endpoint.blamed:
            member.endpoint.failures = 0


def _has_idle(endpoint: Endpoint) -> bool:
    return bool(endpoint.idle)


def _lease_order(endpoint: Endpoint) -> tuple[bool, int, int]:
    return endpoint.failures > 0, endpoint.leased, endpoint.turn
