"""Carries out what a pool's plan orders: greenlets open connections, a timer tells the time, and who waits is woken.

The keeper is told of the end of every connection, so an idle one that dies is replaced in the same turn of the hub.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent.event import Event

from greenws.client.backoff import is_hopeless
from greenws.client.members import Member, Orders, Phase, Rules
from greenws.client.plan import Plan
from greenws.client.report import Tally
from greenws.client.upstream import Connections, Look, Upstream, make_upstream
from greenws.errors import ConnectError, OperationTimeout

log = logging.getLogger("greenws.client")

TICK = 1.0  # seconds between looks at the age of what is idle
FIRST_DELAY, MAX_DELAY = 0.5, 30.0  # seconds that a failing endpoint is left alone, at most: the first time, ever
CHECK_TIMEOUT = 2.0  # seconds for the pong of a connection that was idle for long

_REASONS = {
    Look.UNREAD: "a connection held a message that nobody received; on_open can receive a greeting",
    Look.LEFT: "a connection was closed while it was idle",
    Look.LOST: "a connection was lost while it was idle",
}


class Keeper:
    """The connections of one pool, and everything that is done to them. Blocks only where a docstring says so.

    Args:
        urls, rules, options: as the pool was given them.
        connect_timeout: seconds to open one connection.
        on_open: called with each new connection, before it is lent.

    Attributes:
        plan: decides.
        tally: what has happened.
        members: the members by their connection, for as long as that lives.
        changed: is set whenever a connection has been opened or has ended, or an attempt has failed.
    """

    def __init__(
        self,
        urls: Iterable[str],
        rules: Rules,
        options: dict[str, Any],
        connect_timeout: float | None,
        on_open: Callable[[Any], object] | None,
    ) -> None:
        self.plan = Plan(urls, rules, _delay)
        self.tally = Tally()
        self.members: dict[Any, Member] = {}
        self.changed = Event()
        connections = Connections(self._on_end)
        self._upstreams = {e.url: make_upstream(e.url, connections, options) for e in self.plan.endpoints}
        self._connect_timeout = connect_timeout
        self._on_open = on_open
        self._openers: dict[gevent.Greenlet, Member] = {}
        self._hopeless: set[Member] = set()  # those whose attempt has shown that another one would fail, too
        self._loop: Any = None
        self._timer: Any = None
        self._due = 0.0

    def _upstream(self, member: Member) -> Upstream:
        return self._upstreams[member.endpoint.url]

    # ---- before and after a lease

    def is_fit(self, member: Member) -> bool:
        """Looks at a leased connection before it is used, and asks its peer if that is not enough. May block."""
        upstream = self._upstream(member)
        look = upstream.look(member.conn)
        if look is Look.UNSURE or look is Look.FIT and member.is_stale:
            try:
                look = Look.FIT if upstream.check(member.conn, CHECK_TIMEOUT) else Look.LOST
            except BaseException:
                self.take_back(member, reuse=False)
                raise
        if look is not Look.FIT:
            self.tally.lost += 1
            self.tally.last_error = _REASONS[look]
        return look is Look.FIT

    def take_back(self, member: Member, *, reuse: bool) -> None:
        """Ends a lease. Does not block. One that has been ended already is left alone."""
        if member.phase is not Phase.LEASED:
            return
        now = time.monotonic()
        look = self._upstream(member).look(member.conn)
        if look is Look.LOST:
            self.tally.lost += 1
            orders = self.plan.broken(member, now)
        else:
            orders = self.plan.returned(member, now, reuse=reuse and look in (Look.FIT, Look.UNSURE))
        self.carry_out(orders, now)

    def lose(self, member: Member) -> None:
        """Nobody holds the lease any more. May be called from anywhere: this is what a destructor calls."""
        self._loop.run_callback_threadsafe(self._on_lost_lease, member)

    def _on_lost_lease(self, member: Member) -> None:
        """In the hub, where no decision is under way."""
        if member.phase is Phase.LEASED:
            self._note_leak(member, "was never released, and nobody holds it any more")
            self.take_back(member, reuse=False)

    def _note_leak(self, member: Member, what: str) -> None:
        self.tally.leaked += 1
        log.warning("A lease %s: %s had it, its connection to %s is closed", what, member.user, member.endpoint.url)

    # ---- what the plan orders

    def carry_out(self, orders: Orders, now: float) -> None:
        """Does what the plan has decided. Does not block."""
        for waiter in orders.wake:
            if waiter.wake is not None:
                waiter.wake.set()
        for member in orders.leaked:
            self._note_leak(member, f"has lasted {self.plan.rules.max_lease_time:g} s and more")
        for member in orders.close:
            self._upstream(member).end(member.conn)
            member.conn = None
        for member in orders.open:
            opener = gevent.spawn(self._run_opener, member)
            self._openers[opener] = member
            opener.rawlink(self._on_opener_end)
        if self._timer is None or orders.open or orders.close:
            self._arm(now)

    def _run_opener(self, member: Member | None) -> None:
        """Opens a member, then one that is ordered when it is open, and so on: a greenlet for each would cost more."""
        while member is not None:
            member = self._open(member)

    def _open(self, member: Member) -> Member | None:
        """Opens a member. Returns the one to be opened next, if there is one."""
        began, url = time.monotonic(), member.endpoint.url
        conn = None
        try:
            why = OperationTimeout(f"no connection to {url} within {self._connect_timeout} s")
            with gevent.Timeout(self._connect_timeout, why):
                conn = self._upstream(member).open()
                if self._on_open is not None:
                    self._on_open(conn)
            if conn.closed:
                raise ConnectError(f"{url} closed a connection as soon as it was open")
        except BaseException as error:
            if conn is not None:
                conn.abort()
            if not isinstance(error, Exception | gevent.Timeout):
                raise
            self.tally.last_error = f"{type(error).__name__}: {error}"
            if is_hopeless(error):
                self._hopeless.add(member)
            return None  # and on to _on_opener_end
        now = time.monotonic()
        member.conn = conn
        self.members[conn] = member
        self.tally.opened += 1
        self.tally.connects.append(now - began)
        orders = self.plan.opened(member, now)
        successor = orders.open.pop() if orders.open else None
        if successor is not None:
            self._openers[gevent.getcurrent()] = successor
        self.carry_out(orders, now)
        self.changed.set()
        return successor

    def _on_opener_end(self, opener: gevent.Greenlet) -> None:
        """In the hub: an attempt is over, however it ended."""
        member = self._openers.pop(opener)
        if member.phase is Phase.OPENING:
            now = time.monotonic()
            self.tally.failed += 1
            hopeless = member in self._hopeless
            self._hopeless.discard(member)
            self.carry_out(self.plan.failed(member, now, is_hopeless=hopeless), now)
            self._arm(now)
        self.changed.set()

    def _on_end(self, conn: Any) -> None:
        """A connection has ended. One that was idle is replaced; of a leased one its user learns by itself."""
        member = self.members.pop(conn, None)
        if member is None:
            return
        self.tally.closed += 1
        if member.phase is Phase.IDLE:
            now = time.monotonic()
            self.tally.lost += 1
            self.carry_out(self.plan.broken(member, now), now)
        self.changed.set()

    # ---- time

    def _arm(self, now: float) -> None:
        """Sets the timer for the next time at which there may be something to do."""
        due = self.plan.next_time(now)
        if due is None and (self.plan.is_closed or not self.plan.members):
            self._disarm()
            return
        due = now + TICK if due is None else min(due, now + TICK)
        if self._timer is None or due < self._due:
            self._disarm()
            self._due = due
            self._loop = gevent.get_hub().loop
            self._timer = self._loop.timer(max(0.0, due - now))
            self._timer.start(self._on_time)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _on_time(self) -> None:
        self._disarm()
        now = time.monotonic()
        self.carry_out(self.plan.tick(now), now)
        self._arm(now)

    def close(self) -> None:
        """Ends what is idle and what is being opened. Does not block."""
        if not self.plan.is_closed:
            now = time.monotonic()
            self.carry_out(self.plan.close(now), now)
            gevent.killall(list(self._openers), block=False)
            self._arm(now)


def _delay(failures: int) -> float:
    """Full jitter: many pools that lost one upstream do not come back to it together."""
    return random.uniform(0, min(MAX_DELAY, FIRST_DELAY * 2 ** (failures - 1)))
