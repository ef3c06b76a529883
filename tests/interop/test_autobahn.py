"""How the suite's verdicts are judged. The suite itself runs with ``make autobahn``."""

import pytest

from tests.interop.autobahn.run import judge, read_expected

ALLOWED = {"3.2": frozenset({"OK", "NON-STRICT"}), "7.1.6": frozenset({"INFORMATIONAL"})}


@pytest.mark.parametrize(
    ("case", "behavior", "close", "is_expected"),
    [
        ("1.1.1", "OK", "OK", True),
        ("1.1.1", "FAILED", "OK", False),
        ("1.1.1", "OK", "UNCLEAN", False),
        ("1.1.1", "NON-STRICT", "OK", False),
        ("3.2", "OK", "OK", True),
        ("3.2", "NON-STRICT", "OK", True),
        ("3.2", "NON-STRICT", "UNCLEAN", False),
        ("7.1.6", "INFORMATIONAL", "INFORMATIONAL", True),
        ("7.1.6", "INFORMATIONAL", "FAILED", False),
        ("7.1.6", "OK", "OK", False),  # good news: its line in expected.toml can go
    ],
)
def test_a_verdict_is_ok_twice_or_listed(case: str, behavior: str, close: str, is_expected: bool) -> None:
    index = {case: {"behavior": behavior, "behaviorClose": close}}
    assert judge(index, ALLOWED) == ([] if is_expected else [case])


def test_no_failure_is_listed() -> None:
    left_out, allowed = read_expected()
    assert left_out == []
    assert frozenset().union(*allowed.values()) <= {"OK", "NON-STRICT", "INFORMATIONAL"}
