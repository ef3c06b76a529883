"""The counts of connections: over processes, and over time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.locust.running import run_python

SOURCE = """
import json
from greenws.locust.figures import MAX_SAMPLES, Counts, Figures

found = {}
figures = Figures()
figures.opened(again=False)
figures.opened(again=True)
figures.ended(1000, is_drop=False)
figures.ended(1006, is_drop=True)
figures.opened(again=True)
found["own"] = figures.total().as_dict()
found["most"] = figures.most_open

figures.start_over()
found["over"] = [figures.total().as_dict(), figures.most_open]

worker = Counts(open=5, opened=6, sent=3)
worker.closes[1000] += 1
report = json.loads(json.dumps(worker.as_dict()))  # on the wire it is not JSON, but all keys must survive
for _ in range(2):
    figures.take_report("one", report)  # a report takes the place of the one before
figures.take_report("two", Counts(open=2, opened=2).as_dict())
found["together"] = [figures.total().as_dict(), figures.most_open]
figures.lose("two")
found["lost"] = [figures.total().open, figures.total().opened, figures.most_open]

figures = Figures()
for second in range(10):
    figures.own.sent += 7
    figures.sample(float(second), 0.0)
found["rate"] = figures.rate("sent")
for second in range(10, 10 * MAX_SAMPLES):
    figures.sample(float(second), 0.0)
found["samples"] = len(figures.history)
found["ends"] = [figures.history[0]["seconds"], figures.history[-1]["seconds"]]
found["no rate"] = Figures().rate("sent")
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_python(SOURCE, tmp_path_factory.mktemp("figures"))


pytestmark = pytest.mark.slow

NOTHING = dict.fromkeys(("open", "opened", "reconnects", "failed", "dropped", "sent", "received"), 0)


def test_connections_are_counted_as_they_come_and_go(found: dict[str, Any]) -> None:
    closes = {"1000": 1, "1006": 1}
    assert found["own"] == NOTHING | {"open": 1, "opened": 3, "reconnects": 2, "dropped": 1, "closes": closes}
    assert found["most"] == 2


def test_a_new_test_counts_from_nothing_but_what_is_open(found: dict[str, Any]) -> None:
    assert found["over"] == [NOTHING | {"open": 1, "closes": {}}, 1]


def test_the_master_adds_up_its_workers(found: dict[str, Any]) -> None:
    total, most = found["together"]
    assert total == NOTHING | {"open": 8, "opened": 8, "sent": 3, "closes": {"1000": 1}}
    assert most == 8


def test_a_lost_worker_has_no_connections_but_its_past(found: dict[str, Any]) -> None:
    assert found["lost"] == [6, 8, 8]


def test_a_rate_is_that_of_the_last_samples(found: dict[str, Any]) -> None:
    assert found["rate"] == 7
    assert found["no rate"] == 0


def test_samples_are_bounded_and_span_the_whole_run(found: dict[str, Any]) -> None:
    assert 1800 <= found["samples"] <= 3600
    first, last = found["ends"]
    assert first < 100
    assert last > 35_900
