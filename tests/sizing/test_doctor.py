"""`greenws doctor`: what it prints, its status, and that it changes nothing."""

from __future__ import annotations

import json
import resource
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from greenws.cli import main
from greenws.sizing import readings
from tests.sizing.conftest import FILES, write

AMPLE = {
    "proc/self/limits": "Max open files            20000     524288     files\n",
    "proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n",
    "proc/sys/net/core/somaxconn": "4096\n",
    "proc/sys/net/ipv4/tcp_syncookies": "1\n",
    "proc/sys/net/ipv4/tcp_mem": "1\t2\t575796\n",
    "sys/fs/cgroup/memory.max": "max\n",
}


@pytest.fixture(autouse=True)
def here(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command looks at the machine that is made of files."""
    monkeypatch.setattr(readings, "read", partial(readings.read, root=machine))
    return machine


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


def test_something_too_low_is_status_1_and_says_what_to_type() -> None:
    done = doctor()
    assert done.exit_code == 1
    assert "10,000 connections in one process" in done.output
    assert "ulimit -Sn 10256" in done.output
    assert "sysctl -w net.core.somaxconn=4096" in done.output


def test_a_machine_that_has_enough_is_status_0(here: Path) -> None:
    write(here, AMPLE)
    done = doctor()
    assert done.exit_code == 0, done.output
    assert done.output.endswith("Nothing is too low.\n")


def test_a_note_is_status_0(here: Path) -> None:
    write(here, {**AMPLE, "proc/sys/net/ipv4/tcp_tw_reuse": "0\n"})
    done = doctor()
    assert done.exit_code == 0
    assert "\nnote     net.ipv4.tcp_tw_reuse" in done.output
    assert doctor("--proxy").exit_code == 1


def test_the_number_of_connections_and_workers_is_wanted(here: Path) -> None:
    write(here, AMPLE)
    assert doctor("--connections", "30000").exit_code == 1
    assert doctor("--connections", "30000", "--workers", "2").exit_code == 0


def test_json_is_one_object_with_findings_and_readings() -> None:
    done = doctor("--json", "--connections", "5000")
    assert done.exit_code == 1
    found = json.loads(done.output)
    assert (found["connections"], found["workers"], found["is_enough"]) == (5000, 1, False)
    nofile = next(finding for finding in found["findings"] if finding["name"] == "nofile")
    assert (nofile["level"], nofile["now"], nofile["needed"]) == ("low", 1024, 5256)
    assert {"place": "systemd", "line": "LimitNOFILE=5256", "note": ""} in nofile["remedies"]
    assert found["readings"]["somaxconn"] == 128


def test_another_process_may_be_looked_at() -> None:
    names = [finding["name"] for finding in json.loads(doctor("--json", "--pid", "4711").output)["findings"]]
    assert "nofile" not in names  # it has no limit


def test_a_process_that_does_not_exist_is_status_2() -> None:
    assert doctor("--pid", "4712").exit_code == 2


def test_elsewhere_than_on_linux_it_is_status_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "read", partial(readings.read, root=tmp_path / "none"))
    done = doctor()
    assert done.exit_code == 2
    assert "Linux" in done.output


def test_nothing_is_changed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(arguments)

    monkeypatch.setattr(resource, "setrlimit", refuse)
    for file in here.rglob("*"):
        if file.is_file():
            file.chmod(0o400)
    assert doctor("--proxy").exit_code == 1
    assert {name: (here / name).read_text() for name in FILES} == FILES
    assert len([file for file in here.rglob("*") if file.is_file()]) == len(FILES)
