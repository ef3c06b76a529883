"""What a run came to: figures from both sides, and whether they are good enough."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from capacity.plan import Plan
from capacity.sampling import Samples
from capacity.scrape import LAG_COLUMNS, bound_of

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
        base: bytes of the server before anybody connected.
        samples: how things went over time: of the processes, and of what the server says of itself.
        connections, latency: how they went for locust's users, and its percentiles over ten seconds each.
        total: locust's counts at the end.
        most_open: connections at once.
        failures: in all of locust's rows.
        echoes: how many were timed while all connections were open.
        times: how many of those took so many milliseconds.
    """

    plan: Plan
    workers: int
    base: float
    samples: Samples
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

    def during_hold(self, name: str, settling: float = 0.0) -> list[float]:
        """Returns the samples that are known of the time when all were open, but for its first ``settling`` seconds."""
        first, last = self.hold
        pairs = zip(self.samples["at"], self.samples[name], strict=True)
        return [value for at, value in pairs if first + settling <= at <= last and not math.isnan(value)]

    @property
    def open_by_server(self) -> float:
        """Connections as the server counts them, while all were open: the count that was furthest from that; or NaN."""
        counts = self.during_hold("open", SETTLING)
        return max(counts, key=lambda count: abs(count - self.plan.connections), default=math.nan)

    def last(self, name: str) -> float:
        """Returns the last value that is known; NaN when none is."""
        return next((value for value in reversed(self.samples[name]) if not math.isnan(value)), math.nan)

    def hub_lag(self, share: float) -> float:
        """Returns the bound in seconds that ``share`` of the workers' timers were not later than; NaN when unknown."""
        counts = {bound: self.during_hold(name) for bound, name in LAG_COLUMNS.items()}
        if not counts[math.inf]:
            return math.nan
        return bound_of({bound: values[-1] - values[0] for bound, values in counts.items()}, share)

    @property
    def memory(self) -> float:
        """Bytes of the server for each connection, while all were open."""
        held = self.during_hold("server_pss")
        return (max(held) - self.base) / self.most_open if held and self.most_open else float("inf")

    def criteria(self) -> list[Criterion]:
        """Returns what must hold, and whether it does."""
        plan, p99 = self.plan, self.percentile(0.99)
        faults = self.failures + self.total["failed"] + self.total["dropped"]
        least, wanted = plan.rate * RATE_SHARE, f"{plan.connections:,}"
        counted, closes = self.open_by_server, self.last("abnormal_closes")
        return [
            Criterion("open at once", wanted, f"{self.most_open:,}", self.most_open >= plan.connections),
            Criterion("open, as the server counts them", wanted, known(counted), counted == plan.connections),
            Criterion("failed or dropped", "0", f"{faults:,}", faults == 0),
            Criterion("abnormal closes, as the server counts them", "0", known(closes), closes == 0),
            Criterion("messages a second", f"≥ {least:,.0f}", f"{self.rate:,.0f}", self.rate >= least),
            Criterion("echo p99", f"≤ {plan.max_p99_ms:g} ms", f"{p99:g} ms", p99 <= plan.max_p99_ms),
        ]

    @property
    def is_good(self) -> bool:
        """Whether all of it holds."""
        return all(criterion.is_met for criterion in self.criteria())


def read_outcome(plan: Plan, workers: int, base: float, samples: Samples, folder: Path) -> Outcome:
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
        base=base,
        samples=samples,
        connections=connections,
        latency=_latency(folder / "locust_stats_history.csv"),
        total=counts["total"],
        most_open=counts["most_open"],
        failures=sum(row["num_failures"] for row in rows),
        echoes=0 if echo is None else echo["num_requests"],
        times={} if echo is None else {int(ms): count for ms, count in echo["response_times"].items()},
    )


def known(count: float) -> str:
    """Writes a count, which is NaN when nobody could be asked."""
    return "unknown" if math.isnan(count) else f"{count:,.0f}"


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
