"""How a run went over time, as pictures: SVG that stands in the page itself."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from capacity.outcome import Outcome

GREEN, BLUE, ORANGE, GREY = "#1b7f4d", "#2f6db5", "#c8691c", "#b8bec6"
MB, KB = 1024**2, 1024

Draw = Callable[[Axes, Outcome], None]


def picture(outcome: Outcome) -> str:
    """Draws everything that was looked at in one run."""
    matplotlib.rcParams.update({"svg.hashsalt": "greenws", "font.size": 9, "axes.titlelocation": "left"})
    figure, axes = pyplot.subplots(4, 2, figsize=(12, 12.5), layout="constrained", sharex=True)
    for axis, (title, draw) in zip(axes.flat, PANELS.items(), strict=True):
        draw(axis, outcome)
        axis.set_title(title, fontweight="bold")
        axis.axvspan(*(at - outcome.began for at in outcome.hold), color=GREEN, alpha=0.06, linewidth=0)
        axis.set_ylim(bottom=0)
        axis.set_xlim(0, max(*outcome.connections["seconds"], 1))
        axis.grid(color="#e6e8eb", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, fontsize=8, loc="best")
    for axis in axes[-1]:
        axis.set_xlabel("seconds; shaded: all connections are open")
    return _as_svg(figure)


def _as_svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return text.getvalue()[text.getvalue().index("<svg") :]


def _times(outcome: Outcome, source: Any) -> list[float]:
    return [at - outcome.began for at in source["at"]]


def _line(axis: Axes, outcome: Outcome, source: Any, name: str, color: str, label: str = "", scale: float = 1) -> None:
    values = [value / scale for value in source[name]]
    axis.plot(_times(outcome, source), values, color=color, label=label or None, linewidth=1.4)


def _connections(axis: Axes, outcome: Outcome) -> None:
    _line(axis, outcome, outcome.connections, "open", BLUE, "by locust")
    _line(axis, outcome, outcome.samples, "open", GREEN, "by the server")


def _latency(axis: Axes, outcome: Outcome) -> None:
    for name, color in (("99%", ORANGE), ("95%", BLUE), ("50%", GREEN)):
        _line(axis, outcome, outcome.latency, name, color, f"p{name[:-1]}")
    axis.axhline(outcome.plan.max_p99_ms, color=GREY, linestyle="--", linewidth=1, label="limit for p99")


def _messages(axis: Axes, outcome: Outcome) -> None:
    received, times = outcome.connections["received"], outcome.connections["seconds"]
    steps = zip(received, received[1:], times, times[1:], strict=False)
    rates = [(after - before) / max(later - earlier, 0.1) for before, after, earlier, later in steps]
    axis.plot(_times(outcome, outcome.connections)[1:], rates, color=BLUE, label="by locust", linewidth=1.4)
    _line(axis, outcome, outcome.samples, "received", GREEN, "by the server")


def _cpu(axis: Axes, outcome: Outcome) -> None:
    _line(axis, outcome, outcome.samples, "server_cpu", GREEN, "server, all workers", 0.01)
    _line(axis, outcome, outcome.samples, "load_cpu", BLUE, "locust", 0.01)


def _memory(axis: Axes, outcome: Outcome) -> None:
    _line(axis, outcome, outcome.samples, "server_pss", GREEN, "server, all workers", MB)
    _line(axis, outcome, outcome.samples, "load_pss", BLUE, "locust", MB)


def _per_connection(axis: Axes, outcome: Outcome) -> None:
    """From a tenth of the connections on, and until they go: else what is divided is what a process keeps anyway."""
    _, end = outcome.hold
    open_at = dict(zip(map(round, outcome.connections["at"]), outcome.connections["open"], strict=True))
    points = [
        (at - outcome.began, (pss - outcome.base) / open_at[round(at)] / KB)
        for at, pss in zip(outcome.samples["at"], outcome.samples["server_pss"], strict=True)
        if at <= end and open_at.get(round(at), 0) >= outcome.plan.connections / 10
    ]
    axis.plot([x for x, _ in points], [y for _, y in points], color=GREEN, linewidth=1.4)


def _descriptors(axis: Axes, outcome: Outcome) -> None:
    _line(axis, outcome, outcome.samples, "descriptors", GREEN)


def _pauses(axis: Axes, outcome: Outcome) -> None:
    times = _times(outcome, outcome.samples)
    for name, color, label in (
        ("hub_lag_longest", BLUE, "hub woke late by, at most"),
        ("gc", GREY, "GC, all of a second"),
        ("gc_longest", ORANGE, "GC, longest pause, at most"),
    ):
        axis.plot(times, [value * 1000 for value in outcome.samples[name]], ".", color=color, label=label, markersize=5)


PANELS: dict[str, Draw] = {
    "Connections open": _connections,
    "Echo, milliseconds (over 10 s)": _latency,
    "Messages received a second": _messages,
    "CPU, percent of one core": _cpu,
    "Memory (PSS), MB": _memory,
    "Server's memory for each connection, KB": _per_connection,
    "Descriptors of the server": _descriptors,
    "Pauses of the workers, milliseconds": _pauses,
}
