"""What a machine allows: limits and kernel settings, as a value. Linux only.

Everything is read below one folder, so a test brings a machine of its own. Nothing is ever written.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path("/")
UNLIMITED = 1 << 60  # what v1 of cgroups says for "no limit" is above it


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Limits and settings. None is what the machine does not have, or does not limit.

    Attributes:
        nofile_soft, nofile_hard: descriptors of the process that was looked at (RLIMIT_NOFILE).
        nr_open: the most that the hard limit can be set to (fs.nr_open).
        file_max, file_used: descriptors of the whole machine: the limit, and those in use (fs.file-max, fs.file-nr).
        epoll_watches: descriptors that the processes of one user may watch (fs.epoll.max_user_watches).
        somaxconn: connections that wait to be accepted (net.core.somaxconn).
        syn_backlog: handshakes of TCP under way, where there are no SYN cookies (net.ipv4.tcp_max_syn_backlog).
        syncookies: 0 never, 1 when that queue is full, 2 always (net.ipv4.tcp_syncookies).
        port_low, port_high: ports to connect from (net.ipv4.ip_local_port_range).
        tw_reuse: whether ports in TIME_WAIT are used again: 0 no, 1 yes, 2 over loopback (net.ipv4.tcp_tw_reuse).
        tcp_memory: bytes that all buffers of TCP may take (the last of net.ipv4.tcp_mem).
        memory, memory_available: bytes of the machine, and those that can be had without swapping.
        swap, swap_used: bytes.
        cgroup, cgroup_used: bytes that the control group may have, and has; the tightest of those around it.
        conntrack, conntrack_used: connections that netfilter tracks (net.netfilter.nf_conntrack_max).
        cores: that the process may run on.
    """

    nofile_soft: int | None = None
    nofile_hard: int | None = None
    nr_open: int | None = None
    file_max: int | None = None
    file_used: int = 0
    epoll_watches: int | None = None
    somaxconn: int | None = None
    syn_backlog: int | None = None
    syncookies: int = 1
    port_low: int | None = None
    port_high: int | None = None
    tw_reuse: int | None = None
    tcp_memory: int | None = None
    memory: int | None = None
    memory_available: int | None = None
    swap: int = 0
    swap_used: int = 0
    cgroup: int | None = None
    cgroup_used: int = 0
    conntrack: int | None = None
    conntrack_used: int = 0
    cores: int = 1

    @property
    def ports(self) -> int | None:
        """How many ports one address has towards one server."""
        return None if self.port_low is None or self.port_high is None else self.port_high - self.port_low + 1

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for JSON."""
        return asdict(self)


def read(pid: int | None = None, root: Path = ROOT) -> Readings:
    """Reads everything. Does not block, changes nothing.

    Args:
        pid: the process whose limits count; None is this one.
        root: the folder that has ``proc`` and ``sys``.

    Raises:
        OSError: there is no /proc: this is not Linux.
        ProcessLookupError: there is no such process.
    """
    proc = root / "proc"
    if not (proc / "sys").is_dir():
        raise OSError("limits are read from /proc, which only Linux has")
    process = proc / ("self" if pid is None else str(pid))
    if not process.is_dir():
        raise ProcessLookupError(f"there is no process {pid}")
    soft, hard = _nofile(process)
    meminfo = _meminfo(proc)
    cgroup, cgroup_used = _cgroup(process, root / "sys/fs/cgroup")
    return Readings(
        nofile_soft=soft,
        nofile_hard=hard,
        memory=meminfo.get("MemTotal"),
        memory_available=meminfo.get("MemAvailable"),
        swap=meminfo.get("SwapTotal", 0),
        swap_used=meminfo.get("SwapTotal", 0) - meminfo.get("SwapFree", 0),
        cgroup=cgroup,
        cgroup_used=cgroup_used,
        cores=_cores(process),
        **_settings(proc / "sys"),
    )


def _settings(folder: Path) -> dict[str, Any]:
    """The kernel's settings. One that is not there keeps its default."""

    def number(name: str, place: int = 0) -> int | None:
        words = _text(folder / name).split()
        return int(words[place]) if len(words) > place else None

    pages = number("net/ipv4/tcp_mem", 2)
    found = {
        "nr_open": number("fs/nr_open"),
        "file_max": number("fs/file-max"),
        "file_used": number("fs/file-nr"),
        "epoll_watches": number("fs/epoll/max_user_watches"),
        "somaxconn": number("net/core/somaxconn"),
        "syn_backlog": number("net/ipv4/tcp_max_syn_backlog"),
        "syncookies": number("net/ipv4/tcp_syncookies"),
        "port_low": number("net/ipv4/ip_local_port_range"),
        "port_high": number("net/ipv4/ip_local_port_range", 1),
        "tw_reuse": number("net/ipv4/tcp_tw_reuse"),
        "tcp_memory": None if pages is None else pages * os.sysconf("SC_PAGE_SIZE"),
        "conntrack": number("net/netfilter/nf_conntrack_max"),
        "conntrack_used": number("net/netfilter/nf_conntrack_count"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _nofile(process: Path) -> tuple[int | None, int | None]:
    match = re.search(r"^Max open files\s+(\S+)\s+(\S+)", _text(process / "limits"), re.MULTILINE)
    if match is None:
        return None, None
    soft, hard = (None if limit == "unlimited" else int(limit) for limit in match.groups())
    return soft, hard


def _meminfo(proc: Path) -> dict[str, int]:
    lines = re.findall(r"^(\w+):\s+(\d+) kB$", _text(proc / "meminfo"), re.MULTILINE)
    return {name: int(size) * 1024 for name, size in lines}


def _cores(process: Path) -> int:
    match = re.search(r"^Cpus_allowed_list:\s+(\S+)", _text(process / "status"), re.MULTILINE)
    if match is None:
        return 1
    ranges = [part.partition("-") for part in match[1].split(",")]
    return sum(int(last or first) - int(first) + 1 for first, _, last in ranges)


def _cgroup(process: Path, mount: Path) -> tuple[int | None, int]:
    """Returns the limit of memory that leaves least, and what is used of it, of the group and all groups around it."""
    for line in _text(process / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            return _tightest(mount / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")
    for line in _text(process / "cgroup").splitlines():
        if line.startswith("0::"):
            return _tightest(mount, line[3:], "memory.max", "memory.current")
    return None, 0


def _tightest(mount: Path, path: str, limit_name: str, used_name: str) -> tuple[int | None, int]:
    group = mount / path.strip("/")
    while not group.is_dir():  # in a container the path may be the host's
        group = group.parent
    found: list[tuple[int, int]] = []
    for folder in (group, *group.parents):
        if not folder.is_relative_to(mount):
            break
        limit, used = _text(folder / limit_name).strip(), _text(folder / used_name).strip()
        if limit.isdigit() and int(limit) < UNLIMITED:
            found.append((int(limit), int(used or 0)))
    return min(found, key=lambda pair: pair[0] - pair[1], default=(None, 0))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # not there, or not for us
        return ""
