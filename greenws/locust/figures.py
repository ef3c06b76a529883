"""What locust's own statistics do not hold: how many connections are open, and how they came and went.

Each process counts for itself. A worker sends its counts with each of its reports, and the master adds them up.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_SAMPLES = 3600  # an hour at one a second; beyond it every other is dropped, and half as many are taken


@dataclass(slots=True)
class Counts:
    """What has happened up to now.

    Attributes:
        open: connections open now.
        opened: connections that were opened, reconnects among them.
        reconnects: those opened by a user that had been connected before.
        failed: attempts that opened nothing.
        dropped: connections that ended without having been closed here, by a code that was not expected.
        sent, received: messages.
        closes: connections ended, by close code.
    """

    open: int = 0
    opened: int = 0
    reconnects: int = 0
    failed: int = 0
    dropped: int = 0
    sent: int = 0
    received: int = 0
    closes: Counter[int] = field(default_factory=Counter)

    def add(self, other: Counts) -> None:
        """Adds the counts of another process."""
        for name in ("open", "opened", "reconnects", "failed", "dropped", "sent", "received"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.closes.update(other.closes)

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for JSON and for a worker's report."""
        return {**asdict(self), "closes": dict(self.closes)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Counts:
        """Reads what ``as_dict`` has written; JSON makes strings of the close codes."""
        closes = Counter({int(code): count for code, count in values["closes"].items()})
        return cls(**{**values, "closes": closes})


class Figures:
    """The counts of this process, of the workers that report to it, and how they went over time.

    Attributes:
        own: this process's counts.
        most_open: the most connections that were open at once, in all processes.
        history: samples, oldest first: seconds since the start and since 1970, and the counts by name.
    """

    def __init__(self) -> None:
        self.own = Counts()
        self.most_open = 0
        self.history: list[dict[str, float]] = []
        self._workers: dict[str, Counts] = {}
        self._step = 1
        self._asked = 0

    def start_over(self) -> None:
        """A test starts: nothing has happened yet. What is open stays open."""
        still = self.own.open
        self.own = Counts(open=still)
        self.most_open = still
        self.history = []
        self._workers = {}
        self._step, self._asked = 1, 0

    def opened(self, *, again: bool) -> None:
        """A connection is open."""
        self.own.open += 1
        self.own.opened += 1
        self.own.reconnects += again
        self.most_open = max(self.most_open, self.own.open)

    def ended(self, code: int, *, is_drop: bool) -> None:
        """A connection has ended."""
        self.own.open -= 1
        self.own.dropped += is_drop
        self.own.closes[code] += 1

    def take_report(self, worker: str, values: dict[str, Any]) -> None:
        """Takes a worker's counts in the place of those it sent before."""
        self._workers[worker] = Counts.from_dict(values)
        self.most_open = max(self.most_open, self.total().open)

    def lose(self, worker: str) -> None:
        """A worker is gone, and its connections with it. What they did stays counted."""
        if worker in self._workers:
            self._workers[worker].open = 0

    def total(self) -> Counts:
        """Returns the counts of all processes together."""
        total = Counts()
        for counts in (self.own, *self._workers.values()):
            total.add(counts)
        return total

    def sample(self, seconds: float, at: float) -> None:
        """Keeps what is so, ``seconds`` after the start. Called once a second; the memory it takes is bounded."""
        self._asked += 1
        if self._asked % self._step:
            return
        values = self.total().as_dict()
        del values["closes"]
        self.history.append({"seconds": round(seconds, 2), "at": round(at, 2), **values})
        if len(self.history) > MAX_SAMPLES:
            del self.history[::2]
            self._step *= 2

    def rate(self, name: str) -> float:
        """Returns by how much a count grew per second, over the last ten samples at most."""
        if len(self.history) < 2:
            return 0.0
        first, last = self.history[-min(11, len(self.history))], self.history[-1]
        return (last[name] - first[name]) / max(last["seconds"] - first["seconds"], 1e-3)


figures = Figures()
