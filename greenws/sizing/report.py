"""Findings and estimates, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from greenws.sizing.demand import Demand
from greenws.sizing.estimate import PING_INTERVAL, Estimate
from greenws.sizing.findings import Finding, is_enough
from greenws.sizing.remedies import Remedy

WORDS = {"fine": "fine", "low": "TOO LOW", "note": "note"}
WIDTH = 30  # of the names


def report(findings: tuple[Finding, ...], demand: Demand) -> str:
    """Returns what the doctor says: a line for each limit, and below those that are not fine why and what to do."""
    lines = [_head(demand), ""]
    for finding in findings:
        lines += _lines(finding)
    count = sum(finding.level == "low" for finding in findings)
    end = "Nothing is too low." if is_enough(findings) else f"{count} too low. Nothing was changed."
    return "\n".join([*lines, "", end])


def _head(demand: Demand) -> str:
    workers = f"{demand.workers} workers" if demand.workers > 1 else "one process"
    return f"{demand.connections:,} connections in {workers}{', behind a proxy here' if demand.is_proxied else ''}"


def _lines(finding: Finding) -> Iterator[str]:
    needed = "" if finding.needed is None else f", needs {quantity(finding.needed, finding.unit)}"
    yield f"{WORDS[finding.level]:8} {finding.name:{WIDTH}} {quantity(finding.now, finding.unit)}{needed}"
    if finding.level != "fine":
        yield f"{'':9}{finding.why}"
        yield from table(((remedy.place, _typed(remedy)) for remedy in finding.remedies), indent=11)


def _typed(remedy: Remedy) -> str:
    return f"{remedy.line}  ({remedy.note})" if remedy.note else remedy.line


def report_estimate(result: Estimate) -> str:
    """Returns what was measured, what so many connections take, and what is too low for them."""
    lines = ["measured", *table(_measured(result), indent=2), ""]
    lines += [f"{result.demand.connections:,} connections take", *table(_taken(result), indent=2), ""]
    low = [finding for finding in result.findings if finding.level == "low"]
    for finding in low:
        lines += _lines(finding)
    return "\n".join([*lines, f"{len(low)} too low. Nothing was changed." if low else "This machine allows that."])


def _measured(result: Estimate) -> Iterator[tuple[str, str]]:
    costs = result.costs
    assumed = ", assumed: what was measured cannot be true" if costs.is_kernel_assumed else ""
    yield "with", f"{costs.trial:,} quiet connections, for a few seconds"
    yield (
        "memory",
        f"{quantity(costs.user, 'bytes')} each, beside {quantity(costs.process, 'bytes')} of the worker itself",
    )
    yield "kernel", f"{quantity(costs.kernel, 'bytes')} each, our end{assumed}"
    yield "CPU", f"{costs.handshake * 1e6:,.0f} µs for a handshake, {costs.ping * 1e6:,.0f} µs for a ping"


def _taken(result: Estimate) -> Iterator[tuple[str, str]]:
    demand = result.demand
    spread = " --reuse-port" if demand.workers > 1 else ""
    yield "workers", f"{demand.workers}: greenws run --workers {demand.workers}{spread}"
    yield "limits", f"of each worker: nofile {result.nofile:,}, max_connections {result.max_connections:,}"
    yield (
        "memory",
        (
            f"{quantity(result.user + result.kernel, 'bytes')}: {quantity(result.user, 'bytes')} of the processes, "
            f"{quantity(result.kernel, 'bytes')} of the kernel, buffers with unread data not included"
        ),
    )
    yield (
        "CPU",
        f"{result.ping_core:.1%} of a core for a ping to each every {PING_INTERVAL:.0f} s; messages come on top",
    )
    yield "", f"{result.handshake_core:.0%} of a core for 1,000 handshakes a second"
    yield "", f"{result.return_seconds:,.1f} s at least until all are back after a restart"
    if result.addresses is not None:
        count = f"{result.addresses} source addresses" if result.addresses > 1 else "one source address"
        yield "ports", f"none here; who connects to us needs {count}: a proxy, or a load on one machine"


def table(rows: Iterable[tuple[str, str]], *, indent: int = 0, width: int = 12) -> Iterator[str]:
    """Two columns."""
    for name, text in rows:
        yield f"{'':{indent}}{name:{width}} {text}"


def quantity(number: float, unit: str = "") -> str:
    """A number for people: 1,024, or for bytes 1.5 GB, 640 MB, 0.7 KB (of 1024 each)."""
    if unit != "bytes":
        return f"{number:,.0f}"
    if number >= 1 << 30:
        return f"{number / (1 << 30):,.1f} GB"
    return f"{number / (1 << 20):,.0f} MB" if number >= 10 << 20 else f"{number / 1024:,.1f} KB"
