"""Frames and messages: any bytes give events, of which the last may be one failure with 1002, 1007 or 1009.

Nothing is raised, nothing depends on how the bytes are cut, no message is over its limit, no Close has a code that may
not be sent, and both builds of the codec say the same. The first byte says who sends, a client or (0x80) a server,
whether they have agreed on compression (0x40), and whether there are streams (0x01): chunks are joined, and are no more
than a stream may be.
"""

from __future__ import annotations

from fuzz.target import fuzz, timed
from greenws.config import Compression
from greenws.protocol.codes import may_be_sent
from greenws.protocol.deflate import Agreement, make_deflate
from tests import codecs
from tests.frame_cases import kind
from tests.protocol.decoding import decode, joined
from tests.wire import at_random_splits, one_by_one

LIMITS = {"max_size": 300, "max_fragments": 4}
STREAMS = {"max_size": 20, "max_fragments": 4, "max_stream_size": 300}
PURE, COMPILED = codecs.load("pure"), codecs.load("compiled")
DEFLATE = make_deflate(Agreement(True, True), Compression(), is_server=True)  # without a context: any decoder's


def read(codec: object, pieces: list[bytes], masked: bool, is_compressed: bool, limits: dict[str, int]) -> list[object]:
    """The events of one build. How much of a stream comes before a failure depends on how the bytes are cut."""
    events = joined(decode(codec, pieces, masked=masked, extension=DEFLATE if is_compressed else None, **limits))
    return [event for event in events if kind(event) != "part"]


def check(data: bytes) -> None:
    """The invariant."""
    first, wire = data[:1].ljust(1, b"\0")[0], data[1:]
    limits = STREAMS if first & 0x01 else LIMITS
    agreed = first & 0x80 == 0, first & 0x40 != 0, limits
    events = timed(read, PURE, [wire], *agreed)
    assert not any(kind(event) in ("close", "error") for event in events[:-1])
    for event in events:
        if kind(event) in ("message", "stream"):
            content = event[1] if isinstance(event, tuple) else event
            size = len(content.encode() if isinstance(content, str) else content)
            assert size <= limits["max_size"] or (kind(event) == "stream" and size <= STREAMS["max_stream_size"])
        elif event[0] == "error":
            assert event[1] in (1002, 1007, 1009)
        elif len(event) == 3:
            assert event[1] == 1005 or may_be_sent(event[1])
    assert timed(read, COMPILED, [wire], *agreed) == events
    for pieces in (one_by_one(wire), *at_random_splits(wire, 3)):
        assert read(PURE, pieces, *agreed) == timed(read, COMPILED, pieces, *agreed) == events


if __name__ == "__main__":
    fuzz(check, PURE.frames, PURE.messages, PURE.mask)
