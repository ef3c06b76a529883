"""What the rounds of a run came to: a list for each server, work and figure, and its median and spread."""

from __future__ import annotations

import json
import os
import platform
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Figures = dict[str, float | None]


@dataclass
class Results:
    """All figures of a run.

    Attributes:
        machine: where it ran.
        names: of the servers, by key.
        titles: of the works, by key.
        left_out: servers that could not run, or not do a work, with the reason.
        values: ``values[work][server]`` has the figures of each round, None for a round that failed.
    """

    machine: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, list[Figures | None]]] = field(default_factory=dict)

    def add(self, work: str, server: str, figures: Figures | None) -> None:
        """Adds a round."""
        self.values.setdefault(work, {}).setdefault(server, []).append(figures)

    def rounds(self, work: str, server: str, figure: str) -> list[float | None]:
        """Returns what was measured in each round."""
        return [figures and figures[figure] for figures in self.values.get(work, {}).get(server, [])]

    def numbers(self, work: str, server: str, figure: str) -> list[float]:
        """Returns what was measured in the rounds that did not fail."""
        return [value for value in self.rounds(work, server, figure) if value is not None]

    def median(self, work: str, server: str, figure: str) -> float | None:
        """Returns the median of the rounds, or None."""
        numbers = self.numbers(work, server, figure)
        return statistics.median(numbers) if numbers else None

    def pairs(self, work: str, server: str, peer: str, figure: str) -> list[tuple[float, float]]:
        """Returns the figures of two servers in each round in which neither failed."""
        both = zip(self.rounds(work, server, figure), self.rounds(work, peer, figure), strict=False)
        return [(ours, theirs) for ours, theirs in both if ours is not None and theirs]

    def save(self, file: Path) -> None:
        """Writes everything as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(vars(self), indent=1) + "\n")

    @classmethod
    def load(cls, file: Path) -> Results:
        """Reads what ``save`` wrote."""
        return cls(**json.loads(file.read_text()))


def describe_machine() -> dict[str, str]:
    """What the figures depend on."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load: tuple[Any, ...] = os.getloadavg()
    return {
        "processor": f"{model}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": f"{load[0]:.1f} when the run began",
    }
