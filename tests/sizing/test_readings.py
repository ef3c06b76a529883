"""Limits are read below a folder, and nothing there is written."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import pytest

from greenws.sizing.readings import Readings, read
from tests.sizing.conftest import FILES, write


def test_everything_is_read(machine: Path) -> None:
    assert read(root=machine) == Readings(
        nofile_soft=1024,
        nofile_hard=524288,
        nr_open=1048576,
        file_max=400000,
        file_used=900,
        epoll_watches=123456,
        somaxconn=128,
        syn_backlog=512,
        syncookies=0,
        port_low=32768,
        port_high=60999,
        tw_reuse=2,
        tcp_memory=300 * os.sysconf("SC_PAGE_SIZE"),
        memory=4000 * 1024,
        memory_available=3000 * 1024,
        swap=200 * 1024,
        swap_used=50 * 1024,
        cgroup=1000000,
        cgroup_used=400000,
        conntrack=65536,
        conntrack_used=12,
        cores=4,
    )


def test_ports_are_counted_with_both_ends(machine: Path) -> None:
    assert read(root=machine).ports == 28232
    assert Readings().ports is None


def test_another_process_has_limits_of_its_own(machine: Path) -> None:
    readings = read(4711, machine)
    assert (readings.nofile_soft, readings.nofile_hard) == (None, None)


def test_a_process_that_does_not_exist_is_told(machine: Path) -> None:
    with pytest.raises(ProcessLookupError, match="4712"):
        read(4712, machine)


def test_where_there_is_no_proc_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Linux"):
        read(root=tmp_path)


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "proc/sys").mkdir(parents=True)
    (tmp_path / "proc/self").mkdir()
    assert read(root=tmp_path) == Readings()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"sys/fs/cgroup/app.slice/memory.max": "500000\n"}, (500000, 0)),  # leaves less than the one around it
        ({"sys/fs/cgroup/app.slice/memory.max": "900000\n"}, (1000000, 400000)),  # leaves more
        ({"proc/self/cgroup": "0::/not/mounted/here\n"}, (1000000, 400000)),  # the host's path, in a container
        ({"proc/self/cgroup": "0::/../../x\n"}, (1000000, 400000)),
        ({"sys/fs/cgroup/memory.max": "max\n"}, (None, 0)),
        (
            {
                "proc/self/cgroup": "4:memory:/a/b\n0::/\n",
                "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "9223372036854771712\n",  # v1: none
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "700000\n",
                "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "1\n",
            },
            (700000, 1),
        ),
    ],
)
def test_of_control_groups_the_one_that_leaves_least_counts(
    machine: Path, files: dict[str, str], expected: tuple[int | None, int]
) -> None:
    write(machine, files)
    readings = read(root=machine)
    assert (readings.cgroup, readings.cgroup_used) == expected


def test_without_control_groups_there_is_no_limit(machine: Path) -> None:
    shutil.rmtree(machine / "sys")
    (machine / "proc/self/cgroup").unlink()
    assert read(root=machine).cgroup is None


def test_reading_changes_nothing(machine: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    read(root=machine)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
    assert {name: (machine / name).read_text() for name in FILES} == FILES
    assert {file for file in machine.rglob("*") if file.is_file()} == {machine / name for name in FILES}


def test_this_machine_can_be_read() -> None:
    readings = read()
    assert (readings.nofile_soft, readings.nofile_hard) == tuple(
        None if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    assert readings.cores == len(os.sched_getaffinity(0))
    assert readings.memory_available
