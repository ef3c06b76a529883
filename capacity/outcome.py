"""What a run came to: figures from both sides, and whether they are good enough."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from capacity.plan import Plan
from capacity.sampling import Samples

SETTLING = 2.0  # seconds of the hold that the scenario still counts as the ramp's
RATE_SHARE = 0.95  # of the rate that was asked for; with less the p99 is that of another load


class Criterion(NamedTuple):
    """One thing that must hold."""

    what: str
    wanted: str
    found: str
    is_met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run.

    Attributes:
        plan: what was asked for.
        workers: of the server.
        samples, noted, connections, latency: how things went over time: of the processes, by the workers, by locust's
            users, and its percentiles over ten seconds each.
        total: locust's counts at the end.
        most_open: connections at once.
        failures: in all of locust's rows.
        echoes: how many were timed while all connections were open.
        times: how many of those took so many milliseconds.
    """

    plan: Plan
    workers: int
    samples: Samples
    noted: Samples
    connections: Samples
    latency: Samples
    total: dict[str, Any]
    most_open: int
    failures: int
    echoes: int
    times: dict[int, int]

    @property
    def began(self) -> float:
        """When locust's first sample was taken, in seconds since 1970."""
        return (self.connections["at"] or self.samples["at"] or [0.0])[0]

    @property
    def base(self) -> float:
        """Bytes of the server before anybody connected."""
        pairs = zip(self.samples["at"], self.samples["server_pss"], strict=True)
        return max((pss for at, pss in pairs if at < self.began - 1), default=0.0)

    @property
    def rate(self) -> float:
        """Messages a second while all were open."""
        return self.echoes / max(self.plan.hold - SETTLING, 1)

    @property
    def hold(self) -> tuple[float, float]:
        """From when until when all were open, in seconds since 1970."""
        pairs = zip(self.connections["at"], self.connections["open"], strict=True)
        found = [at for at, open_ in pairs if open_ >= min(self.most_open, self.plan.connections)]
        return (found[0], found[-1]) if found else (self.began, self.began)

    def percentile(self, share: float) -> float:
        """Returns milliseconds that ``share`` of the echoes did not exceed, while all were open."""
        wanted, count = share * sum(self.times.values()), 0
        for milliseconds in sorted(self.times):
            count += self.times[milliseconds]
            if count >= wanted:
                return milliseconds
        return float("inf")

    def during_hold(self, name: str, source: Samples | None = None) -> list[float]:
        """Returns samples that were taken while all were open: of the processes, or of another source."""
        first, last = self.hold
        source = source or self.samples
        pairs = zip(source["at"], source[name], strict=True)
        return [value for at, value in pairs if first <= at <= last]

    @property
    def memory(self) -> float:
        """Bytes of the server for each connection, while all were open."""
        held = self.during_hold("server_pss")
        return (max(held) - self.base) / self.most_open if held and self.most_open else float("inf")

    def criteria(self) -> list[Criterion]:
        """Returns what must hold, and whether it does."""
        plan, p99 = self.plan, self.percentile(0.99)
        faults = self.failures + self.total["failed"] + self.total["dropped"]
        least = plan.rate * RATE_SHARE
        return [
            Criterion(
                "open at once", f"{plan.connections:,}", f"{self.most_open:,}", self.most_open >= plan.connections
            ),
            Criterion("failed or dropped", "0", f"{faults:,}", faults == 0),
            Criterion("messages a second", f"≥ {least:,.0f}", f"{self.rate:,.0f}", self.rate >= least),
            Criterion("echo p99", f"≤ {plan.max_p99_ms:g} ms", f"{p99:g} ms", p99 <= plan.max_p99_ms),
        ]

    @property
    def is_good(self) -> bool:
        """Whether all of it holds."""
        return all(criterion.is_met for criterion in self.criteria())


def read_outcome(plan: Plan, workers: int, samples: Samples, noted: Samples, folder: Path) -> Outcome:
    """Puts together what was sampled, and what locust has written."""
    counts = json.loads((folder / "connections.json").read_text())
    rows = json.loads((folder / "rows.json").read_text())
    connections = Samples()
    for row in counts["history"]:
        connections.add(row)
    echo = next((row for row in rows if row["name"] == "echo"), None)
    return Outcome(
        plan=plan,
        workers=workers,
        samples=samples,
        noted=noted,
        connections=connections,
        latency=_latency(folder / "locust_stats_history.csv"),
        total=counts["total"],
        most_open=counts["most_open"],
        failures=sum(row["num_failures"] for row in rows),
        echoes=0 if echo is None else echo["num_requests"],
        times={} if echo is None else {int(ms): count for ms, count in echo["response_times"].items()},
    )


def _latency(file: Path) -> Samples:
    """Returns the percentiles of the echo over time: of that row to which something was added last."""
    latest, seen = dict[float, dict[str, float]](), dict[str, str]()
    for row in _rows(file):
        if seen.get(row["Name"]) != row["Total Request Count"]:
            seen[row["Name"]] = row["Total Request Count"]
            latest[float(row["Timestamp"])] = {name: float(row[name]) for name in ("50%", "95%", "99%")}
    samples = Samples()
    for at, values in latest.items():
        samples.add({"at": at, **values})
    return samples


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["Name"].startswith("echo") and row["50%"] != "N/A":
                yield row
