"""One timing wheel for every deadline (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987).

An item sits in one slot at most, whatever number of deadlines it has: when its slot comes round it looks at them and
says when it wants to be asked again. Life on a connection therefore never touches the wheel.

Time here is the time the hub ran. While a handler blocks the hub, or the machine sleeps, no deadline comes nearer by
more than MAX_STEPS ticks: a frozen server must not take its healthy peers for dead.

Ordinary Python; wheel.pxd types it for the compiler, for whom remainders are taken of what is not negative only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

TICK = 0.1  # seconds
SLOTS = 1024  # an item that wants to wait longer than SLOTS ticks is asked in between
MAX_STEPS = 5
MAX_SWEEP = 0.002  # seconds of the hub's time for one sweep; the rest waits for the next turn


_SLOTS = SLOTS  # the same two for the compiler
_FREE = -1  # the slot of who is not on the wheel
_DUE = -2  # and of who is about to be asked


class Item:
    """What sits on the wheel."""

    def __init__(self) -> None:
        self.wheel_slot = _FREE

    def expire(self, tick: int) -> int:
        """Looks at its deadlines and returns in how many ticks to ask again; 0 for never."""
        raise NotImplementedError


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
        self._due: list[Item] = []
        self._asked = 0  # how many of them have been
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
        slot = item.wheel_slot
        if slot == _FREE or (slot != _DUE and (slot + _SLOTS - self.tick % _SLOTS) % _SLOTS > ticks):
            self.schedule_at(item, ticks)

    def cancel(self, item: Item) -> None:
        """Forgets the item."""
        if item.wheel_slot >= 0:
            slot = self._slots[item.wheel_slot]
            assert slot is not None
            slot.remove(item)
            self.count -= 1
        item.wheel_slot = _FREE

    def _place(self, item: Item, ticks: int) -> None:
        index = (self.tick + min(max(ticks, 1), _SLOTS - 1)) % _SLOTS
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
                for item in slot:
                    item.wheel_slot = _DUE
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
        while self._asked < len(self._due):
            item = self._due[self._asked]
            self._asked += 1
            if item.wheel_slot == _DUE:  # else it has been cancelled or scheduled anew since its slot came round
                self._ask(item)
                if self._clock() > until:
                    self._plan_rest()
                    break
        del self._due[: self._asked]
        self._asked = 0

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
        item.wheel_slot = _FREE
        try:
            ticks = item.expire(self.tick)
        except Exception:
            self._loop.handle_error(item, *sys.exc_info())
            return
        if ticks and item.wheel_slot == _FREE:
            self._place(item, ticks)
