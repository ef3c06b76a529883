"""The list of hostile input is whole: each case has bytes in a table, a test of its own, or a reason why not yet."""

from __future__ import annotations

from pathlib import Path

from tests.hostile.corpus import IDS, NOT_YET, ROWS, TESTS, ids, lines
from tests.test_threat_model import functions

FOLDER = Path(__file__).parents[1]
IN_TABLES = {name for row in ROWS for name in ids(row)}


def test_every_case_is_somewhere_and_nowhere_twice() -> None:
    assert len(IDS) == 154
    assert sorted([*IN_TABLES, *TESTS, *NOT_YET]) == sorted(IDS)


def test_the_tests_of_cases_that_are_no_bytes_exist() -> None:
    for path, _, name in (test.partition("::") for test in TESTS.values()):
        assert name in functions(FOLDER / path), name


def test_every_row_has_a_name_of_its_own_and_its_line_in_the_table() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert len(list(lines())) == 2 + len(ROWS) + len(TESTS) + len(NOT_YET)


def test_an_answer_of_another_stack_is_another_and_has_a_reason() -> None:
    others = [(row, other) for row in ROWS for other in getattr(row, "elsewhere", {}).values()]
    assert others
    for row, other in others:
        assert other.status not in row.statuses, row.name
        assert other.why
