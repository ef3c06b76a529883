"""How punctual the hub of a process is, and how long its garbage collections take."""

from __future__ import annotations

import gc
import time
from typing import Any

import gevent

from greenws.net.counts import Times

BEAT = 0.1  # seconds: who holds the hub for longer is seen for certain


class Pulse:
    """Measures from ``begin`` to ``end``. What it has measured stays.

    Attributes:
        lag: how late a timer of the hub ran, ten times a second.
        pauses: how long a collection of each generation took.
    """

    def __init__(self) -> None:
        self.lag = Times()
        self.pauses = [Times() for _ in gc.get_threshold()]
        self._timer: Any = None
        self._last = 0.0
        self._collecting = 0.0

    def begin(self) -> None:
        """Begins. For the thread of the hub that is to be measured; it does not keep that hub running."""
        self._last = time.monotonic()
        self._timer = gevent.get_hub().loop.timer(BEAT, BEAT, ref=False)
        self._timer.start(self._beat)
        gc.callbacks.append(self._on_gc)

    def end(self) -> None:
        """Ends."""
        self._timer.stop()
        self._timer.close()
        gc.callbacks.remove(self._on_gc)

    def _beat(self) -> None:
        now = time.monotonic()
        self.lag.add(now - self._last - BEAT)
        self._last = now

    def _on_gc(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.perf_counter()
        elif self._collecting:
            self.pauses[info["generation"]].add(time.perf_counter() - self._collecting)
