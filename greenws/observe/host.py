"""What Linux says of a process and of the machine, under the names that Prometheus knows: ``process_*`` and ``node_*``.

Not by prometheus_client's own collector: that lists the descriptors of one process to count them, which takes 75 ms for
10,000, in which the hub would stand still. Linux has their number as the size of the folder (since 6.2).
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import gevent

from greenws.observe.figures import Figures

PROC = Path("/proc")


def read_host(figures: Figures, proc: Path = PROC) -> None:
    """Adds what the machine has: proc_net(5), proc_meminfo(5), proc_sys_fs(5). What there is not is left out."""
    try:
        lines = [line.split() for line in (proc / "net/snmp").read_text().splitlines() if line.startswith("Tcp:")]
        figures.add("node_netstat_Tcp_ActiveOpens", float(dict(zip(*lines, strict=True))["ActiveOpens"]))
        memory = dict(line.split(":") for line in (proc / "meminfo").read_text().splitlines())
        figures.add("node_memory_MemAvailable_bytes", float(memory["MemAvailable"].split()[0]) * 1024)
        figures.add("node_filefd_allocated", float((proc / "sys/fs/file-nr").read_text().split()[0]))
    except (OSError, KeyError, ValueError):
        return  # not Linux, or one that hides it


def read_process(figures: Figures, pid: int, proc: Path = PROC) -> None:
    """Adds what a process uses: proc_pid_stat(5). One that has ended is left out. May block, see ``_descriptors``."""
    folder, label = proc / str(pid), str(pid)
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        limits = (folder / "limits").read_text()
        boot = _boot_time(proc)
        descriptors = _descriptors(folder / "fd")
    except (OSError, StopIteration):
        return
    ticks = os.sysconf("SC_CLK_TCK")
    figures.add("process_cpu_seconds_total", (int(fields[11]) + int(fields[12])) / ticks, label)
    figures.add("process_start_time_seconds", boot + int(fields[19]) / ticks, label)
    figures.add("process_virtual_memory_bytes", float(fields[20]), label)
    figures.add("process_resident_memory_bytes", float(fields[21]) * os.sysconf("SC_PAGE_SIZE"), label)
    figures.add("process_open_fds", descriptors, label)
    most = next((line.split()[3] for line in limits.splitlines() if line.startswith("Max open files")), "")
    if most.isdigit():
        figures.add("process_max_fds", float(most), label)


@cache
def _boot_time(proc: Path) -> int:
    """When the machine began. Read once: what else is in that file takes the kernel a millisecond to say."""
    return next(int(line.split()[1]) for line in (proc / "stat").read_text().splitlines() if line.startswith("btime"))


def _descriptors(folder: Path) -> int:
    """Counts descriptors. Before Linux 6.2 in a thread, while the calling greenlet waits: each is an entry to read."""
    return folder.stat().st_size or len(gevent.get_hub().threadpool.apply(os.listdir, (folder,)))
