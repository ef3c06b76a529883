"""A hundred thousand connections on one machine: opened, held with pings, and what that takes.

``python -m benchmarks.hundred_thousand`` starts the demo by ``greenws run`` with several workers, connects to it by
``greenws bench`` with several processes, and prints a short report. Its status is 0 when every connection was opened,
none was lost, and the server took no more memory for each than TARGET. Linux only; takes a few minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gevent

from greenws.bench.plan import Plan, check_memory
from greenws.bench.result import Result
from greenws.bench.run import run
from greenws.errors import ConfigError, LoadFailed
from greenws.net.registry import RESERVE
from greenws.sizing.demand import Demand
from greenws.sizing.serve import serve

APP = "greenws.demo.app:create_app()"
TARGET = 2048  # bytes of the server for each connection
FIRST = 500  # connections before anything is measured: what each worker loads and makes once is made by them
LOOK = 2.0  # seconds between two looks at the workers
RESULTS = Path(".cache/hundred-thousand/results.json")


@dataclass(frozen=True, slots=True)
class Report:
    """What came out.

    Attributes:
        result: of the load.
        workers: the most descriptors that each worker has had.
        limit: connections that a worker has room for.
        load: the machine's load averages at the end.
    """

    result: Result
    workers: list[int]
    limit: int
    load: tuple[float, float, float]

    @property
    def is_good(self) -> bool:
        """Whether all were opened and held, for no more memory than TARGET."""
        memory = self.result.memory
        return self.result.is_good and memory is not None and memory.pss <= TARGET

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for JSON."""
        return {
            "is_good": self.is_good,
            "workers": self.workers,
            "limit": self.limit,
            "load": self.load,
            "result": self.result.as_dict(),
        }


def measure(options: argparse.Namespace) -> Report:
    """Serves, loads, and looks at the workers meanwhile."""
    plan = Plan(
        url="",
        mode="idle",
        connections=options.connections,
        processes=options.processes,
        sources=options.sources,
        duration=options.hold,
        rest=2.0,
    )
    check_memory(plan)
    limit = _claim(Demand(connections=options.connections, workers=options.workers))
    with serve(APP, "--backlog=4096", workers=options.workers) as (pid, port):
        url = f"ws://127.0.0.1:{port}/echo"
        first = min(FIRST, options.connections)
        run(replace(plan, url=url, connections=first, processes=1, sources=1, duration=0.1))
        counts: list[int] = []
        watch = gevent.spawn(_watch, pid, counts)
        try:
            result = run(replace(plan, url=url, pids=(pid,)))
        finally:
            watch.kill()
            _show("\n")
    return Report(result, counts, limit, os.getloadavg())


def _claim(demand: Demand) -> int:
    """Raises the limit of descriptors, which the workers inherit. Returns how many connections one may have then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < demand.descriptors:
        share = max(1, hard - RESERVE)
        raise ConfigError(
            f"a worker may get {demand.share:,} connections and has descriptors for {share:,}: use more --workers"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, demand.descriptors), hard))
    return max(soft, demand.descriptors) - RESERVE


def _watch(pid: int, counts: list[int]) -> None:
    """Keeps the largest number of descriptors that each worker has had, and shows how far it is."""
    largest: dict[str, int] = {}
    begun = time.monotonic()
    while True:
        for worker in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            largest[worker] = max(len(os.listdir(f"/proc/{worker}/fd")), largest.get(worker, 0))
        counts[:] = largest.values()
        _show(f"\r{time.monotonic() - begun:4.0f} s, {sum(counts):,} descriptors ")
        gevent.sleep(LOOK)


def _show(text: str) -> None:
    """Writes to a terminal, and into no log."""
    if sys.stderr.isatty():
        print(text, end="", file=sys.stderr, flush=True)


def lines(report: Report) -> Iterator[str]:
    """The report, for people."""
    result, memory, cost = report.result, report.result.memory, report.result.cost
    lost = f"{result.failed} failed, {result.lost} were dropped"
    yield f"opened    {result.opened:,} of {result.plan.connections:,} in {result.opening_seconds:.0f} s; {lost}"
    if result.refusal:
        yield f"          the last that failed: {result.refusal}"
    yield f"held      {result.seconds:.0f} s, {result.pings:,} pings answered since the first was open"
    if memory is not None:
        kernel = f"{memory.kernel / 1024:.2f} KB of the kernel for both ends"
        yield f"memory    {memory.pss / 1024:.2f} KB of the server (PSS) for each connection, {kernel}"
    if cost is not None and result.opening_cost is not None:
        yield f"CPU       {cost.core:.1%} of a core while held; {result.opening_cost.us or 0:.0f} µs for a handshake"
    spread = f"{min(report.workers, default=0):,} to {max(report.workers, default=0):,}"
    yield f"workers   {len(report.workers)} with {spread} descriptors; room for {report.limit:,} connections in each"
    yield f"machine   load average {report.load[0]:.1f}, {os.cpu_count()} cores"
    yield (
        "passed" if report.is_good else f"NOT PASSED: all opened, none dropped, at most {TARGET / 1024:.0f} KB for each"
    )


def main() -> int:
    """Measures, prints, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=6, help="processes of the server")
    parser.add_argument("--processes", type=int, default=6, help="processes of the load")
    parser.add_argument("--sources", type=int, default=8, help="source addresses, from 127.0.0.1 on")
    parser.add_argument("--hold", type=float, default=60.0, help="seconds")
    parser.add_argument("--json", type=Path, default=RESULTS, help="the file for the results")
    options = parser.parse_args()
    print(f"opening {options.connections:,} connections from {options.processes} processes, then {options.hold:.0f} s")
    try:
        report = measure(options)
    except (ConfigError, LoadFailed, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report.as_dict(), indent=1) + "\n")
    print("\n".join(lines(report)))
    return int(not report.is_good)


if __name__ == "__main__":
    sys.exit(main())
