"""Frames and messages: any bytes give events, of which the last may be one failure with 1002, 1007 or 1009.

Nothing is raised, nothing depends on how the bytes are cut, no message is over its limit, no Close has a code that may
not be sent, and both builds of the codec say the same. The first byte says who sends: a client or a server.
"""

from __future__ import annotations

from fuzz.target import fuzz, timed
from greenws.protocol.codes import may_be_sent
from tests import codecs
from tests.frame_cases import kind
from tests.protocol.decoding import decode
from tests.wire import at_random_splits, one_by_one

LIMITS = {"max_size": 300, "max_fragments": 4}
PURE, COMPILED = codecs.load("pure"), codecs.load("compiled")


def read(codec: object, pieces: list[bytes], masked: bool) -> list[object]:
    """The events of one build."""
    return decode(codec, pieces, masked=masked, **LIMITS)


def check(data: bytes) -> None:
    """The invariant."""
    masked, wire = data[:1] < b"\x80", data[1:]
    events = timed(read, PURE, [wire], masked)
    assert not any(kind(event) in ("close", "error") for event in events[:-1])
    for event in events:
        if isinstance(event, str | bytes):
            assert len(event.encode() if isinstance(event, str) else event) <= LIMITS["max_size"]
        elif event[0] == "error":
            assert event[1] in (1002, 1007, 1009)
        elif event[0] == "close":
            assert event[1] == 1005 or may_be_sent(event[1])
    assert timed(read, COMPILED, [wire], masked) == events
    for pieces in (one_by_one(wire), *at_random_splits(wire, 3)):
        assert read(PURE, pieces, masked) == read(COMPILED, pieces, masked) == events


if __name__ == "__main__":
    fuzz(check, PURE.frames, PURE.messages, PURE.mask)
