"""What the processes use, looked at once a second from outside, and what the server says of itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from greenws.bench.usage import PROC, read_usage

STEP = 1.0  # seconds


@dataclass(slots=True)
class Samples:
    """Columns of equal length, by name. ``at`` is in seconds since 1970."""

    columns: dict[str, list[float]] = field(default_factory=dict)

    def add(self, values: dict[str, float]) -> None:
        """Adds a row. All rows have the same names."""
        for name, value in values.items():
            self.columns.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> list[float]:
        return self.columns.get(name, [])


def watch(
    server: int, load: int, scrape: Callable[[], dict[str, float]], is_running: Callable[[], bool]
) -> Iterator[dict[str, float]]:
    """Yields a row each second, as long as the load runs.

    Args:
        server, load: processes.
        scrape: returns further values for the row. While it blocks, the next row waits.
        is_running: whether the load runs.
    """
    before, began = _used(server, load), time.monotonic()
    while is_running():
        time.sleep(max(0.0, STEP - (time.monotonic() - began)))
        try:
            now, at = _used(server, load), time.monotonic()
        except ProcessLookupError:  # the load has ended
            return
        seconds = at - began
        told = scrape()
        yield {
            "at": time.time(),
            "server_cpu": (now["server_cpu"] - before["server_cpu"]) / seconds,
            "load_cpu": (now["load_cpu"] - before["load_cpu"]) / seconds,
            **{name: now[name] for name in ("server_pss", "load_pss", "descriptors", "busy")},
            **told,
        }
        before, began = now, at


def _used(server: int, load: int) -> dict[str, float]:
    theirs, ours = read_usage((server,)), read_usage((load,))
    return {
        "server_cpu": theirs.user + theirs.system,
        "server_pss": theirs.pss,
        "load_cpu": ours.user + ours.system,
        "load_pss": ours.pss,
        "descriptors": sum(_descriptors(pid) for pid in _family(server)),
        "busy": os.getloadavg()[0],
    }


def _family(pid: int) -> list[int]:
    """Returns a process and its children."""
    try:
        children = (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *map(int, children)]


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(PROC / str(pid) / "fd"))
    except FileNotFoundError:
        return 0
