"""The law of the decoder: any bytes, however they come, give events of which the last may be one ProtocolError.

Nothing is raised, nothing depends on how the bytes were cut, and both builds say the same.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from tests import codecs
from tests.frame_cases import Event
from tests.protocol.decoding import decode, feed, new_decoder
from tests.wire import BEGIN_TEXT, BINARY, LAST, MORE, TEXT, frame, header, one_by_one, unmasked, xor

COMPILED, PURE = (codecs.load(build) for build in codecs.BUILDS)
SMALL = {"max_size": 40, "max_fragments": 3}

# What begins, goes on in and ends UTF-8's sequences, rightly and wrongly.
TRICKY = st.sampled_from(bytes.fromhex("00417f808f909fa0bfc0c1c2dfe0e1ecedeeeff0f1f3f4f5f8fcfeff"))
text_bytes = st.lists(TRICKY, max_size=12).map(bytes) | st.text(max_size=5).map(str.encode)
payloads = text_bytes | st.binary(max_size=20)
keys = st.binary(min_size=4, max_size=4)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame that is right or nearly so."""
    first = draw(st.sampled_from([0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A]) | st.integers(0, 255))
    payload = draw(st.one_of(payloads, st.sampled_from([b"\x03\xe8", b"\x03", b"\x03\xedx", bytes(41), bytes(126)])))
    if draw(st.integers(0, 19)) == 0:
        return unmasked(first, payload)
    key = draw(keys)
    length = draw(st.just(len(payload)) | st.sampled_from([0, 3, 125, 126, 65535, 65536, 2**63 - 1, 2**64 - 1]))
    return header(first, length) + key + xor(payload, key)


streams = st.lists(frames(), max_size=8).map(b"".join) | st.binary(max_size=60)
cut_places = st.lists(st.integers(0, 400), max_size=8)


def cut(wire: bytes, places: list[int]) -> list[bytes]:
    inside = sorted(min(place, len(wire)) for place in places)
    return [wire[start:stop] for start, stop in pairwise([0, *inside, len(wire)])]


def is_end(event: Event) -> bool:
    return isinstance(event, tuple) and event[0] in ("close", "error")


@given(streams, cut_places, st.booleans())
@example(frame(BEGIN_TEXT, b"\xed") + frame(LAST, b"\xa0\x80"), [7], True)
def test_any_bytes(wire: bytes, places: list[int], masked: bool) -> None:
    whole = decode(PURE, [wire], masked=masked, **SMALL)
    assert not any(map(is_end, whole[:-1]))
    for event in whole:
        if isinstance(event, tuple) and event[0] == "error":
            assert event[1] in (1002, 1007, 1009)
        elif isinstance(event, str | bytes):
            assert len(event.encode() if isinstance(event, str) else event) <= SMALL["max_size"]
    for pieces in ([wire], cut(wire, places), one_by_one(wire)):
        for codec in (PURE, COMPILED):
            assert decode(codec, pieces, masked=masked, **SMALL) == whole


def is_beginning_of_text(data: bytes) -> bool:
    """Whether something can follow that makes it UTF-8, by trying what can."""
    for rest in (b"", b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\xa0\x80", b"\x90\x80\x80"):
        try:
            (data + rest).decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


@given(st.lists(text_bytes, min_size=1, max_size=3))
@example([b"\xed\xa0"])
@example([b"\xf4", b"\x90"])
@example([b"\xe0", b"", b"\x9f"])
def test_text_fails_with_the_first_byte_that_cannot_be_mended(parts: list[bytes]) -> None:
    payload = b"".join(parts)
    wrong = next((i for i in range(1, len(payload) + 1) if not is_beginning_of_text(payload[:i])), None)
    for codec in (PURE, COMPILED):
        decoder = new_decoder(codec)
        feed(codec, decoder, header(BEGIN_TEXT, len(parts[0])) + bytes(4))
        seen = 0
        for number, part in enumerate(parts):
            if number:
                feed(codec, decoder, header(MORE, len(part)) + bytes(4))
            for piece in one_by_one(part):
                seen += 1
                if wrong is None or seen <= wrong:
                    assert feed(codec, decoder, piece) == ([("error", 1007)] if seen == wrong else [])


@given(
    st.lists(st.text(max_size=20) | st.binary(max_size=40), max_size=4),
    st.lists(keys, min_size=20, max_size=20),
    cut_places,
)
def test_what_is_encoded_is_decoded(messages: list[str | bytes], masks: list[bytes], places: list[int]) -> None:
    """By either build, in one frame or in two, with a ping between."""
    key = iter(masks)
    for writer in (PURE, COMPILED):
        wire = b""
        for number, message in enumerate(messages):
            payload, opcode = (message.encode(), 1) if isinstance(message, str) else (message, 2)
            half = (number % 2) * (len(payload) // 2)
            if number % 2:
                wire += writer.frames.encode_frame(opcode, payload[:half], fin=False, key=_number(next(key)))
                wire += writer.frames.encode_frame(9, b"p", key=_number(next(key)))
                opcode = 0
            wire += writer.frames.encode_frame(opcode, payload[half:], key=_number(next(key)))
        for reader in (PURE, COMPILED):
            events = decode(reader, cut(wire, places))
            assert [event for event in events if event != ("ping", b"p")] == messages


def _number(key: bytes) -> int:
    return int.from_bytes(key, "big")


def test_the_wire_of_these_tests_is_that_of_the_product() -> None:
    for first, payload in ((TEXT, b"hi"), (BINARY, bytes(300)), (BINARY, bytes(70_000))):
        for codec in (PURE, COMPILED):
            encode = codec.frames.encode_frame
            assert encode(first & 15, payload, key=0x37FA213D) == frame(first, payload)
            assert encode(first & 15, payload) == unmasked(first, payload)
