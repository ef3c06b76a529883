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
FIRST_RETRY = 8  # a ping is repeated after the eighth part of the timeout, then twice, four times as long after that

Beat = tuple[str, int, int]


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
        phase = int(number * GOLDEN % 1.0 * self._cycle)
        return interval - (tick + self._cycle - phase) % interval  # nothing is negative: C's remainders would differ

    def beat(self, number: int, tick: int, pace: int, tries: int, waited: int, answered: bool) -> Beat:
        """Decides what to do with a connection now that its time has come.

        Args:
            number: the connection's.
            tick: now.
            pace: how often it is asked.
            tries: the pings sent since the peer was last heard of; 0 while it rests.
            waited: ticks since the first of them.
            answered: whether any byte has come from the peer since then. Every byte counts as life.

        Returns:
            ``("ping", n, pace)``, ``("rest", n, pace)`` or ``("dead", 0, pace)``: n ticks until the next decision.
        """
        if tries and answered:
            pace = min(pace + 1, self.slowest) if tries == 1 else max(pace // 2, 1)
            return "rest", self.next_beat(number, tick, pace), pace
        if tries and waited >= self.timeout:
            return "dead", 0, pace
        return "ping", min(self.retry << tries, self.timeout - waited), pace
