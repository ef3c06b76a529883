"""Results as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.results import Results
from benchmarks.targets import TARGETS
from benchmarks.works import WORKS, Work


def write_tables(results: Results) -> str:
    """Returns a page: the machine, the targets, and a table for each work."""
    lines = [f"{name}: {value}  " for name, value in results.machine.items()]
    lines += ["", *_targets(results)]
    for work in WORKS:
        if work.key in results.values:
            lines += ["", f"## {work.title[0].upper()}{work.title[1:]}", "", *_work(results, work)]
    if results.left_out:
        lines += ["", "Left out:", "", *(f"- {name}: {reason}" for name, reason in results.left_out.items())]
    return "\n".join(lines) + "\n"


def _targets(results: Results) -> Iterator[str]:
    yield "| what | beside | at most | median | rounds | reached |"
    yield "|---" * 6 + "|"
    for target in TARGETS:
        rounds = target.reached(results)
        if rounds:
            median = statistics.median(rounds)
            beside = ("" if target.peer is None else results.names[target.peer]) + (", µs more" * target.is_difference)
            cells = [
                target.what,
                beside,
                f"{target.most:g}",
                f"{median:.2f}",
                f"{min(rounds):.2f} to {max(rounds):.2f}",
            ]
            yield f"| {' | '.join(cells)} | {'yes' if median <= target.most else '**no**'} |"


def _work(results: Results, work: Work) -> Iterator[str]:
    what = {"opening": "handshake", "seconds": "connection"}.get(work.figure, "message")
    columns = [
        f"CPU µs per {what}",
        "spread",
        "own",
        "kernel",
        "per second",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "client core",
    ]
    if work.figure == "seconds":
        columns.insert(0, "seconds")
    if work.figure in ("pss", "core"):
        columns = ["KB of PSS per connection", "spread", "KB of the kernel, both ends", "% of a core"]
    yield "| server | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    present = results.values[work.key]
    for key in sorted(present, key=lambda key: results.median(work.key, key, work.figure) or 0):
        yield f"| {results.names[key]} | " + " | ".join(_cells(results, work, key)) + " |"


def _cells(results: Results, work: Work, key: str) -> Iterator[str]:
    def cell(figure: str, digits: int, scale: float = 1.0) -> str:
        median = results.median(work.key, key, figure)
        return "-" if median is None else f"{median / scale:,.{digits}f}"

    if work.figure in ("pss", "core"):
        yield cell("pss", 2, 1024)
        yield spread(results.numbers(work.key, key, "pss"))
        yield cell("kernel", 1, 1024)
        yield cell("core", 2, 0.01)
        return
    if work.figure == "seconds":
        yield cell("seconds", 2)
    yield cell("cpu", 2)
    yield spread(results.numbers(work.key, key, "cpu"))
    yield cell("user", 2)
    yield cell("system", 2)
    yield cell("rate", 0)
    for name in ("p50", "p99", "p999"):
        yield cell(name, 2, 1000)
    yield cell("client", 0, 0.01) + " %"


def spread(numbers: list[float]) -> str:
    """Half of what lies between the lowest and the highest, in percent of the median."""
    if len(numbers) < 2 or not statistics.median(numbers):
        return "-"
    return f"±{(max(numbers) - min(numbers)) / 2 / statistics.median(numbers):.0%}"
