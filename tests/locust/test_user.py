"""What a user does, as locust is told of it. One run does everything; each test looks at a part."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.locust.running import Run, run_locust

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def run(host: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_locust(HERE / "behaviour.py", host, tmp_path_factory.mktemp("user"), "-u", "1", "-t", "25s")


@pytest.fixture(scope="module")
def result(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = next(tmp_path_factory.getbasetemp().glob("user*/told.json"))
    found: dict[str, Any] = json.loads(file.read_text())
    assert "nobody" in found["said"], run.log
    return found


@pytest.fixture(scope="module")
def said(result: dict[str, Any]) -> dict[str, Any]:
    return result["said"]


@pytest.fixture(scope="module")
def told(result: dict[str, Any]) -> list[dict[str, Any]]:
    return result["told"]


def rows(told: list[dict[str, Any]], row: str) -> list[dict[str, Any]]:
    return [one for one in told if one["row"] == row]


pytestmark = [pytest.mark.slow, pytest.mark.timeout(50)]


def test_who_is_not_connected_connects_first(said: dict[str, Any], told: list[dict[str, Any]]) -> None:
    assert [one["row"] for one in told[:2]] == ["WS connect", "WSC echo"]
    assert said["echo"] == "hello"
    assert told[0]["ms"] > 0
    assert told[1]["ms"] > 0


def test_a_send_is_counted_and_not_timed(told: list[dict[str, Any]]) -> None:
    assert next(one["ms"] for one in rows(told, "WSS send")) is None


def test_who_is_connected_cannot_connect(said: dict[str, Any]) -> None:
    assert said["connects twice"] == "StateError"


def test_answers_find_their_requests_by_key_in_any_order(said: dict[str, Any], told: list[dict[str, Any]]) -> None:
    assert said["by key"] == {"a": "a", "b": "b"}
    assert len(rows(told, "WSC by key")) == 2


def test_pushes_are_timed_from_the_time_in_them(told: list[dict[str, Any]]) -> None:
    times = [one["ms"] for one in rows(told, "WSR push") if one["ms"] is not None]
    assert len(times) == 2
    assert all(500 <= time < 3000 for time in times)
    assert [one["ms"] for one in rows(told, "WSR push")].count(None) >= 1  # the welcome has no time


def test_what_is_expected_may_come_later_or_be_there_already(said: dict[str, Any], told: list[dict[str, Any]]) -> None:
    assert (said["expected"], said["kept"]) == ("one", "welcome")
    assert [one["ms"] for one in rows(told, "WSW from the inbox")] == [0]


def test_what_never_comes_fails_after_the_timeout(said: dict[str, Any], told: list[dict[str, Any]]) -> None:
    assert said["never"]
    (row,) = rows(told, "WSW never")
    assert "OperationTimeout" in row["error"]
    assert 50 <= row["ms"] < 3000


def test_a_late_answer_is_not_taken_for_the_next(said: dict[str, Any], told: list[dict[str, Any]]) -> None:
    assert said["late"]
    assert "OperationTimeout" in rows(told, "WSC too late")[0]["error"]
    assert said["after"] == "second"
    assert len(rows(told, "WSR late answer")) == 1


def test_an_end_that_is_expected_is_no_failure(said: dict[str, Any], told: list[dict[str, Any]]) -> None:
    (row,) = rows(told, "WS close 1012")
    assert said["ended"]  # the request is one
    assert "1012" in rows(told, "WSC ended")[0]["error"]
    assert row["error"] == "None"
    assert row["context"] == {"who": "me", "code": 1012, "reason": '"because"', "lifetime": row["context"]["lifetime"]}
    assert row["context"]["lifetime"] > 0


def test_any_other_end_is_a_failure_and_the_user_comes_back(said: dict[str, Any], told: list[dict[str, Any]]) -> None:
    found = rows(told, "WS close 4000")
    assert (said["dropped"], said["reconnects"]) == (True, True)
    assert len(found) == 2
    assert all("4000" in one["error"] for one in found)
    assert rows(told, "WSC dropped")[0]["context"]["code"] == 4000


def test_a_refusal_is_told_with_its_status(said: dict[str, Any], told: list[dict[str, Any]]) -> None:
    assert said["refused"] == [False, True]
    assert rows(told, "WS refused")[0]["context"]["status"] == 404


def test_a_server_that_is_not_there_is_a_failed_connect(said: dict[str, Any], told: list[dict[str, Any]]) -> None:
    assert said["nobody"] is False
    assert "ConnectError" in rows(told, "WS nobody")[0]["error"]


def test_figures_agree_with_what_was_told(run: Run, told: list[dict[str, Any]]) -> None:
    total = run.connections["total"]
    connects = rows(told, "WS connect") + rows(told, "WS reconnect")
    closes = Counter(one["row"].removeprefix("WS close ") for one in told if one["row"].startswith("WS close "))
    assert total["opened"] == len([one for one in connects if one["error"] == "None"]) == 7
    assert total["reconnects"] == 6
    assert total["failed"] == 3  # the refusal twice, and nobody
    assert total["dropped"] == 2
    assert total["closes"] == dict(closes) == {"1000": 4, "1012": 1, "4000": 2}
    assert total["open"] == 0
    assert run.connections["most_open"] == 1


def test_lifetimes_have_a_row_but_no_part_in_the_aggregate(
    run: Run, said: dict[str, Any], told: list[dict[str, Any]]
) -> None:
    assert run.count("WS", "lifetime") == 7
    assert said["aggregate"] == len(told)


def test_nothing_was_left_as_an_exception_of_the_task(run: Run) -> None:
    assert "Traceback" not in run.log
