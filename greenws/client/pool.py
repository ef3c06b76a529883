"""A pool of connections to an upstream: opened before they are needed, lent, and looked after while they are idle.

What is to be done is decided in ``greenws.client.plan`` and done by ``greenws.client.keeper``. Here is what users call.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from weakref import WeakSet

import gevent
from gevent.event import Event

from greenws.client.keeper import Keeper
from greenws.client.members import Member, Rules, Waiter
from greenws.client.report import PoolStats, WarmUp, percentile
from greenws.errors import ConfigError, PoolTimeout, StateError

POOLS: WeakSet[ConnectionPool] = WeakSet()  # of this process, for metrics
DEFAULT_SIZE = 100
EXIT_TIMEOUT = 6.0  # seconds that the end of a with block waits; a connection's close_timeout is 5


class Lease:
    """One connection, yours until the lease ends: at the end of its with block, or at ``release``.

    One that is collected as garbage before that has leaked: it is logged, and the connection is closed.

    Attributes:
        conn: a ``Connection``; for ``tcp://`` and ``tls://`` a ``RawConnection``, which has a gevent ``socket``.
    """

    __slots__ = ("_keeper", "_member", "conn")

    def __init__(self, keeper: Keeper, member: Member) -> None:
        self._keeper = keeper
        self._member: Member | None = member
        self.conn = member.conn

    def release(self, *, reuse: bool = True) -> None:
        """Gives the connection back. Does not block. The second time it does nothing.

        Args:
            reuse: False closes the connection, because nobody knows what its peer will say next.
        """
        member, self._member = self._member, None
        if member is not None:
            self._keeper.take_back(member, reuse=reuse)

    def __del__(self) -> None:
        """Lets the pool know that nobody is going to release it."""
        if self._member is not None:
            self._keeper.lose(self._member)

    def __enter__(self) -> Any:
        """Returns the connection."""
        return self.conn

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Gives the connection back. After an exception it is closed: an answer may still be under way."""
        self.release(reuse=kind is None)


class ConnectionPool:
    """Connections to one upstream, kept open and lent.

    Making a pool connects to nothing: it opens connections when it is warmed up or first asked. It belongs to the
    thread that does that, and to the process: a worker warms its own. Any greenlet of that thread may use it.

    Args:
        urls: ``ws://``, ``wss://``, ``tcp://HOST:PORT`` or ``tls://HOST:PORT``; several are endpoints of equal rank.
        min_idle: connections kept idle beyond those that are leased.
        max_size: connections there may be in all; None is 100, or ``min_idle`` if that is more.
        max_idle_time: seconds after which a connection that nobody needed is closed, as far as there are more than
            ``min_idle``.
        max_age: seconds after which a connection is replaced by a new one; each lives up to a fifth less.
        check_after: a connection that was idle for so many seconds answers a ping before it is lent. None asks never.
        max_lease_time: seconds after which a lease that was not released is taken back: its connection is closed, and
            who had it is logged.
        connect_timeout: seconds to open one connection, ``on_open`` included.
        lease_timeout: seconds to wait for a lease; None waits as long as it takes.
        max_opening: connections that may be opening at once.
        on_open: ``on_open(conn)`` for each new connection, before it is lent: to log in, or to read a greeting.
        options: as for ``greenws.connect``; ``ssl`` and ``socket_options`` for sockets, too.

    Raises:
        ConfigError: a setting cannot work.

    Example:
        .. code-block:: python

            with ConnectionPool("wss://upstream.example/feed", min_idle=500) as pool:
                print(pool.warm_up())
                with pool.lease(timeout=1) as conn:
                    conn.send("hello")
    """

    def __init__(
        self,
        urls: str | Iterable[str],
        *,
        min_idle: int = 0,
        max_size: int | None = None,
        max_idle_time: float | None = 300.0,
        max_age: float | None = 3600.0,
        check_after: float | None = 10.0,
        max_lease_time: float | None = None,
        connect_timeout: float | None = 10.0,
        lease_timeout: float | None = 5.0,
        max_opening: int = 50,
        on_open: Callable[[Any], object] | None = None,
        **options: Any,
    ) -> None:
        self.urls = (urls,) if isinstance(urls, str) else tuple(urls)
        if not self.urls or len(set(self.urls)) < len(self.urls):
            raise ConfigError("a pool needs at least one URL, and each only once")
        rules = Rules(
            min_idle=min_idle,
            max_size=max(min_idle, DEFAULT_SIZE) if max_size is None else max_size,
            max_opening=max_opening,
            max_idle_time=max_idle_time,
            max_age=max_age,
            check_after=check_after,
            max_lease_time=max_lease_time,
        )
        self._keeper = Keeper(self.urls, rules, options, connect_timeout, on_open)
        self._plan = self._keeper.plan
        self._lease_timeout = lease_timeout
        POOLS.add(self)

    # ---- leases

    def lease(self, timeout: float | None = None) -> Lease:
        """Lends a connection. Blocks the calling greenlet until there is one.

        A connection that is known to be dead, or that holds something nobody received, is never lent. To ask one that
        was idle for long takes a round trip, or up to two seconds when no answer comes.

        Args:
            timeout: seconds to wait; ``lease_timeout`` when None.

        Raises:
            PoolTimeout: none was free in time.
            StateError: the pool is closed.
        """
        keeper, plan, began = self._keeper, self._plan, time.monotonic()
        if timeout is None:
            timeout = self._lease_timeout
        until = None if timeout is None else began + timeout
        waiter = Waiter()
        keeper.carry_out(plan.ask(waiter, began), began)
        has_waited = waiter.member is None
        while not keeper.is_fit(member := waiter.member or self._wait(waiter, until, timeout)):
            now = time.monotonic()
            keeper.carry_out(plan.broken(member, now), now)
            if until is not None and now >= until:
                raise self._too_late(timeout)
            keeper.carry_out(plan.ask(waiter, now, is_next=True), now)
        caller = sys._getframe().f_back  # which costs nothing, unlike a whole stack
        member.leased_at = caller and (caller.f_code, caller.f_lineno)
        keeper.tally.note_lease(time.monotonic() - began, is_reused=member.is_proven, has_waited=has_waited)
        return Lease(keeper, member)

    def _wait(self, waiter: Waiter, until: float | None, timeout: float | None) -> Member:
        """Waits in the queue. Leaves it on every way out but with a member."""
        if not self._plan.is_closed:
            waiter.wake = Event()
            try:
                waiter.wake.wait(None if until is None else max(0.0, until - time.monotonic()))
            except BaseException:
                now = time.monotonic()
                self._keeper.carry_out(self._plan.leave(waiter, now), now)
                raise
        if waiter.member is not None:
            return waiter.member
        if self._plan.is_closed:
            raise StateError("the pool is closed")
        error = self._too_late(timeout)
        self._plan.leave(waiter, time.monotonic())
        raise error

    def _too_late(self, timeout: float | None) -> PoolTimeout:
        stats = self.stats
        text = (
            f"no connection to {' or '.join(self.urls)} was free within {timeout} s: of at most "
            f"{self._plan.rules.max_size} there are {stats.leased} leased, {stats.idle} idle and "
            f"{stats.opening} opening, and {stats.waiting} wait"
        )
        return PoolTimeout(text if stats.last_error is None else f"{text}; last error: {stats.last_error}", stats)

    # ---- warm-up

    def warm_up(
        self,
        count: int | None = None,
        *,
        concurrency: int | None = None,
        timeout: float | None = 30.0,
        progress: Callable[[int, int], object] | None = None,
    ) -> WarmUp:
        """Opens connections before they are needed. Blocks the calling greenlet until they are there or time is up.

        An attempt that fails is made again, but not at once: see ``docs/pool.md``. When every endpoint refuses in a way
        that is not going to change, such as with 401 or a wrong certificate, it ends at once.

        Args:
            count: how many there are to be, idle and leased; ``min_idle`` when None.
            concurrency: how many are opened at once; ``max_opening`` when None.
            timeout: seconds; None waits as long as it takes.
            progress: ``progress(ready, count)`` whenever there is another one.

        Returns:
            What was achieved: ``is_complete`` tells whether that is all, ``is_refused`` whether there was no hope.

        Raises:
            ConfigError: there can never be so many.
            StateError: the pool is closed, or is being warmed up already.
        """
        keeper, plan, began = self._keeper, self._plan, time.monotonic()
        count = plan.rules.min_idle if count is None else count
        if not 0 <= count <= plan.rules.max_size:
            raise ConfigError(f"cannot warm up {count} connections: max_size is {plan.rules.max_size}")
        if plan.is_closed or plan.warm:
            raise StateError("the pool is closed" if plan.is_closed else "the pool is being warmed up already")
        opened, failed = keeper.tally.opened, keeper.tally.failed
        try:
            keeper.carry_out(plan.begin_warm_up(count, concurrency or plan.rules.max_opening, began), began)
            with gevent.Timeout(timeout, False):
                self._wait_until_warm(count, progress)
        finally:
            plan.end_warm_up()
        tally = keeper.tally
        opened, failed = tally.opened - opened, tally.failed - failed
        recent = list(tally.connects)[-opened:] if opened else []
        return WarmUp(
            wanted=count,
            ready=plan.idle + plan.leased,
            opened=opened,
            failed=failed,
            seconds=time.monotonic() - began,
            connect_p50=percentile(recent, 0.5),
            connect_p99=percentile(recent, 0.99),
            last_error=tally.last_error if failed or plan.idle + plan.leased < count else None,
            is_refused=plan.is_hopeless and plan.idle + plan.leased < count,
        )

    def _wait_until_warm(self, count: int, progress: Callable[[int, int], object] | None) -> None:
        plan, seen = self._plan, -1
        while (ready := plan.idle + plan.leased) < count and not plan.is_closed and not plan.is_hopeless:
            if progress is not None and ready != seen:
                seen = ready
                progress(ready, count)
            self._keeper.changed.clear()
            self._keeper.changed.wait()
        if progress is not None:
            progress(ready, count)

    # ---- the end, and how it is

    def close(self) -> None:
        """Ends the pool. Does not block. Who waits gets a StateError; what is leased is closed when it comes back."""
        self._keeper.close()

    def drain(self, timeout: float | None = None) -> bool:
        """Ends the pool, and blocks until all leases have ended and all connections are closed.

        Args:
            timeout: seconds; then connections are closed under the hands of who has them. None: as long as it takes.

        Returns:
            Whether all ended in good order.
        """
        self.close()
        with gevent.Timeout(timeout, False):
            while self._plan.members or self._keeper.members:
                self._keeper.changed.clear()
                self._keeper.changed.wait()
        left = list(self._keeper.members)
        for conn in left:
            conn.abort()
        return not left and not self._plan.members

    def __enter__(self) -> Self:
        """Returns the pool."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the pool, and waits a few seconds for its connections to close."""
        self.drain(EXIT_TIMEOUT)

    @property
    def name(self) -> str:
        """Its URLs without users, passwords and queries: fit for a log or a metric."""
        parts = map(urlsplit, self.urls)
        return " ".join(f"{part.scheme}://{part.netloc.rpartition('@')[2]}{part.path}" for part in parts)

    @property
    def closed(self) -> bool:
        """Whether it lends nothing any more."""
        return self._plan.is_closed

    @property
    def stats(self) -> PoolStats:
        """What it looks like now."""
        plan, tally = self._plan, self._keeper.tally
        return PoolStats(
            size=plan.size,
            idle=plan.idle,
            leased=plan.leased,
            opening=plan.opening,
            waiting=len(plan.waiters),
            opened=tally.opened,
            failed=tally.failed,
            closed=tally.closed,
            lost=tally.lost,
            leases=tally.leases,
            reused=tally.reused,
            waited=tally.waited,
            leaked=tally.leaked,
            connect_p50=percentile(tally.connects, 0.5),
            connect_p99=percentile(tally.connects, 0.99),
            lease_p50=percentile(tally.waits, 0.5),
            lease_p99=percentile(tally.waits, 0.99),
            last_error=tally.last_error,
        )

    def __repr__(self) -> str:
        plan = self._plan
        return f"<ConnectionPool {' '.join(self.urls)}: {plan.idle} idle, {plan.leased} leased, {plan.opening} opening>"
