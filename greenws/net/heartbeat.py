"""When to ping: decisions about time, without time. Counted in ticks of the wheel.

A connection's *pace* says how often it is asked: each ``pace * unit`` ticks. One that answers is asked less and less
often, one that answers late more often again. A ping without an answer is repeated, each time after twice as long, up
to the timeout.

Pings fall on a grid: those of a connection at the ticks that are its phase, modulo its interval. All intervals are
multiples of one unit, and the phases are spread evenly over all of them at once. So whatever intervals the connections
come to have, they never ping in one burst, and a change of pace never makes an interval longer or shorter than the
settings allow.

Ordinary Python; heartbeat.pxd types it for the compiler.
"""

from __future__ import annotations

from math import lcm

from greenws.net.wheel import TICK

GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, are spread evenly however many there are (Weyl)
MAX_PACE = 6  # steps from the shortest interval to the longest: 5 to 30 seconds by default
FIRST_PACE = 2.0 / 3  # of the longest: 20 seconds by default
_GOLDEN = GOLDEN  # the same for the compiler
FIRST_RETRY = 8  # a ping is repeated after the eighth part of the timeout, then twice, four times as long after that


class Rhythm:
    """The heartbeat of all connections of one route.

    Args:
        interval: seconds between pings, or the shortest and the longest: the setting ``ping_interval``.
        timeout: seconds from a ping to any byte of the peer: the setting ``ping_timeout``.
    """

    def __init__(self, interval: float | tuple[float, float], timeout: float) -> None:
        shortest, longest = interval if isinstance(interval, tuple) else (interval, interval)
        self.slowest = min(MAX_PACE, int(longest / shortest))
        self.unit = max(1, round(longest / TICK) // self.slowest)
        self.first_pace = max(1, round(self.slowest * FIRST_PACE))
        self.timeout = max(1, round(timeout / TICK))
        self.retry = max(1, min(self.timeout // FIRST_RETRY, self.unit // 2))
        self._cycle = self.unit * lcm(*range(1, self.slowest + 1))

    def next_beat(self, number: int, tick: int, pace: int) -> int:
        """Returns in how many ticks after ``tick`` connection ``number`` is to be pinged."""
        interval = pace * self.unit
        phase = int(number * _GOLDEN % 1.0 * self._cycle)
        return interval - (tick + self._cycle - phase) % interval  # nothing is negative: C's remainders would differ

    def next_pace(self, pace: int, tries: int) -> int:
        """Returns how often to ask a peer that has answered: less often than now, or more often if it was late."""
        return min(pace + 1, self.slowest) if tries == 1 else max(pace // 2, 1)

    def patience(self, tries: int, waited: int) -> int:
        """Returns for how many ticks to wait for an answer.

        Args:
            tries: the pings that were sent since the peer was last heard of, before the one that is now to be sent.
            waited: ticks since the first of them.

        Returns:
            The ticks until the next decision; 0 when there is to be no other ping, because the peer is dead.
        """
        if waited >= self.timeout:
            return 0
        return min(self.retry << tries, self.timeout - waited)
