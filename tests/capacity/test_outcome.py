"""What a run of ``make capacity`` comes to, from what locust and the samples say."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

from capacity.outcome import Outcome, read_outcome
from capacity.plan import Plan
from capacity.sampling import Samples
from capacity.scrape import LAG_COLUMNS

PLAN = Plan(connections=100, rate=10.0, ramp=5.0, hold=12.0, drain=3.0)
START = 1_000_000.0
COLUMNS = ("Timestamp", "Name", "Total Request Count", "50%", "95%", "99%")


def write(folder: Path, *, times: dict[int, int], failures: int = 0, most_open: int = 100, dropped: int = 0) -> None:
    """Writes what locust would write of a run of 20 seconds: 5 of ramp, 12 of hold, 3 of drain."""
    opens = [20 * second for second in range(5)] + [most_open] * 12 + [60, 30, 0]
    history = [{"at": START + second, "seconds": second, "open": open_} for second, open_ in enumerate(opens)]
    total = {"failed": 0, "dropped": dropped}
    counts = {"total": total, "most_open": most_open, "history": history}
    (folder / "connections.json").write_text(json.dumps(counts))
    rows = [
        {"name": "echo, ramp", "num_requests": 50, "num_failures": 0, "response_times": {"900": 50}},
        {
            "name": "echo",
            "num_requests": sum(times.values()),
            "num_failures": failures,
            "response_times": {str(time): count for time, count in times.items()},
        },
    ]
    (folder / "rows.json").write_text(json.dumps(rows))
    with (folder / "locust_stats_history.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS)
        lines.writerow((START + 1, "connect", 20, 1, 2, 3))
        lines.writerow((START + 2, "echo, ramp", 0, "N/A", "N/A", "N/A"))
        lines.writerow((START + 3, "echo, ramp", 50, 5, 6, 7))
        lines.writerow((START + 8, "echo, ramp", 50, 5, 6, 7))  # nothing was added to it
        lines.writerow((START + 8, "echo", 30, 1, 2, 3))


def sample(second: int, **told: float) -> dict[str, float]:
    """What is seen of the server in a second; ten timers ran in each, and one of them late."""
    ran = 10.0 * (second + 3)
    late = {name: ran if bound >= 0.005 else ran * 0.9 for bound, name in LAG_COLUMNS.items()}
    counts = {"open": 100.0 if 5 <= second < 17 else 0.0, "abnormal_closes": 0.0, "gc_longest": 0.001}
    return {"at": START + second, "server_pss": 150_000.0, **late, **counts, **told}


def outcome(folder: Path, told: dict[int, dict[str, float]] | None = None, **figures: Any) -> Outcome:
    """A run in which the server told otherwise in some seconds."""
    write(folder, **figures)
    samples = Samples()
    for second in range(-3, 20):
        samples.add(sample(second, **(told or {}).get(second, {})))
    return read_outcome(PLAN, 1, 50_000.0, samples, folder)


GOOD = {1: 98, 90: 2}
SILENT = dict.fromkeys(("open", "abnormal_closes", *LAG_COLUMNS.values()), math.nan)


def test_a_good_run_passes(tmp_path: Path) -> None:
    found = outcome(tmp_path, times=GOOD)
    assert found.is_good
    assert found.rate == 10  # 100 in the 10 seconds of the hold that count
    assert [found.percentile(share) for share in (0.5, 0.98, 0.99)] == [1, 1, 90]


@pytest.mark.parametrize(
    ("figures", "what"),
    [
        ({"times": GOOD, "most_open": 99}, "open at once"),
        ({"times": GOOD, "failures": 1}, "failed or dropped"),
        ({"times": GOOD, "dropped": 1}, "failed or dropped"),
        ({"times": {1: 94}}, "messages a second"),
        ({"times": {1: 98, 110: 2}}, "echo p99"),
        ({"times": {}}, "echo p99"),
        ({"times": GOOD, "told": {10: {"open": 99.0}}}, "open, as the server counts them"),
        ({"times": GOOD, "told": {10: {"open": 101.0}}}, "open, as the server counts them"),
        ({"times": GOOD, "told": {19: {"abnormal_closes": 1.0}}}, "abnormal closes, as the server counts them"),
        ({"times": GOOD, "told": dict.fromkeys(range(-3, 20), SILENT)}, "open, as the server counts them"),
    ],
)
def test_what_does_not_hold_is_named(tmp_path: Path, figures: dict[str, Any], what: str) -> None:
    found = outcome(tmp_path, **figures)
    assert not found.is_good
    assert what in {criterion.what for criterion in found.criteria() if not criterion.is_met}


def test_memory_is_what_was_added_divided_by_the_connections(tmp_path: Path) -> None:
    found = outcome(tmp_path, times=GOOD)
    assert found.memory == 1_000


def test_the_hold_is_when_all_were_open(tmp_path: Path) -> None:
    found = outcome(tmp_path, times=GOOD)
    assert found.hold == (START + 5, START + 16)
    assert len(found.during_hold("server_pss")) == 12


def test_latency_over_time_leaves_out_rows_that_stand_still(tmp_path: Path) -> None:
    found = outcome(tmp_path, times=GOOD)
    assert found.latency["at"] == [START + 3, START + 8]
    assert found.latency["99%"] == [7, 3]


def test_a_scrape_that_failed_is_left_out(tmp_path: Path) -> None:
    found = outcome(tmp_path, {10: SILENT, 19: SILENT}, times=GOOD)
    assert found.is_good
    assert found.open_by_server == 100


def test_the_count_of_the_server_may_be_late_when_the_last_one_comes(tmp_path: Path) -> None:
    assert outcome(tmp_path, {5: {"open": 98.0}, 6: {"open": 99.0}}, times=GOOD).is_good


def test_hub_lag_is_that_of_the_hold(tmp_path: Path) -> None:
    found = outcome(tmp_path, times=GOOD)
    assert (found.hub_lag(0.5), found.hub_lag(0.99)) == (0.0001, 0.005)
    assert math.isnan(outcome(tmp_path, dict.fromkeys(range(-3, 20), SILENT), times=GOOD).hub_lag(0.99))
