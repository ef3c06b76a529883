"""``python -m capacity``: a server, ten thousand connections, and a page that says how it went. Linux only.

The status is 0 when everything held that must, and 1 when not.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
from pathlib import Path

from capacity.outcome import Outcome
from capacity.page import figures, page
from capacity.plan import Plan
from capacity.processes import ROOT
from capacity.run import run

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


def _tell(outcome: Outcome) -> None:
    for criterion in outcome.criteria():
        mark = "ok  " if criterion.is_met else "MISS"
        print(f"  {mark}  {criterion.what:44} {criterion.found:>14}   wanted {criterion.wanted}")
    for name, value in figures(outcome).items():
        print(f"        {name:44} {value:>14}")
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
