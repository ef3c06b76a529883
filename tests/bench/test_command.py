"""`greenws bench`: what it prints, and its status."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from greenws.bench.plan import MODES
from greenws.cli import main

QUICK = ["-c", "3", "-d", "0.05", "--rest", "0", "--warm-up", "0"]


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", *arguments])


def test_figures_are_printed_and_the_status_is_0(site: Callable[[str], str]) -> None:
    done = bench(site("/echo"), *QUICK)
    assert done.exit_code == 0, done.output
    assert "opened       3 connections" in done.output
    assert "p99.9" in done.output


def test_json_is_one_object_with_the_plan_and_the_figures(site: Callable[[str], str]) -> None:
    done = bench(site("/echo"), *QUICK, "--json", "-H", "X-Test: 1")
    found = json.loads(done.output)
    assert found["plan"]["headers"] == [["X-Test", "1"]]
    assert found["messages_per_second"] > 0
    assert found["is_good"] is True


@pytest.mark.slow
def test_processes_and_sources_are_options(site: Callable[[str], str]) -> None:
    sources = ["--source", "127.0.0.2", "--source", "127.0.0.3"]
    done = bench(site("/echo"), *QUICK, "--json", "--processes", "2", *sources)
    found = json.loads(done.output)
    assert found["plan"]["source"] == ["127.0.0.2", "127.0.0.3"]
    assert (found["plan"]["processes"], found["opened"], found["is_good"]) == (2, 3, True)


def test_pongs_are_printed_as_such(site: Callable[[str], str]) -> None:
    done = bench(site("/silent"), *QUICK, "-m", "ping", "--interval", "0.02")
    assert "\npongs  " in done.output


def test_a_wrong_echo_is_status_1(site: Callable[[str], str]) -> None:
    done = bench(site("/wrong"), *QUICK)
    assert done.exit_code == 1
    assert "were wrong" in done.output


def test_a_server_that_refuses_is_status_1_and_says_how(site: Callable[[str], str]) -> None:
    done = bench(site("/refusal"), *QUICK)
    assert done.exit_code == 1
    assert "403" in done.output


@pytest.mark.parametrize(
    "arguments",
    [["ws://192.0.2.1/"], ["http://127.0.0.1/"], ["ws://127.0.0.1/", "-m", "x"], ["ws://127.0.0.1/", "-H", "Host: a"]],
)
def test_what_cannot_work_is_status_2(arguments: list[str]) -> None:
    assert bench(*arguments, *QUICK).exit_code == 2


def test_a_process_that_does_not_exist_is_status_1(site: Callable[[str], str]) -> None:
    done = bench(site("/echo"), *QUICK, "--pid", str(2**22 + 1))
    assert done.exit_code == 1
    assert "no process" in done.output


def test_the_help_explains_each_mode() -> None:
    text = bench("--help").output
    assert all(f"\n  {mode} " in text for mode in MODES)
