"""A result, for people."""

from __future__ import annotations

from collections.abc import Iterator

from greenws.bench.result import Cost, Result, Times

BUSY = 0.95  # of the client's core: beyond it the client may be what is measured


def report(result: Result) -> str:
    """Returns a result as lines of text."""
    lines = list(_opening(result))
    if result.plan.mode != "handshake":
        lines += _work(result)
    if result.client_core >= BUSY:
        lines.append(f"note         the load used {result.client_core:.0%} of its core: it may be the limit")
    return "\n".join(lines)


def _opening(result: Result) -> Iterator[str]:
    yield (
        f"opened       {result.opened} connections in {result.opening_seconds:.2f} s, "
        f"{result.opened_per_second:,.0f} a second"
    )
    yield f"  each took  {_times(result.openings)}"
    if result.opening_cost:
        yield f"  server     {_cost(result.opening_cost)} for each"
    if result.failed:
        yield f"  failed     {result.failed}, the last one because: {result.refusal}"
    if result.lost:
        yield f"  lost       {result.lost}"


def _work(result: Result) -> Iterator[str]:
    name = "pongs   " if result.plan.mode == "ping" else "messages"
    if result.messages:
        yield (
            f"{name}     {result.messages} in {result.seconds:.2f} s, {result.messages_per_second:,.0f} a second"
            f"{f'; {result.wrong} were wrong' if result.wrong else ''}"
        )
        yield f"  each took  {_times(result.answers)}"
    elif result.wrong:
        yield f"{name}     none; {result.wrong} did not come"
    if result.pings:
        yield f"pings        {result.pings} answered"
    if result.cost:
        share = f"{result.cost.core:.1%} of a core"
        yield f"  server     {_cost(result.cost) + ' for each, ' if result.messages else ''}{share}"
    if result.memory:
        yield (
            f"memory       {result.memory.pss / 1024:.2f} KB of the server for each connection; "
            f"{result.memory.kernel / 1024:.2f} KB of the kernel for both ends of it"
        )


def _times(times: Times) -> str:
    if times.p50 is None:
        return "-"
    values = zip(("p50", "p99", "p99.9", "at most"), (times.p50, times.p99, times.p999, times.largest), strict=True)
    return ", ".join(f"{name} {(value or 0) / 1000:.3f} ms" for name, value in values)


def _cost(cost: Cost) -> str:
    if cost.us is None:
        return "-"
    return f"{cost.us:.2f} µs of CPU ({cost.user_us:.2f} its own, {cost.system_us:.2f} the kernel's)"
