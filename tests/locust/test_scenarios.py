"""Every scenario in locustfiles/ runs against the demo, briefly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.interop import gunicorns
from tests.interop.serving import serve
from tests.locust.running import ROOT, Run, Running

FOLDER = ROOT / "locustfiles"
AT_ONCE = 4
STAGES = ("--ramp", "1", "--hold", "3", "--drain", "1")

# What each is told beside its users, and rows that must be there in the end.
SCENARIOS: dict[str, tuple[tuple[str, ...], list[tuple[str, str]]]] = {
    "broadcast": (("--interval", "0.5"), [("WS", "connect"), ("WSS", "send"), ("WSR", "fan-out")]),
    "capacity": ((*STAGES, "--interval", "0.5"), [("WSC", "echo, ramp"), ("WSC", "echo"), ("WS", "close 1000")]),
    "connect_storm": ((), [("WS", "connect"), ("WSC", "first message"), ("WS", "close 1000")]),
    "echo_latency": (("--sizes", "10", "2000"), [("WSC", "echo, 10 bytes"), ("WSC", "echo, 2,000 bytes")]),
    "heartbeat_idle": (("--interval", "0.5"), [("WS", "connect"), ("WSC", "ping")]),
    "pool_prewarm": ((), [("WSC", "first use, cold"), ("WSC", "first use, warm"), ("WSC", "use, warm")]),
    "reconnect_storm": (("--spread", "0.5"), [("WS", "reconnect"), ("WS", "close 1012"), ("WS", "recovery")]),
    "slow_readers": (("--delay", "0.2"), [("WSR", "fan-out"), ("WSR", "fan-out, slow"), ("WSS", "send")]),
    "soak": (("--lifetime", "1"), [("WSC", "echo, period 1"), ("WSC", "chat, period 1"), ("WS", "reconnect")]),
}


class Runs:
    """Runs that are started a few at a time, in the order of the table, ahead of the tests that wait for them."""

    def __init__(self, demo: str, gunicorn: SimpleNamespace, folder: Path) -> None:
        self.demo, self.gunicorn, self.folder = demo, gunicorn, folder
        self.started: dict[str, Running] = {}

    def wait(self, name: str) -> Run:
        names = list(SCENARIOS)
        for other in names[: names.index(name) + AT_ONCE]:
            if other not in self.started:
                self.start(other)
        return self.started[name].wait()

    def start(self, name: str) -> None:
        host, options = self.demo, ["-u", "10", "-r", "10", "--max-fail-ratio", "0", *SCENARIOS[name][0]]
        if name != "capacity":  # a shape ends by itself
            options += ["-t", "5s"]
        if name == "reconnect_storm":
            host = f"ws://127.0.0.1:{self.gunicorn.port}/event"
            options += ["--restart", f"kill -HUP {self.gunicorn.process.pid}", "--restart-after", "1.5"]
        self.started[name] = Running(FOLDER / f"{name}.py", host, self.folder / name, *options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with serve("greenws.demo.app:create_app") as demo, gunicorns.run() as gunicorn:
        made = Runs(demo.url(""), gunicorn, tmp_path_factory.mktemp("scenarios"))
        yield made
        for running in made.started.values():
            running.end()


def test_every_scenario_is_tested() -> None:
    assert {file.stem for file in FOLDER.glob("*.py")} == set(SCENARIOS)


@pytest.mark.slow
@pytest.mark.timeout(55)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_runs_without_a_failure(name: str, runs: Runs) -> None:
    run = runs.wait(name)
    assert run.code == 0, run.log
    assert "Traceback" not in run.log
    missing = [row for row in SCENARIOS[name][1] if not run.count(*row)]
    assert not missing, run.log
