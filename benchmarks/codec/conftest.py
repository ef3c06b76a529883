"""Shows what one frame takes."""

from __future__ import annotations

from typing import Any


def pytest_benchmark_update_json(config: object, benchmarks: object, output_json: dict[str, Any]) -> None:
    """Adds ``ns_per_frame`` to each benchmark of the JSON."""
    for found in output_json["benchmarks"]:
        found["extra_info"]["ns_per_frame"] = found["stats"]["median"] * 1e9 / found["extra_info"]["frames"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Writes a table: the codec, and nanoseconds for each frame."""
    session = getattr(terminalreporter.config, "_benchmarksession", None)
    if session is None:
        return
    terminalreporter.section("ns for each frame: median, and half of what lies between the quartiles")
    for found in session.benchmarks:
        frames = found.extra_info["frames"]
        median, spread = found.stats.median * 1e9 / frames, found.stats.iqr * 5e8 / frames
        terminalreporter.write_line(f"{found.name:32} {median:10,.1f}  ±{spread:,.1f}")
