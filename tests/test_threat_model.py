"""The threat model names limits and tests that there are."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from greenws import Config

ROOT = Path(__file__).parent.parent
FIELDS = {field.name for field in dataclasses.fields(Config)}


class Row(NamedTuple):
    """One threat."""

    threat: str
    bound: str
    limits: list[str]
    tests: list[str]


def find_rows() -> list[Row]:
    found = []
    for line in (ROOT / "THREAT_MODEL.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("| threat |"):
            threat, bound, limits, tests = (cell.strip() for cell in line.strip("|").split("|"))
            found.append(Row(threat, bound, *(re.findall(r"`([^`]+)`", cell) for cell in (limits, tests))))
    return found


ROWS = find_rows()


def functions(file: Path) -> set[str]:
    return {node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.threat)
def test_a_threat_has_what_bounds_it_and_a_test(row: Row) -> None:
    assert row.bound
    assert row.tests
    for test in row.tests:
        path, _, name = test.partition("::")
        assert name.startswith("test_"), test
        assert name in functions(ROOT / path), test
    for limit in row.limits:
        module, _, name = limit.rpartition(".")
        assert hasattr(importlib.import_module(module), name) if module else limit in FIELDS, limit


def test_every_limit_bounds_a_threat() -> None:
    assert {limit for row in ROWS for limit in row.limits if "." not in limit} == FIELDS


def test_every_threat_is_named_once() -> None:
    assert len({row.threat for row in ROWS}) == len(ROWS) > 20
