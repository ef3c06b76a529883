"""`make capacity-100k`, with a few hundred."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

from benchmarks import hundred_thousand
from benchmarks.hundred_thousand import TARGET, main, measure
from greenws.bench import plan
from greenws.errors import ConfigError

FEW = ["--connections", "300", "--workers", "2", "--processes", "2", "--sources", "3", "--hold", "0.5"]


def arguments(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["hundred_thousand", *options])


@pytest.mark.slow
@pytest.mark.timeout(120)  # five processes start, and some of them end in good order
def test_connections_are_opened_over_several_workers_processes_and_sources_and_held(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hundred_thousand, "TARGET", 1 << 20)  # of so few it says little
    arguments(monkeypatch, *FEW, "--json", str(tmp_path / "a" / "results.json"))
    assert main() == 0
    text = capsys.readouterr().out
    assert "opened    300 of 300" in text
    assert "0 failed, 0 were dropped" in text
    assert text.endswith("passed\n")
    found = json.loads((tmp_path / "a" / "results.json").read_text())
    assert found["is_good"]
    assert found["result"]["plan"]["processes"] == 2
    assert found["result"]["opened"] == 300
    assert len(found["workers"]) == 2


def test_what_the_memory_cannot_hold_is_refused_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "BOTH_ENDS", 1 << 50)
    arguments(monkeypatch, *FEW)
    assert main() == 2
    assert "GB are available" in capsys.readouterr().err


def test_more_than_the_workers_can_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda kind: (1024, 4096))
    options = argparse.Namespace(connections=10_000, workers=2, processes=2, sources=1, hold=1.0)
    with pytest.raises(ConfigError, match="more --workers"):
        measure(options)


def test_the_target_is_two_kilobytes() -> None:
    assert TARGET == 2048
