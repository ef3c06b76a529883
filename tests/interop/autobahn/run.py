"""Runs Autobahn|Testsuite against our echo server and our echo client: ``python -m tests.interop.autobahn.run``.

Each verdict must be OK or what expected.toml says. Then the cases with the most fragments once more, with the limit
that is the default: each must be refused with 1009. Set up by ``make autobahn``, which runs this.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from greenws import CloseCode
from tests.interop.autobahn.client import STYLES, run_cases
from tests.interop.autobahn.suite import (
    REPORTS,
    Index,
    Run,
    explain,
    judge,
    read_expected,
    run_as_client,
    run_as_server,
    verdicts_of,
)
from tests.interop.serving import ROOT, serve

SIDES = ("server", "client")
LONG = ("9.*", "12.*", "13.*")  # many and large messages
LARGEST = 16 * 1024 * 1024  # 9.1.6, 9.2.6
LIMITS = {
    "max_message_size": LARGEST,
    "max_fragments": 65_537,  # 9.3.1, 9.4.1: 4 MiB in fragments of 64, and an empty one
    "compression": True,  # 12.*, 13.*
}
FRAGMENTED = ("9.3.1", "9.3.2", "9.3.3", "9.4.1", "9.4.2", "9.4.3")  # 4,097 fragments at least
DEFAULT_FRAGMENTS = {"max_message_size": LARGEST}


def run_suite(run: Run, limits: Mapping[str, Any]) -> Index:
    """Runs one side in one style. What our server logs as an exception fails the run."""
    if run.side == "server":
        with serve("tests.interop.app:create_app", **limits) as server:
            index = run_as_client(run, server.url(f"/{run.style}"))
            assert "Traceback" not in server.log(), server.log()
    else:
        index = {}
        with run_as_server(run, index) as port:
            run_cases(port, run.style, **limits)
    return index


def check_verdicts(run: Run) -> int:
    """Prints what the suite says, and returns how many verdicts nobody expects."""
    begin = time.monotonic()
    index = run_suite(run, LIMITS)
    counts = Counter(" and ".join(sorted(verdicts_of(entry))) for entry in index.values())
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    print(f"{run.side}, {run.style}: {len(index)} cases in {time.monotonic() - begin:.0f} s: {summary}", flush=True)
    unexpected = judge(index, read_expected(run.side))
    for case in unexpected:
        print(explain(run, case, index[case]), flush=True)
    return len(unexpected)


def check_fragments(run: Run) -> int:
    """Prints how the default limit of fragments ends the cases that exceed it, and returns how many it does not."""
    index = run_suite(run, DEFAULT_FRAGMENTS)
    codes = {case: entry["remoteCloseCode"] for case, entry in index.items()}
    print(f"{run.side}, {run.style}: by default closed with {codes}", flush=True)
    return sum(code != CloseCode.MESSAGE_TOO_BIG for code in codes.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="without 9.*, 12.* and 13.*: many and large messages")
    parser.add_argument("--side", choices=SIDES, action="append", help="only this side of ours")
    parser.add_argument("--style", choices=STYLES, action="append", help="only this style of echoing")
    parser.add_argument("--cases", nargs="+", default=["*"], help="only these, such as 12.1.* 13.3.1")
    options = parser.parse_args()
    failed = 0
    for side in options.side or SIDES:
        for style in options.style or STYLES:
            failed += check_verdicts(Run(side, style, style, tuple(options.cases), LONG if options.short else ()))
        if options.cases == ["*"]:
            failed += check_fragments(Run(side, "event", "fragments", FRAGMENTED))
    print(f"reports: {REPORTS.relative_to(ROOT)}/*/*/index.html")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
