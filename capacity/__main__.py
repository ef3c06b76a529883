"""``python -m capacity``: a server, ten thousand connections, and a page that says how it went. Linux only.

The status is 0 when everything held that must, and 1 when not.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import time
from pathlib import Path

from capacity.outcome import Outcome, read_outcome
from capacity.page import figures, page
from capacity.plan import Plan
from capacity.processes import ROOT, locust, server
from capacity.sampling import Samples, noted, watch

SELDOM = 10  # seconds between lines of progress in a log
SPARE = 500  # descriptors beside those of connections


def main() -> int:
    """Runs against a server with each number of workers, and writes the report."""
    options = _options()
    plan = Plan(
        connections=options.connections, rate=options.rate, ramp=options.ramp, hold=options.hold, drain=options.drain
    )
    _claim_descriptors(plan.connections + SPARE)
    outcomes = []
    for workers in options.workers:
        folder = options.out / f"workers-{workers}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        outcomes.append(run(plan, workers, folder))
        _tell(outcomes[-1])
    file = options.out / "report.html"
    file.write_text(page(outcomes), encoding="utf-8")
    print(f"\nThe report: {file}")
    return int(not all(outcome.is_good for outcome in outcomes))


def run(plan: Plan, workers: int, folder: Path) -> Outcome:
    """Runs one server and the load against it. Blocks for as long as that takes."""
    print(f"\n{workers} {'worker' if workers == 1 else 'workers'}, {plan.connections:,} connections", flush=True)
    samples = Samples()
    with server(workers, folder) as (pid, port), locust(plan, port, folder) as load:
        began = time.monotonic()
        for row in watch(pid, load.pid, lambda: load.poll() is None):
            samples.add(row)
            _show(row, time.monotonic() - began, plan)
        load.wait()
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if not (folder / "connections.json").exists():
        sys.exit(f"locust ended with {load.returncode}; see {folder / 'locust.log'}")
    return read_outcome(plan, workers, samples, noted(folder), folder)


def _show(row: dict[str, float], seconds: float, plan: Plan) -> None:
    """Writes one line over the one before, on a terminal; elsewhere a line now and then."""
    line = (
        f"{seconds:4.0f} of about {plan.seconds + 5:.0f} s   descriptors {row['descriptors']:6,.0f}   "
        f"server {row['server_cpu']:4.0%} of a core, {row['server_pss'] / 2**20:4.0f} MB   "
        f"locust {row['load_cpu']:4.0%}, {row['load_pss'] / 2**20:4.0f} MB"
    )
    if sys.stderr.isatty():
        print(f"\r{line}", end="", file=sys.stderr, flush=True)
    elif round(seconds) % SELDOM == 0:
        print(line, file=sys.stderr, flush=True)


def _tell(outcome: Outcome) -> None:
    for criterion in outcome.criteria():
        mark = "ok  " if criterion.is_met else "MISS"
        print(f"  {mark}  {criterion.what:40} {criterion.found:>14}   wanted {criterion.wanted}")
    for name, value in figures(outcome).items():
        print(f"        {name:40} {value:>14}")
    sys.stdout.flush()


def _claim_descriptors(wanted: int) -> None:
    """Raises the soft limit, which the server and locust inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        sys.exit(f"This needs {wanted:,} descriptors a process, and the limit is {hard:,}: ulimit -n {wanted}")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _options() -> argparse.Namespace:
    default = Plan()
    parser = argparse.ArgumentParser(prog="python -m capacity", description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=default.connections)
    parser.add_argument("--rate", type=float, default=default.rate, help="messages a second, all together")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="of the server; a run for each")
    parser.add_argument("--ramp", type=float, default=default.ramp, help="seconds")
    parser.add_argument("--hold", type=float, default=default.hold, help="seconds")
    parser.add_argument("--drain", type=float, default=default.drain, help="seconds")
    parser.add_argument("--out", type=Path, default=ROOT / ".cache" / "capacity", help="folder of the report")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
