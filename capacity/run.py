"""One run: a server, the load against it, and what is seen of both meanwhile."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from capacity.outcome import Outcome, read_outcome
from capacity.plan import Plan
from capacity.processes import locust, server
from capacity.sampling import Samples, watch
from capacity.scrape import Scraper
from greenws.bench.usage import read_usage

SELDOM = 10  # seconds between lines of progress in a log


def run(plan: Plan, workers: int, folder: Path) -> Outcome:
    """Runs one server and the load against it. Blocks for as long as that takes."""
    print(f"\n{workers} {'worker' if workers == 1 else 'workers'}, {plan.connections:,} connections", flush=True)
    samples = Samples()
    with server(workers, folder) as served:
        base = read_usage((served.pid,)).pss
        with locust(plan, served.port, folder) as load:
            began = time.monotonic()
            for row in watch(served.pid, load.pid, Scraper(served.metrics_port).row, lambda: load.poll() is None):
                samples.add(row)
                _show(row, time.monotonic() - began, plan)
            load.wait()
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if not (folder / "connections.json").exists():
        sys.exit(f"locust ended with {load.returncode}; see {folder / 'locust.log'}")
    return read_outcome(plan, workers, base, samples, folder)


def _show(row: dict[str, float], seconds: float, plan: Plan) -> None:
    """Writes one line over the one before, on a terminal; elsewhere a line now and then."""
    line = (
        f"{seconds:4.0f} of about {plan.seconds + 5:.0f} s   open {row['open']:6,.0f}   "
        f"server {row['server_cpu']:4.0%} of a core, {row['server_pss'] / 2**20:4.0f} MB   "
        f"locust {row['load_cpu']:4.0%}, {row['load_pss'] / 2**20:4.0f} MB"
    )
    if sys.stderr.isatty():
        print(f"\r{line}", end="", file=sys.stderr, flush=True)
    elif round(seconds) % SELDOM == 0:
        print(line, file=sys.stderr, flush=True)
