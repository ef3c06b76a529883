"""Thresholds from the command line, and the exit code they lead to."""

from __future__ import annotations

from argparse import Namespace
from typing import Any, NamedTuple

from locust.env import Environment

from greenws.locust.figures import figures

MESSAGES = ("WSC", "WSR")  # the types whose response times are those of messages
PASSED, FAILED = 0, 1


class Check(NamedTuple):
    """One threshold, and how the run compares."""

    name: str
    limit: float
    found: float | None
    is_met: bool

    def __str__(self) -> str:
        found = "nothing was timed" if self.found is None else f"{self.found:g}"
        return f"{'met' if self.is_met else 'MISSED'}: {self.name} {self.limit:g}, found {found}"


def add_options(parser: Any) -> None:
    """Adds the options to locust's parser."""
    group = parser.add_argument_group("Thresholds", "The exit code is 1 when one is missed.")
    group.add_argument(
        "--max-p99-ms", type=float, metavar="MS", help="For every row of answers (WSC) and of timed pushes (WSR)."
    )
    group.add_argument("--max-connect-p99-ms", type=float, metavar="MS", help="For connects and reconnects.")
    group.add_argument(
        "--max-fail-ratio",
        type=float,
        metavar="RATIO",
        help="Of failures to everything in the statistics, from 0 to 1. Met, it also makes failures no error.",
    )
    group.add_argument("--min-open", type=int, metavar="N", help="Connections that were open at once.")


def check(environment: Environment, options: Namespace) -> list[Check]:
    """Compares the run with each threshold that was given. What cannot be compared is missed."""
    checks = []
    if options.max_p99_ms is not None:
        rows = [entry for (_, kind), entry in environment.stats.entries.items() if kind in MESSAGES]
        checks.append(_slowest("--max-p99-ms", options.max_p99_ms, rows))
    if options.max_connect_p99_ms is not None:
        keys = (("connect", "WS"), ("reconnect", "WS"))
        rows = [entry for key, entry in environment.stats.entries.items() if key in keys]
        checks.append(_slowest("--max-connect-p99-ms", options.max_connect_p99_ms, rows))
    if options.max_fail_ratio is not None:
        ratio = environment.stats.total.fail_ratio if environment.stats.total.num_requests else None
        is_met = ratio is not None and ratio <= options.max_fail_ratio
        checks.append(Check("--max-fail-ratio", options.max_fail_ratio, ratio, is_met))
    if options.min_open is not None:
        most = figures.most_open
        checks.append(Check("--min-open", options.min_open, most, most >= options.min_open))
    return checks


def exit_code(checks: list[Check], environment: Environment) -> int | None:
    """Returns the exit code, or None where locust is to decide as it always does."""
    if not all(check.is_met for check in checks):
        return FAILED
    tolerates = any(check.name == "--max-fail-ratio" for check in checks)
    return PASSED if tolerates and not environment.runner.exceptions else None


def _slowest(name: str, limit: float, rows: list[Any]) -> Check:
    """Checks the p99 of each row; locust knows it to two digits, and to the millisecond below 100."""
    found = [row.get_response_time_percentile(0.99) for row in rows if row.response_times]
    return Check(name, limit, max(found, default=None), bool(found) and max(found) <= limit)
