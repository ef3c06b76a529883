"""Times in a log-linear histogram: of any size, in little memory, each to within 0.8 % of itself.

Ordinary Python; histogram.pxd types it for the compiler.
"""

from __future__ import annotations

import bisect
import itertools
import math

HALF = 64  # buckets for each power of two; up to twice that, each nanosecond has one
BUCKETS = 40 * HALF  # enough for 2^45 ns, which is ten hours


class Histogram:
    """Counts times in nanoseconds. Nothing blocks; for one thread.

    Attributes:
        count: how many were recorded.
        largest: the largest of them, exactly.
    """

    def __init__(self) -> None:
        self.count = 0
        self.largest = 0
        self._counts = [0] * BUCKETS

    def record(self, nanoseconds: int) -> None:
        """Counts one time; less than nothing, which a clock may say, is nothing."""
        if nanoseconds < 0:
            nanoseconds = 0
        if nanoseconds > self.largest:
            self.largest = nanoseconds
        self.count += 1
        shift = 0
        while nanoseconds >> shift >= 2 * HALF:
            shift += 1
        bucket = shift * HALF + (nanoseconds >> shift)
        self._counts[bucket if bucket < BUCKETS else BUCKETS - 1] += 1

    def percentile(self, share: float) -> float | None:
        """Returns the time that ``share`` of all do not exceed, in nanoseconds: 0.99 gives p99. None without any.

        It is the middle of its bucket, and never more than the largest.
        """
        if not self.count:
            return None
        wanted = max(1, math.ceil(share * self.count))
        bucket = bisect.bisect_left(list(itertools.accumulate(self._counts)), wanted)
        shift = max(0, bucket // HALF - 1)
        middle = (bucket - shift * HALF << shift) + ((1 << shift) - 1) / 2
        return min(middle, float(self.largest))

    def dump(self) -> list[int]:
        """Returns everything as numbers, for ``merge``."""
        return [self.largest, *self._counts]

    def merge(self, dumped: list[int]) -> None:
        """Adds the times of another histogram, which ``dump`` returned."""
        self.largest = max(self.largest, dumped[0])
        self.count += sum(dumped[1:])
        self._counts = [ours + theirs for ours, theirs in zip(self._counts, dumped[1:], strict=True)]
