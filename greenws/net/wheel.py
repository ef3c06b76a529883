"""One timing wheel for every deadline (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987).

An item sits in one slot at most, whatever number of deadlines it has: when its slot comes round it looks at them and
says when it wants to be asked again. Life on a connection therefore never touches the wheel.

Time here is the time the hub ran. While a handler blocks the hub, or the machine sleeps, no deadline comes nearer by
more than MAX_STEPS ticks: a frozen server must not take its healthy peers for dead.

Ordinary Python; wheel.pxd types it for the compiler. Ticks in it are Python's integers: C's remainders differ.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

TICK = 0.1  # seconds
SLOTS = 1024  # an item that wants to wait longer than SLOTS ticks is asked in between
MAX_STEPS = 5
MAX_SWEEP = 0.002  # seconds of the hub's time for one sweep; the rest waits for the next turn


class Item(Protocol):
    """What sits on the wheel."""

    wheel_slot: int

    def expire(self, tick: int) -> int | None:
        """Looks at its deadlines and returns in how many ticks to ask again; None for never."""


class Wheel:
    """Deadlines of one hub. Not safe for other threads.

    Args:
        loop: gevent's loop, or for tests anything with ``timer`` and ``handle_error``.
        clock: a monotonic clock in seconds.
    """

    def __init__(self, loop: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self.tick = 0
        self.count = 0
        self._loop = loop
        self._clock = clock
        self._slots: list[set[Item] | None] = [None] * SLOTS
        self._due: deque[Item] = deque()
        self._timer: Any = None
        self._rest: Any = None
        self._last = 0.0

    def schedule(self, item: Item, delay: float) -> None:
        """Asks the item in ``delay`` seconds, rounded up to a tick, instead of when it was to be asked before."""
        self.schedule_at(item, -int(-delay // TICK))

    def schedule_at(self, item: Item, ticks: int) -> None:
        """As ``schedule``, in ticks."""
        self.cancel(item)
        self._place(item, ticks)
        if self._timer is None:
            self._last = self._clock()
            self._timer = self._loop.timer(TICK, TICK)
            self._timer.start(self.advance)

    def schedule_sooner(self, item: Item, delay: float) -> None:
        """Asks the item in ``delay`` seconds, unless it is to be asked before that anyway."""
        self.schedule_sooner_at(item, -int(-delay // TICK))

    def schedule_sooner_at(self, item: Item, ticks: int) -> None:
        """As ``schedule_sooner``, in ticks."""
        if item.wheel_slot < 0 or (item.wheel_slot - self.tick) % SLOTS > ticks:
            self.schedule_at(item, ticks)

    def cancel(self, item: Item) -> None:
        """Forgets the item."""
        if item.wheel_slot >= 0:
            slot = self._slots[item.wheel_slot]
            item.wheel_slot = -1
            if slot is not None and item in slot:
                slot.remove(item)
                self.count -= 1

    def _place(self, item: Item, ticks: int) -> None:
        index = (self.tick + min(max(ticks, 1), SLOTS - 1)) % SLOTS
        slot = self._slots[index]
        if slot is None:
            slot = self._slots[index] = set()
        slot.add(item)
        item.wheel_slot = index
        self.count += 1

    def advance(self) -> None:
        """Moves on by the time that has passed. Called by the timer."""
        now = self._clock()
        steps = int((now - self._last) / TICK)
        self._last += steps * TICK
        for _ in range(min(steps, MAX_STEPS)):
            self.tick += 1
            slot = self._slots[self.tick % SLOTS]
            if slot:
                self._slots[self.tick % SLOTS] = None
                self.count -= len(slot)
                self._due.extend(slot)
        if self._due:
            self._sweep()
        elif not self.count:
            self.stop()

    def stop(self) -> None:
        """Stops the timer, until something is scheduled again."""
        for timer in (self._timer, self._rest):
            if timer is not None:
                timer.stop()
                timer.close()
        self._timer = self._rest = None

    def _sweep(self) -> None:
        until = self._clock() + MAX_SWEEP
        while self._due:
            self._ask(self._due.popleft())
            if self._clock() > until:
                self._plan_rest()
                return

    def _plan_rest(self) -> None:
        """Sweeps the rest behind the next look at all descriptors. Callbacks would run without one for a while."""
        if self._rest is None:
            self._rest = self._loop.timer(0)
            self._rest.start(self._sweep_rest)

    def _sweep_rest(self) -> None:
        rest, self._rest = self._rest, None
        rest.stop()
        rest.close()
        self._sweep()

    def _ask(self, item: Item) -> None:
        if item.wheel_slot < 0 or self._is_placed(item):
            return  # cancelled or scheduled anew since its slot came round
        item.wheel_slot = -1
        try:
            ticks = item.expire(self.tick)
        except Exception:
            self._loop.handle_error(item, *sys.exc_info())
            return
        if ticks is not None and item.wheel_slot < 0:
            self._place(item, ticks)

    def _is_placed(self, item: Item) -> bool:
        slot = self._slots[item.wheel_slot]
        return slot is not None and item in slot
