"""How the suite's verdicts are judged. The suite itself runs with ``make autobahn``."""

import pytest

from greenws import Config
from tests.interop.autobahn.run import FRAGMENTED, LIMITS, SIDES
from tests.interop.autobahn.suite import judge, read_expected

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


@pytest.mark.parametrize("side", SIDES)
def test_no_failure_is_listed(side: str) -> None:
    allowed = read_expected(side)
    assert frozenset().union(*allowed.values()) == {"OK", "NON-STRICT", "INFORMATIONAL"}


@pytest.mark.parametrize("side", SIDES)
def test_what_is_not_strict_may_be_ok_and_is_a_matter_of_time(side: str) -> None:
    not_strict = {case: verdicts for case, verdicts in read_expected(side).items() if "NON-STRICT" in verdicts}
    assert all("OK" in verdicts for verdicts in not_strict.values())
    assert len([case for case in not_strict if case.partition(".")[0] not in ("3", "4")]) <= 2


def test_the_default_limit_of_fragments_is_asked_by_cases_that_exceed_it() -> None:
    assert LIMITS["max_fragments"] > 4 * 1024 * 1024 // 64
    assert Config().max_fragments <= 4 * 1024 * 1024 // 1024  # and an empty one
    assert [case[:4] for case in FRAGMENTED] == ["9.3."] * 3 + ["9.4."] * 3
