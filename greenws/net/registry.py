"""Who is connected: counted, limited, and sent away in good order."""

from __future__ import annotations

import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import gevent
from gevent import Greenlet, getcurrent

from greenws.config import Config
from greenws.net.addresses import Addresses
from greenws.protocol.codes import CloseCode

if TYPE_CHECKING:
    from greenws.net.connection import Connection

RESERVE = 256  # descriptors kept for everything that is not a WebSocket: logs, databases, listeners, plain HTTP
STEP = 0.01  # seconds between two shares of a drain
SHARE = 100  # connections closed in one turn of the loop at most


def default_limit() -> int:
    """Returns how many connections the descriptor limit of this process has room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft - RESERVE) if soft != resource.RLIM_INFINITY else 1_000_000


class Registry:
    """The connections of one application in this process, from the moment their upgrade is being decided.

    Args:
        limit: ``max_connections``; None takes what the descriptor limit allows.
        drain_rate: how many connections are closed in a second when all are.
        addresses: counts the connections of each address, if it has a limit for them.

    Attributes:
        is_draining: no new connections are taken.
        limits: how often each limit was hit, by its setting's name. A server counts here, too, what it refuses before
            it hears of the application. An increment that two threads make at once may be lost.
        refusals: how often a server refused a request head, by the HTTP status of the answer.
        close_code: what a connection is told that is made nevertheless.
        views: the greenlets of blocking-style views, which have something to do after the end of their connection.
    """

    def __init__(self, limit: int | None = None, *, drain_rate: int = 2000, addresses: Addresses | None = None) -> None:
        self.limit = default_limit() if limit is None else limit
        self.addresses = addresses or Addresses()
        self.is_draining = False
        self.limits: Counter[str] = Counter()
        self.refusals: Counter[int] = Counter()
        self.close_code: int = CloseCode.GOING_AWAY
        self.views: dict[Any, None] = {}  # a set of ten thousand takes three times the memory
        self._drain_rate = drain_rate
        self._draining: Greenlet[..., bool] | None = None
        self._live: dict[Connection, None] = {}
        self.add: Callable[[Connection], None] = self._live.setdefault
        if self.addresses.are_counted:
            self.add = self._add_counted

    def __len__(self) -> int:
        """Counts the connections, with those whose upgrade is under way."""
        return len(self._live)

    @classmethod
    def of(cls, config: Config) -> Registry:
        """Makes one with the limits of the settings."""
        addresses = Addresses(config.max_address_connections, config.max_address_rate)
        return cls(config.max_connections, drain_rate=config.drain_rate, addresses=addresses)

    def __iter__(self) -> Iterator[Connection]:
        """Iterates over those that are connected now; connections may come and go meanwhile."""
        return iter([connection for connection in self._live if not connection.is_connecting])

    def everyone(self) -> list[Connection]:
        """Returns all connections, with those whose upgrade is under way and the last moments of others."""
        return list(self._live)

    def _add_counted(self, connection: Connection) -> None:
        self._live[connection] = None
        self.addresses.add(connection.remote_addr)

    def discard(self, connection: Connection) -> None:
        """Counts a connection no longer."""
        self._live.pop(connection, None)
        if self.addresses.are_counted:
            self.addresses.discard(connection.remote_addr)

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return len(self._live) >= self.limit

    @property
    def is_refusing(self) -> bool:
        """Whether a further upgrade must be refused.

        At a restart nobody is: who has reached this process by then is taken, and told 1012 at once. A browser cannot
        see a refusal's status. For its page a 503 would be a lost connection (1006).
        """
        return self.is_full or (self.is_draining and self.close_code != CloseCode.SERVICE_RESTART)

    def take_no_more(self, code: int = CloseCode.GOING_AWAY) -> None:
        """Refuses new connections; ``code`` is for those whose upgrade is under way."""
        self.is_draining = True
        self.close_code = code

    def take_again(self) -> None:
        """Takes new connections again."""
        self.is_draining = False

    def drain(self, timeout: float, code: int = CloseCode.GOING_AWAY, reason: str = "") -> bool:
        """Sends everybody away and takes no new connections. Blocks until they and their handlers have ended.

        What is queued for a connection leaves before its Close. So that they do not all come back at once they are
        closed in an order by chance, ``drain_rate`` of them in a second, or faster where that would take more than half
        of the time. Who calls this while it is under way waits for the same.

        Args:
            timeout: seconds until those that are left are aborted.
            code, reason: what the peers are told (RFC 6455 §7.4.1).

        Returns:
            Whether all closed in good order.
        """
        if self._draining is None:
            self.take_no_more(code)
            self._draining = gevent.spawn(self._drain, time.monotonic() + timeout, reason, getcurrent())
        return bool(self._draining.get())

    def _drain(self, until: float, reason: str, caller: Any) -> bool:
        try:
            leaving = self._close_all(until, reason)
            while time.monotonic() < until and (self._live or not _are_over(leaving) or self._has_view_beside(caller)):
                gevent.sleep(STEP)
            left = tuple(self._live)
            for connection in left:
                connection.abort()
            return not left
        finally:
            self._draining = None

    def _has_view_beside(self, caller: Any) -> bool:
        return len(self.views) > (caller in self.views)

    def _close_all(self, until: float, reason: str) -> list[Connection]:
        """Tells them all, spread over time. Returns them."""
        begin = time.monotonic()
        leaving = list(self._live)
        random.shuffle(leaving)
        pace = min(1 / self._drain_rate, max(0.0, until - begin) / 2 / (len(leaving) or 1))  # seconds for each
        for number, connection in enumerate(leaving):
            early = begin + number * pace - time.monotonic()
            if early > STEP or number % SHARE == SHARE - 1:
                gevent.sleep(max(0.0, early))
            connection.close(self.close_code, reason)
        return leaving


def _are_over(connections: list[Connection]) -> bool:
    """Whether nothing runs any more for any of them. Takes those out for which that is so, from the end on."""
    while connections and connections[-1].is_over:
        connections.pop()
    return not connections
