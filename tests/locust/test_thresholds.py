"""Thresholds: what they compare, and the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.locust.running import run_locust, run_python

SOURCE = """
import json
from types import SimpleNamespace
from greenws.locust import thresholds
from greenws.locust.figures import figures
from locust.env import Environment

def environment():
    made = Environment()
    made.create_local_runner()
    return made

def checked(made, **given):
    names = ("max_p99_ms", "max_connect_p99_ms", "max_fail_ratio", "min_open")
    options = SimpleNamespace(**{name: given.get(name) for name in names})
    checks = thresholds.check(made, options)
    return [[check.is_met for check in checks], thresholds.exit_code(checks, made)]

used, unused, excepted = environment(), environment(), environment()
for number in range(100):
    used.stats.log_request("WSC", "fast", 10, 1)
    used.stats.log_request("WSR", "pushed", 80, 1)
    used.stats.log_request("WS", "connect", 500, 0)
    used.stats.log_request("WSW", "expect", 9000, 0)
    used.stats.log_request("WSS", "send", None, 0)
used.stats.log_error("WSC", "fast", "broken")
excepted.stats.log_request("WSC", "fast", 10, 1)
excepted.runner.log_exception("local", "oops", "traceback")
figures.most_open = 7
print(json.dumps({
    "none": checked(used),
    "p99 met": checked(used, max_p99_ms=80),
    "p99 of the slowest row": checked(used, max_p99_ms=79),
    "nothing timed": checked(unused, max_p99_ms=1000),
    "connects met": checked(used, max_connect_p99_ms=500),
    "connects missed": checked(used, max_connect_p99_ms=400),
    "ratio met": checked(used, max_fail_ratio=0.002),
    "ratio missed": checked(used, max_fail_ratio=0.001),
    "ratio of nothing": checked(unused, max_fail_ratio=1),
    "ratio met, but a task raised": checked(excepted, max_fail_ratio=0),
    "open met": checked(used, min_open=7),
    "open missed": checked(used, min_open=8),
    "one of two": checked(used, max_p99_ms=80, min_open=8),
}))
"""

EXPECTED: dict[str, Any] = {
    "none": [[], None],
    "p99 met": [[True], None],  # there are failures, and nobody said how many may be: locust says 1
    "p99 of the slowest row": [[False], 1],
    "nothing timed": [[False], 1],
    "connects met": [[True], None],
    "connects missed": [[False], 1],
    "ratio met": [[True], 0],
    "ratio missed": [[False], 1],
    "ratio of nothing": [[False], 1],
    "ratio met, but a task raised": [[True], None],
    "open met": [[True], None],
    "open missed": [[False], 1],
    "one of two": [[True, False], 1],
}

LOCUSTFILE = """
from locust import constant, task
from greenws.locust import WebSocketUser

class User(WebSocketUser):
    path = "/echo"
    wait_time = constant(0.1)

    @task
    def echo(self):
        self.request("hello")

    @task
    def end(self):
        self.close(4001)
        self.path = "/ends/4002"
        self.request("hello", name="ended")

    def delay_before_reconnect(self, code):
        self.path = "/echo"
        return 0
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_python(SOURCE, tmp_path_factory.mktemp("thresholds"))


pytestmark = [pytest.mark.slow, pytest.mark.timeout(50)]


@pytest.mark.parametrize("case", EXPECTED)
def test_threshold(case: str, found: dict[str, Any]) -> None:
    assert found[case] == EXPECTED[case]


@pytest.mark.parametrize(("ratio", "code", "word"), [("0.9", 0, "met"), ("0", 1, "MISSED")])
def test_exit_code_of_a_run_with_failures(host: str, tmp_path: Path, ratio: str, code: int, word: str) -> None:
    (tmp_path / "file.py").write_text(LOCUSTFILE)
    options = ("-u", "4", "-r", "4", "-t", "2s", "--min-open", "2", "--max-p99-ms", "20000")
    run = run_locust(tmp_path / "file.py", host, tmp_path / "run", *options, "--max-fail-ratio", ratio)
    assert run.code == code, run.log
    assert f"{word}: --max-fail-ratio" in run.log
    assert {item["name"]: item["is_met"] for item in run.connections["thresholds"]} == {
        "--max-p99-ms": True,
        "--max-fail-ratio": code == 0,
        "--min-open": True,
    }
