"""How a pool does, in numbers."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Iterable

KEPT = 1000  # of the newest samples, for the percentiles


def percentile(samples: Iterable[float], share: float) -> float:
    """Returns the sample below which so large a share of them lies (nearest rank); NaN when there are none."""
    ordered = sorted(samples)
    return ordered[max(1, math.ceil(share * len(ordered))) - 1] if ordered else float("nan")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """A pool at one moment. Times are seconds, over the newest 1,000 samples.

    Attributes:
        size: connections that there are, or that are being opened: the next three together.
        idle, leased, opening: what they do.
        waiting: how many wait for a lease.
        opened, failed: connections made since the beginning, and attempts that failed.
        closed, lost: connections that have ended since the beginning, and how many of them not by us.
        leases, reused, waited: leases since the beginning, those of a connection used before, those that waited.
        leaked: leases that nobody released: the pool has taken them back.
        connect_p50, connect_p99: how long it took to connect.
        lease_p50, lease_p99: how long a lease waited.
        last_error: why an attempt to connect failed last, or a connection was of no use; None if that never happened.
    """

    size: int
    idle: int
    leased: int
    opening: int
    waiting: int
    opened: int
    failed: int
    closed: int
    lost: int
    leases: int
    reused: int
    waited: int
    leaked: int
    connect_p50: float
    connect_p99: float
    lease_p50: float
    lease_p99: float
    last_error: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """How a warm-up went.

    Attributes:
        wanted: connections that were asked for.
        ready: connections that there are now, idle or leased.
        opened, failed: attempts of the warm-up that succeeded and that did not.
        seconds: how long it took.
        connect_p50, connect_p99: seconds to open one connection; NaN when none was opened.
        last_error: what went wrong last; None when nothing did.
        is_refused: it ended early, because every endpoint refuses for good: credentials, a path, a certificate or a
            name is wrong.
    """

    wanted: int
    ready: int
    opened: int
    failed: int
    seconds: float
    connect_p50: float
    connect_p99: float
    last_error: str | None
    is_refused: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether there are as many connections as were asked for."""
        return self.ready >= self.wanted

    def __str__(self) -> str:
        text = f"{self.ready} of {self.wanted} connections ready in {self.seconds:.2f} s"
        if self.opened:
            text += f", each opened in {self.connect_p50 * 1000:.1f} ms (p99 {self.connect_p99 * 1000:.1f} ms)"
        if self.failed:
            text += f"; {self.failed} attempts failed"
        if self.is_refused:
            text += "; given up, because another attempt would fail, too"
        if self.last_error is not None:
            text += f"; last error: {self.last_error}"
        return text


class Tally:
    """What is counted while a pool works."""

    def __init__(self) -> None:
        self.opened = self.failed = self.closed = self.lost = 0
        self.leases = self.reused = self.waited = self.leaked = 0
        self.connects: deque[float] = deque(maxlen=KEPT)
        self.waits: deque[float] = deque(maxlen=KEPT)
        self.last_error: str | None = None

    def note_lease(self, wait: float, *, is_reused: bool, has_waited: bool) -> None:
        """Counts a lease."""
        self.leases += 1
        self.reused += is_reused
        self.waited += has_waited
        self.waits.append(wait)
