"""What is read from /proc, from files like those of Linux."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from greenws.observe.figures import Figures
from greenws.observe.host import read_host, read_process

FILES = {
    "net/snmp": "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm ActiveOpens PassiveOpens\nTcp: 1 77 5\n",
    "meminfo": "MemTotal:       100 kB\nMemAvailable:    20 kB\nHugePages_Total:   0\n",
    "sys/fs/file-nr": "1234\t0\t9223372036854775807\n",
    "stat": "cpu  1 2 3\nbtime 1000\n",
    "7/stat": "7 (a) b) S " + " ".join(map(str, range(4, 53))),  # each is the number of its field
    "7/limits": "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096   files\n",
}


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "7/fd").mkdir()
    return tmp_path


def test_the_machine(proc: Path) -> None:
    figures = Figures()
    read_host(figures, proc)
    assert figures.values == {
        "node_netstat_Tcp_ActiveOpens": {(): 77},
        "node_memory_MemAvailable_bytes": {(): 20 * 1024},
        "node_filefd_allocated": {(): 1234},
    }


def test_a_process(proc: Path) -> None:
    figures, ticks = Figures(), os.sysconf("SC_CLK_TCK")
    read_process(figures, 7, proc)
    found = {name: values["7",] for name, values in figures.values.items()}
    # Fields 14 and 15 of proc_pid_stat(5) are the time, 22 the start, 23 and 24 the memory.
    assert found["process_cpu_seconds_total"] == (14 + 15) / ticks
    assert found["process_start_time_seconds"] == 1000 + 22 / ticks
    assert found["process_virtual_memory_bytes"] == 23
    assert found["process_resident_memory_bytes"] == 24 * os.sysconf("SC_PAGE_SIZE")
    assert found["process_max_fds"] == 1024


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that has /proc")
def test_open_descriptors_are_those_there_are() -> None:
    def count() -> float:
        figures = Figures()
        read_process(figures, os.getpid())
        return figures.values["process_open_fds"][str(os.getpid()),]

    before = count()
    ours, theirs = os.pipe()
    try:
        assert count() == before + 2
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("name", FILES)
def test_what_is_not_there_is_left_out(proc: Path, name: str) -> None:
    (proc / name).unlink()
    figures = Figures()
    read_host(figures, proc)
    read_process(figures, 7, proc)
    read_process(figures, 8, proc)
    assert len(figures.values) < 9


def test_a_limit_that_is_none_is_left_out(proc: Path) -> None:
    (proc / "7/limits").write_text("Max open files            unlimited            unlimited            files\n")
    figures = Figures()
    read_process(figures, 7, proc)
    assert "process_max_fds" not in figures.values
    assert "process_cpu_seconds_total" in figures.values
