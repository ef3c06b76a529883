"""Results as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from benchmarks.results import Results
from benchmarks.servers import SERVERS

OURS, THEIRS, FLOOR = "#1b7f4d", "#b8bec6", "#e8d9a8"
CUT = 2  # times the second longest: a longer bar leaves the picture, so that the others can be compared
KEYS = {server.key for server in SERVERS if server.is_ours}


@dataclass(frozen=True)
class Panel:
    """One bar chart: a figure of one work, shorter is better."""

    work: str
    figure: str
    title: str
    scale: float = 1.0


PICTURES = {
    "messages": (
        "Server CPU for each message, µs",
        (
            Panel("echo-100", "cpu", "echo, 64 bytes, 100 connections"),
            Panel("echo-1000", "cpu", "echo, 64 bytes, 1,000 connections"),
            Panel("pipelined", "cpu", "16 messages in one write"),
            Panel("binary", "cpu", "echo, 64 KB, binary"),
            Panel("fanout-1000", "cpu", "fan-out to 1,000"),
            Panel("fanout-10000", "cpu", "fan-out to 10,000"),
        ),
    ),
    "connections": (
        "What a connection costs",
        (
            Panel("idle", "pss", "memory of the server while idle, KB", 1024),
            Panel("handshake", "opening", "server CPU for a handshake, µs"),
            Panel("handshake-user", "opening", "the same for users, with a session"),
            Panel("storm", "seconds", "10,000 opened, seconds"),
        ),
    ),
}


def draw(results: Results, folder: Path) -> None:
    """Draws every picture of which something was measured. Small SVG files, the same for the same results."""
    matplotlib.rcParams.update({"svg.hashsalt": "greenws", "svg.fonttype": "none", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    for name, (title, panels) in PICTURES.items():
        present = [panel for panel in panels if results.values.get(panel.work)]
        if present:
            _draw_picture(results, title, present, folder / name)


def _draw_picture(results: Results, title: str, panels: list[Panel], file: Path) -> None:
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    bars = max(len(results.values[panel.work]) for panel in panels)
    figure, grid = pyplot.subplots(
        rows, columns, figsize=(5.6 * columns, rows * (0.6 + 0.21 * bars)), squeeze=False, layout="constrained"
    )
    for place, axes in enumerate(grid.flat):
        if place < len(panels):
            _draw_panel(results, panels[place], axes)
        else:
            axes.set_visible(False)
    figure.suptitle(f"{title} (shorter is better)", fontsize=11, fontweight="bold")
    figure.savefig(file.with_suffix(".svg"), metadata={"Date": None})
    pyplot.close(figure)


def _draw_panel(results: Results, panel: Panel, axes: Axes) -> None:
    medians = {key: results.median(panel.work, key, panel.figure) for key in results.values[panel.work]}
    order = sorted((median, key) for key, median in medians.items() if median is not None)
    names = [results.names[key] for _, key in order]
    values = [median / panel.scale for median, _ in order]
    numbers = [[n / panel.scale for n in results.numbers(panel.work, key, panel.figure)] for _, key in order]
    below = [value - min(found) for value, found in zip(values, numbers, strict=True)]
    above = [max(found) - value for value, found in zip(values, numbers, strict=True)]
    colours = [OURS if key in KEYS else FLOOR if key == "floor" else THEIRS for _, key in order]
    axes.barh(names, values, color=colours, xerr=[below, above], error_kw={"lw": 0.8, "ecolor": "#444444"})
    axes.invert_yaxis()
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0, labelcolor="#777777", labelsize=7)
    axes.tick_params(axis="y", length=0)
    ends = [value + more for value, more in zip(values, above, strict=True)]
    limit = min(max(ends), CUT * max([value for value in values if value != max(values)], default=max(ends)))
    axes.set_xlim(0, limit * 1.15)
    for place, (value, end) in enumerate(zip(values, ends, strict=True)):
        number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        if value > limit:
            axes.text(limit * 1.14, place, f"{number} →", ha="right", va="center", fontsize=8)
        else:
            axes.text(min(end, limit) + limit * 0.01, place, number, va="center", fontsize=8)
