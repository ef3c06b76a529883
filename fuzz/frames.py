"""Frames and messages: any bytes give events, of which the last may be one failure with 1002, 1007 or 1009.

Nothing is raised, nothing depends on how the bytes are cut, no message is over its limit, no Close has a code that may
not be sent, and both builds of the codec say the same. The first byte says who sends, a client or a server, and
whether there are streams: chunks are joined, and are no more than a stream may be.
"""

from __future__ import annotations

from fuzz.target import fuzz, timed
from greenws.protocol.codes import may_be_sent
from tests import codecs
from tests.frame_cases import kind
from tests.protocol.decoding import decode, joined
from tests.wire import at_random_splits, one_by_one

LIMITS = {"max_size": 300, "max_fragments": 4}
STREAMS = {"max_size": 20, "max_fragments": 4, "max_stream_size": 300}
PURE, COMPILED = codecs.load("pure"), codecs.load("compiled")


def read(codec: object, pieces: list[bytes], masked: bool, limits: dict[str, int]) -> list[object]:
    """The events of one build. How much of a stream comes before a failure depends on how the bytes are cut."""
    events = joined(decode(codec, pieces, masked=masked, **limits))
    return [event for event in events if kind(event) != "part"]


def check(data: bytes) -> None:
    """The invariant."""
    masked, wire = data[:1] < b"\x80", data[1:]
    limits = STREAMS if data[:1] and data[0] & 1 else LIMITS
    events = timed(read, PURE, [wire], masked, limits)
    assert not any(kind(event) in ("close", "error") for event in events[:-1])
    for event in events:
        if kind(event) in ("message", "stream"):
            content = event[1] if isinstance(event, tuple) else event
            size = len(content.encode() if isinstance(content, str) else content)
            assert size <= limits["max_size"] or (kind(event) == "stream" and size <= STREAMS["max_stream_size"])
        elif event[0] == "error":
            assert event[1] in (1002, 1007, 1009)
        elif event[0] == "close":
            assert event[1] == 1005 or may_be_sent(event[1])
    assert timed(read, COMPILED, [wire], masked, limits) == events
    for pieces in (one_by_one(wire), *at_random_splits(wire, 3)):
        assert read(PURE, pieces, masked, limits) == read(COMPILED, pieces, masked, limits) == events


if __name__ == "__main__":
    fuzz(check, PURE.frames, PURE.messages, PURE.mask)
