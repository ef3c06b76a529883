"""Load shapes: what stages become, second by second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.locust.running import run_python

SOURCE = """
import json
from greenws.locust import Stages, burst, drain, hold, ramp
from greenws.locust import shapes

class Shape(Stages):
    def __init__(self, stages, users):
        super().__init__()
        self.given, self.users, self.now = stages, users, 0.0
    def stages(self):
        return self.given
    def get_run_time(self):
        return self.now
    def get_current_user_count(self):
        return self.users(self.now)

def ticks(stages, users, seconds):
    shape, found = Shape(stages, users), []
    shape.reset_time()
    for second in range(seconds):
        shape.now = float(second)
        found.append(shape.tick())
    return found

whole = [ramp(100, 4), hold(2), burst(50, 2), hold(1), drain(5)]
try:
    shapes.plan([hold(0)])
except ValueError as error:
    problem = str(error)
print(json.dumps({
    "plan": shapes.plan(whole),
    "on time": ticks(whole, lambda now: 150 if now <= 8 else 100 if now <= 9 else 0, 15),
    "late to go": ticks([ramp(100, 2), drain(2)], lambda now: 100 if now < 5 else 0, 8),
    "late": ticks([ramp(100, 2), hold(3)], lambda now: 100 if now >= 4 else 10, 10),
    "never": ticks([ramp(100, 2), hold(3)], lambda now: 10, 12),
    "fewer in the hold": ticks([ramp(100, 2), hold(2)], lambda now: 100 if now < 3 else 90, 6),
    "problem": problem,
}))
"""

UP, DOWN = [100, 50.0], [0, 20.0]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_python(SOURCE, tmp_path_factory.mktemp("shapes"))


pytestmark = pytest.mark.slow


def test_stages_become_users_and_rates(found: dict[str, Any]) -> None:
    assert found["plan"] == [
        [4, 100, 25.0, 100],
        [2, 100, 25.0, 0],  # as before, so that locust has nothing to do
        [2, 150, 50, 50],
        [1, 100, 50, -50],
        [5, 0, 20.0, -100],
    ]


def test_each_stage_lasts_as_long_as_it_says_and_the_test_ends(found: dict[str, Any]) -> None:
    hold, burst, after = [100, 25.0], [150, 50], [100, 50]
    assert found["on time"] == [[100, 25.0]] * 4 + [hold] * 2 + [burst] * 2 + [after] + [DOWN] * 5 + [None]


def test_a_hold_begins_when_all_are_there(found: dict[str, Any]) -> None:
    assert found["late"] == [UP] * 4 + [UP] * 3 + [None] * 3


def test_a_ramp_that_never_ends_is_given_up(found: dict[str, Any]) -> None:
    assert found["never"] == [UP] * 6 + [UP] * 3 + [None] * 3


def test_a_drain_ends_when_all_are_gone(found: dict[str, Any]) -> None:
    assert found["late to go"] == [UP] * 2 + [[0, 50.0]] * 3 + [None] * 3


def test_users_that_went_do_not_make_a_hold_longer(found: dict[str, Any]) -> None:
    assert found["fewer in the hold"] == [UP] * 2 + [UP] * 2 + [None] * 2


def test_a_stage_takes_some_time(found: dict[str, Any]) -> None:
    assert "not 0 seconds" in found["problem"]


def test_shapes_are_not_taken_for_the_locustfiles_own(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text("from greenws.locust import *\nfrom greenws.locust import Stages\n")
    source = "from locust.util.load_locustfile import load_locustfile\nprint(len(load_locustfile('file.py')[1]))"
    assert run_python(source, tmp_path) == 0
