"""Machines made of files, so that no test depends on the one it runs on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.leaks import no_leaks, pytest_runtest_makereport

__all__ = ["no_leaks", "pytest_runtest_makereport"]

FILES = {
    "proc/self/limits": "Limit   Soft Limit   Hard Limit   Units\nMax open files         1024     524288     files\n",
    "proc/self/cgroup": "0::/app.slice\n",
    "proc/self/status": "Name: x\nCpus_allowed_list:\t0-2,5\n",
    "proc/4711/limits": "Max open files            unlimited            unlimited            files\n",
    "proc/meminfo": "MemTotal: 4000 kB\nMemAvailable: 3000 kB\nSwapTotal: 200 kB\nSwapFree: 150 kB\n",
    "proc/sys/fs/nr_open": "1048576\n",
    "proc/sys/fs/file-max": "400000\n",
    "proc/sys/fs/file-nr": "900\t0\t400000\n",
    "proc/sys/fs/epoll/max_user_watches": "123456\n",
    "proc/sys/net/core/somaxconn": "128\n",
    "proc/sys/net/ipv4/tcp_max_syn_backlog": "512\n",
    "proc/sys/net/ipv4/tcp_syncookies": "0\n",
    "proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
    "proc/sys/net/ipv4/tcp_tw_reuse": "2\n",
    "proc/sys/net/ipv4/tcp_mem": "100\t200\t300\n",
    "proc/sys/net/netfilter/nf_conntrack_max": "65536\n",
    "proc/sys/net/netfilter/nf_conntrack_count": "12\n",
    "sys/fs/cgroup/app.slice/memory.max": "max\n",
    "sys/fs/cgroup/memory.max": "1000000\n",
    "sys/fs/cgroup/memory.current": "400000\n",
}


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The root of a machine."""
    write(tmp_path, FILES)
    return tmp_path
