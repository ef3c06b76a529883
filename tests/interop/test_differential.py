"""Our decoder beside two others, on streams that are right or nearly so. ``make differential`` reads a million."""

from __future__ import annotations

import pytest

from tests.interop.differential.readers import THEIRS
from tests.interop.differential.rules import LATE, RULES, Difference, explain, judge
from tests.interop.differential.run import judge_many
from tests.interop.differential.streams import Stream, make_stream
from tests.wire import BINARY, CLOSE, LAST, PING, TEXT, frame

COUNT = 4000
GOOD = frame(TEXT, b"hi") + frame(PING, b"p") + frame(BINARY, bytes(200)) + frame(CLOSE, b"\x03\xe8bye")


def stream(*pieces: bytes) -> Stream:
    return Stream(pieces, b"", frozenset(), 300, 4)


@pytest.mark.slow
def test_every_difference_is_explained() -> None:
    rules, lines = judge_many(range(COUNT))
    assert lines == []
    assert COUNT // 3 < rules["streams with a fault"] < COUNT
    used = {word for line in rules for word in line.partition(": ")[2].split(", then ")}
    assert {rule.name for rule in (*RULES, *LATE)} <= used, "a rule that nothing needs"


def test_readers_agree_on_what_is_right() -> None:
    for pieces in ([GOOD], [GOOD[:5], GOOD[5:]], [GOOD[i : i + 1] for i in range(len(GOOD))]):
        assert judge(stream(*pieces)) == ([], [])
    assert judge(stream(frame(LAST))) == ([], []), "an error, and the same one"


@pytest.mark.parametrize("name", THEIRS)
def test_a_difference_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that loses a byte of a message."""

    class Lossy(THEIRS[name]):  # type: ignore[misc]
        def receive(self, data: bytes) -> None:
            super().receive(data)
            self.events = [event[:1] if isinstance(event, str) else event for event in self.events]

    monkeypatch.setitem(THEIRS, name, Lossy)
    wrong = stream(GOOD)
    assert judge(wrong) == ([], [Difference(name, wrong, "hi", "h")])


def test_no_rule_excuses_a_message() -> None:
    """Whatever is wrong with a stream, both must have the same messages up to the first failure."""
    everything = frozenset().union(*(make_stream(number).faults for number in range(500)))
    for ours, theirs in (("a", "b"), ("a", b"a"), (None, "a"), ("a", None), (("ping", b""), ("pong", b""))):
        for name in THEIRS:
            assert explain(Difference(name, Stream((), b"", everything, 300, 4), ours, theirs)) is None
