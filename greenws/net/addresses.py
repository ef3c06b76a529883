"""How many connections an address has, and how fast it opens more."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_network

BURST = 10.0  # seconds' worth of connections that may come at once: a page with a few sockets, an office that returns
MAX_ADDRESSES = 65536  # whose pace is remembered, about 150 bytes each
FULL_WAIT = 5  # seconds until an address that has all its connections may ask again
IPV6_PREFIX = 64  # bits: what one customer has at least, so a single address of it says nothing (RFC 6177)


class Addresses:
    """Counts connections per address. Does not switch to another greenlet; for one thread.

    Args:
        max_connections: the most live connections of one address; None counts none.
        max_rate: the most new connections of one address in a second, on average; None keeps no pace.
        clock: a monotonic clock in seconds.

    Attributes:
        are_counted: whether connections must be reported by ``add`` and ``discard``.
        are_unlimited: whether nobody ever has to wait.
    """

    def __init__(
        self,
        max_connections: int | None = None,
        max_rate: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_connections = max_connections
        self._interval = 1 / max_rate if max_rate else 0.0
        self.are_counted = max_connections is not None
        self.are_unlimited = not (self._interval or self.are_counted)
        self._ahead = max(0.0, BURST - self._interval)  # how far its next turn may lie ahead of now
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._turns: dict[str, float] = {}  # when each may come again at an even pace, in the order they last came

    def wait(self, address: str | None) -> int:
        """Returns how many seconds the address must wait before it may connect; 0 takes it in now.

        A peer without an address, as on a Unix socket, is not bounded. Asking too early does not make the wait longer.
        """
        if self.are_unlimited or not address:
            return 0
        if self.is_full(address):
            return FULL_WAIT
        return self._take_turn(network_of(address)) if self._interval else 0

    def is_full(self, address: str | None) -> bool:
        """Whether the address has as many connections as it may have."""
        most = self._max_connections
        return address is not None and most is not None and self._counts.get(network_of(address), 0) >= most

    def _take_turn(self, network: str) -> int:
        # The generic cell rate algorithm (ITU-T I.371): one number for each address, and nothing to clean up.
        now = self._clock()
        turn = max(now, self._turns.get(network, now))
        if turn - now > self._ahead:
            return math.ceil(turn - now - self._ahead)
        self._turns.pop(network, None)
        self._turns[network] = turn + self._interval
        if len(self._turns) > MAX_ADDRESSES:  # the one that came longest ago; most likely its turn is past
            del self._turns[next(iter(self._turns))]
        return 0

    def add(self, address: str | None) -> None:
        """A connection of the address begins."""
        if address:
            network = network_of(address)
            self._counts[network] = self._counts.get(network, 0) + 1

    def discard(self, address: str | None) -> None:
        """It has ended."""
        if address:
            network = network_of(address)
            left = self._counts.pop(network) - 1
            if left:
                self._counts[network] = left


@lru_cache(1024)
def network_of(address: str) -> str:
    """Returns what is counted as one: an IPv4 address, or the network of an IPv6 address."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), IPV6_PREFIX), strict=False))
