"""A trial on real applications, each in a process of its own, which ends on every path."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gevent
import pytest
from click.testing import CliRunner
from gevent import socket

from greenws.bench.plan import Plan
from greenws.bench.result import Cost, Memory, Result, Times
from greenws.cli import main
from greenws.errors import ConfigError, LoadFailed
from greenws.sizing import serve as serving
from greenws.sizing import trial as trials
from greenws.sizing.demand import KERNEL, Costs
from greenws.sizing.serve import serve
from greenws.sizing.trial import measure

HERE = Path(__file__).parent
APP = "app:app"
SECRET = (("X-Token", "secret"),)

pytestmark = pytest.mark.timeout(90)  # on a busy machine an application takes seconds to start


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "REST", 0.2)
    monkeypatch.setattr(trials, "SECONDS", 0.5)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that were started, and their children."""
    pids: list[int] = []

    class Popen(serving.Popen):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            pids.append(self.pid)

    monkeypatch.setattr(serving, "Popen", Popen)
    return pids


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_there(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for has ended, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(*pids: int) -> None:
    until = time.monotonic() + 15
    while any(is_there(pid) for pid in pids):
        assert time.monotonic() < until, "a process has outlived us"
        gevent.sleep(0.02)


# ---- the trial


@pytest.mark.slow
def test_an_application_is_measured_and_its_process_ends(started: list[int]) -> None:
    costs = measure(APP, "/token", trial=200, headers=SECRET, chdir=str(HERE))
    assert costs.trial == 200
    assert 0 < costs.user < 8192
    assert costs.kernel >= KERNEL
    assert 10 << 20 < costs.process < 200 << 20
    assert 10e-6 < costs.handshake < 10e-3
    assert 1e-6 < costs.ping < 5e-3
    wait_until_gone(*started)


@pytest.mark.slow
def test_what_an_application_keeps_for_a_connection_is_in_its_memory() -> None:
    assert measure(APP, "/hungry", trial=200, chdir=str(HERE)).user > 18_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("application", "path", "reason"),
    [
        (APP, "/token", "401"),
        (APP, "/deserter", "lost"),
        ("app:create_broken()", "/", "no database"),
        ("x:y", "/", "x"),
    ],
)
def test_what_cannot_be_measured_is_told_and_ends(started: list[int], application: str, path: str, reason: str) -> None:
    with pytest.raises(LoadFailed, match=reason):
        measure(application, path, trial=100, chdir=str(HERE))
    wait_until_gone(*started)


@pytest.mark.slow
def test_the_command_measures_the_demo_and_prints_json() -> None:
    done = CliRunner().invoke(main, ["plan", "--connections", "50000", "--trial", "100", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["costs"]["trial"] == 100
    assert found["demand"]["connections"] == 50_000
    assert found["nofile"] > found["max_connections"] > 0


@pytest.mark.slow
def test_the_command_prints_the_figures() -> None:
    done = CliRunner().invoke(main, ["plan", APP, "--path", "/hungry", "--trial", "100", "--chdir", str(HERE)])
    assert done.exit_code == 0, done.output
    assert "10,000 connections take" in done.output


def test_an_application_that_is_not_there_is_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PROGRAM", "import sys; sys.exit('last words')")
    done = CliRunner().invoke(main, ["plan"])
    assert done.exit_code == 1
    assert "last words" in done.output


def test_what_makes_no_sense_is_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise ConfigError("no")

    monkeypatch.setattr(trials, "measure", refuse)
    assert CliRunner().invoke(main, ["plan"]).exit_code == 2


# ---- what is taken from a result


def result(*, pss: float = 700.0, kernel: float = 2 * 6000.0, **values: Any) -> Result:
    times = Times(1.0, 1.0, 1.0, 1.0)
    shared: dict[str, Any] = {
        "plan": Plan(url="", connections=10),
        "opened": 10,
        "failed": 0,
        "lost": 0,
        "refusal": "",
        "wrong": 0,
        "opening_seconds": 1.0,
        "openings": times,
        "seconds": 1.0,
        "messages": 10,
        "answers": times,
        "pings": 0,
        "client_core": 0.1,
        "opening_cost": Cost(100.0, 50.0, 0.1),
        "cost": Cost(20.0, 10.0, 0.1),
        "memory": Memory(pss, kernel),
    }
    return Result(**{**shared, **values})


def test_costs_are_of_one_connection_and_one_end() -> None:
    assert trials._costs(result(), 1000) == Costs(
        trial=10, user=700, kernel=6000, is_kernel_assumed=False, process=1000, handshake=150e-6, ping=30e-6
    )


@pytest.mark.parametrize("kernel", [-5000.0, 2 * KERNEL - 2.0, 16 * KERNEL + 2.0])
def test_memory_of_the_kernel_that_cannot_be_true_is_assumed(kernel: float) -> None:
    costs = trials._costs(result(kernel=kernel), 1000)
    assert (costs.kernel, costs.is_kernel_assumed) == (KERNEL, True)


def test_memory_is_never_less_than_nothing() -> None:
    assert trials._costs(result(pss=-3.0), 1000).user == 0


@pytest.mark.parametrize(
    "values", [{"memory": None}, {"cost": None}, {"opening_cost": None}, {"failed": 1}, {"lost": 1}]
)
def test_a_result_that_says_too_little_is_no_measure(values: dict[str, Any]) -> None:
    with pytest.raises(LoadFailed):
        trials._costs(result(**values), 1000)


def test_the_limit_of_descriptors_is_raised_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: raised.append(limits))
    for hard, trial in ((4096, 1000), (1000, 744), (resource.RLIM_INFINITY, 1000)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, hard=hard: (256, hard))
        assert trials._claim(1000) == trial
    assert raised == [(1256, 4096), (1000, 1000), (1256, resource.RLIM_INFINITY)]


# ---- the process


@pytest.mark.slow
def test_workers_share_one_port_and_end_with_the_block(started: list[int]) -> None:
    with serve(APP, workers=2, chdir=str(HERE)) as (pid, port):
        socket.create_connection(("127.0.0.1", port)).close()
        workers = children(pid)
        assert len(workers) == 2
    wait_until_gone(pid, *workers)
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.slow
def test_an_error_in_the_block_ends_it() -> None:
    seen: list[int] = []

    def interrupt() -> None:
        with serve(APP, chdir=str(HERE)) as (pid, _):
            seen.extend([pid, *children(pid)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    wait_until_gone(*seen)


@pytest.mark.slow
def test_one_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "STOP_TIMEOUT", 0.2)
    with serve(APP, chdir=str(HERE)) as (pid, _):
        workers = children(pid)
        os.kill(pid, signal.SIGSTOP)
    wait_until_gone(pid, *workers)  # a worker ends when it sees that its parent has


@pytest.mark.slow
def test_it_ends_when_we_are_killed() -> None:
    program = (
        "import sys, time; from greenws.sizing.serve import serve\n"
        "with serve(sys.argv[1], chdir=sys.argv[2]) as (pid, port): print(pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, APP, str(HERE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        workers = children(pid)
        process.kill()
    wait_until_gone(pid, *workers)


def test_one_that_never_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PROGRAM", "import time; time.sleep(60)")
    monkeypatch.setattr(serving, "START_TIMEOUT", 0.1)
    with pytest.raises(LoadFailed, match="did not answer"), serve(APP):
        pass
