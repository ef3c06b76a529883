"""The fuzz targets on their seeds, without atheris. ``make fuzz`` goes on from there."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fuzz import extensions, frames, heads, target, upgrade
from greenws.errors import RequestError

ROOT = Path(__file__).parent.parent
SEEDS = sorted((ROOT / "fuzz" / "seeds").glob("*/*"))


def find_targets() -> set[str]:
    return {file.stem for file in (ROOT / "fuzz").glob("*.py")} - {"target"}


@pytest.mark.parametrize("seed", SEEDS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_seed_keeps_the_invariant(seed: Path) -> None:
    importlib.import_module(f"fuzz.{seed.parent.name}").check(seed.read_bytes())


def test_every_target_has_seeds_and_is_run() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    run = next(line for line in makefile.splitlines() if line.startswith("targets := ")).split()[2:]
    assert set(run) == {seed.parent.name for seed in SEEDS} == find_targets()


def fail(*_: object) -> Any:
    raise KeyError("not a documented failure")


@pytest.mark.parametrize(
    ("name", "module", "function"),
    [
        ("heads", "greenws.protocol.http", "head_end"),
        ("heads", "greenws.protocol.http", "parse_request"),
        ("extensions", "greenws.protocol.extensions", "parse_extensions"),
        ("upgrade", "greenws.protocol.handshake", "check_request"),
        ("upgrade", "greenws.protocol.origin", "is_origin_allowed"),
    ],
)
def test_another_exception_is_a_finding(monkeypatch: pytest.MonkeyPatch, name: str, module: str, function: str) -> None:
    monkeypatch.setattr(importlib.import_module(module), function, fail)
    data = (ROOT / "fuzz" / "seeds" / name / {"heads": "get"}.get(name, "browser")).read_bytes()
    with pytest.raises(KeyError):
        importlib.import_module(f"fuzz.{name}").check(data)


def test_two_builds_that_differ_are_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf:
        consumed = 0

        def __init__(self, *_: object) -> None:
            pass

        def feed(self, buffer: bytearray, start: int, stop: int) -> None:
            self.consumed = stop

        def has_more(self) -> bool:
            return False

        def next(self) -> None:
            return None

    monkeypatch.setattr(frames, "COMPILED", SimpleNamespace(messages=SimpleNamespace(MessageDecoder=Deaf)))
    with pytest.raises(AssertionError):
        frames.check((ROOT / "fuzz" / "seeds" / "frames" / "text").read_bytes())


def test_a_slow_input_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 1.0 + target.LIMIT])
    monkeypatch.setattr(target.time, "thread_time", lambda: next(clock))
    with pytest.raises(AssertionError, match="len took 50 ms"):
        target.timed(len, b"")


def test_a_wrong_answer_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each module that a target asks."""

    def refuse(*_: object) -> Any:
        raise RequestError(418, "no")

    monkeypatch.setattr(heads.http, "head_end", refuse)
    with pytest.raises(AssertionError):
        heads.check(b"GET")
    monkeypatch.setattr(extensions.extensions, "parse_extensions", lambda text: ())
    with pytest.raises(AssertionError):
        extensions.check(b"a")
    monkeypatch.setattr(upgrade.handshake, "_check_version", refuse)
    with pytest.raises(RequestError):
        upgrade.check((ROOT / "fuzz" / "seeds" / "upgrade" / "plain").read_bytes())
