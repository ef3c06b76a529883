"""What processes and the kernel use, read from /proc. Linux only."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """What some processes and their children have used up to now.

    Attributes:
        user, system: seconds of CPU.
        pss: bytes of memory; what several processes share counts in parts (``Pss`` in proc(5)).
        kernel: bytes the kernel holds in slabs and TCP buffers, for the whole machine.
    """

    user: float
    system: float
    pss: int
    kernel: int


def read_usage(pids: tuple[int, ...]) -> Usage:
    """Adds up processes and their children. Does not block.

    Raises:
        ProcessLookupError: one of ``pids`` does not exist.
        PermissionError: one may not be looked at.
        OSError: this is not Linux.
    """
    if not (PROC / "self" / "stat").exists():
        raise OSError("what a process uses is read from /proc, which only Linux has")
    user = system = 0.0
    pss = 0
    for pid in _with_children(pids):
        times = _cpu(pid)
        user += times[0]
        system += times[1]
        pss += _pss(pid)
    return Usage(user, system, pss, _kernel())


def _with_children(pids: tuple[int, ...]) -> list[int]:
    found: list[int] = []
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid in found:
            continue
        if not (PROC / str(pid)).exists():
            if pid in pids:
                raise ProcessLookupError(f"there is no process {pid}")
            continue
        found.append(pid)
        for task in (PROC / str(pid) / "task").iterdir():
            waiting += [int(child) for child in _read(task / "children").split()]
    return found


def _cpu(pid: int) -> tuple[float, float]:
    """Returns user and system time. Their sum is exact; the kernel samples only how it divides."""
    fields = _read(PROC / str(pid) / "stat").rpartition(")")[2].split()
    if not fields:
        return 0.0, 0.0
    user, system = int(fields[11]), int(fields[12])
    schedules = [_read(task / "schedstat").split() for task in (PROC / str(pid) / "task").iterdir()]
    total = sum(int(times[0]) for times in schedules if times) / 1e9 or (user + system) / os.sysconf("SC_CLK_TCK")
    share = user / (user + system) if user + system else 1.0
    return total * share, total * (1 - share)


def _pss(pid: int) -> int:
    match = re.search(r"^Pss:\s+(\d+) kB", _read(PROC / str(pid) / "smaps_rollup"), re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def _kernel() -> int:
    slab = re.search(r"^Slab:\s+(\d+) kB", _read(PROC / "meminfo"), re.MULTILINE)
    tcp = re.search(r"^TCP:.* mem (\d+)", _read(PROC / "net/sockstat"), re.MULTILINE)
    return (int(slab[1]) * 1024 if slab else 0) + (int(tcp[1]) * os.sysconf("SC_PAGE_SIZE") if tcp else 0)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):  # it may end while we look
        return ""
