"""The rules of RFC 6455 §5 with other bytes, sizes and orders than those of tests/frame_cases.py, on both builds.

What must come of a stream is worked out by ``expect``, which reads the rules frame by frame and knows no buffers,
pieces or masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests import codecs
from tests.frame_cases import Event
from tests.protocol.decoding import decode
from tests.protocol.test_any_bytes import is_beginning_of_text
from tests.wire import BEGIN_BINARY, BEGIN_TEXT, BINARY, KEY, LAST, MORE, PING, PONG, TEXT, frame, header, xor

BUILDS = [codecs.load(build) for build in codecs.BUILDS]
LIMIT, FRAGMENTS = 300, 4
LIMITS = {"max_size": LIMIT, "max_fragments": FRAGMENTS}
BOUNDARIES = (0, 1, 2, 124, 125, 126, 127, 128, 65535, 65536, 65537)


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        first: the first byte.
        payload: before it is masked.
        key: the mask; None leaves it out.
        form: bytes of the length: 1, 2 or 8. None is the shortest.
    """

    first: int
    payload: bytes = b""
    key: bytes | None = KEY
    form: int | None = None

    @property
    def shortest(self) -> int:
        return 1 if len(self.payload) < 126 else 2 if len(self.payload) < 65536 else 8

    @property
    def wire(self) -> bytes:
        form = max(self.form or 0, self.shortest)
        size = len(self.payload)
        marker = {1: size, 2: 126, 8: 127}[form]
        length = b"" if form == 1 else size.to_bytes(form, "big")
        head = bytes([self.first, marker | (0 if self.key is None else 0x80)]) + length
        return head + self.payload if self.key is None else head + self.key + xor(self.payload, self.key)

    @property
    def breaks_a_rule_of_its_own(self) -> bool:
        opcode, is_control = self.first & 15, self.first & 8
        return bool(
            self.first & 0x70
            or opcode not in (0, 1, 2, 8, 9, 10)
            or is_control
            and (self.first < 0x80 or len(self.payload) > 125)
            or self.key is None
            or self.form is not None
            and self.form > self.shortest
        )


def expect(frames: list[Frame]) -> list[Event]:
    """What a decoder with these limits must say to whole frames."""
    events: list[Event] = []
    parts: list[bytes] | None = None
    kind = 0
    for item in frames:
        opcode, payload = item.first & 15, item.payload
        error = 1002 if item.breaks_a_rule_of_its_own else 0
        if not error and opcode < 8:
            if (parts is None) == (opcode == 0):
                error = 1002
            elif opcode == 0 and len(parts or ()) == FRAGMENTS or len(payload) + sum(map(len, parts or ())) > LIMIT:
                error = 1009
            else:
                kind, parts = (kind, parts or []) if opcode == 0 else (opcode, [])
                parts.append(payload)
                is_last = item.first >= 0x80
                if kind == 1 and not is_text(b"".join(parts), is_whole=is_last):
                    error = 1007
                elif is_last:
                    whole, parts = b"".join(parts), None
                    events.append(whole.decode() if kind == 1 else whole)
        elif not error and opcode > 8:
            events.append(("ping" if opcode == 9 else "pong", payload))
        elif not error:
            return [*events, close(payload)]
        if error:
            return [*events, ("error", error)]
    return events


def is_text(data: bytes, *, is_whole: bool) -> bool:
    """Whether it is UTF-8; or becomes it by something that may follow."""
    return data.decode(errors="replace").encode() == data if is_whole else is_beginning_of_text(data)


def close(payload: bytes) -> Event:
    if not payload:
        return ("close", 1005, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= code < 5000):
        return ("error", 1002)
    return ("close", code, payload[2:].decode()) if is_text(payload[2:], is_whole=True) else ("error", 1007)


# ---- mixes of good and bad frames, in any pieces

keys = st.binary(min_size=4, max_size=4) | st.sampled_from([bytes(4), b"\xff" * 4, b"\0\0\0\1"])
texts = st.text(max_size=8).map(str.encode)
halves = st.sampled_from([b"\xf0\x9f", b"\x98\x82", b"\xc3", b"\xa9", b"\xed", b"\xa0\x80", b"\xe2\x82", b"\xff"])
payloads = texts | halves | st.binary(max_size=9) | st.sampled_from([0, 1, 125, 126, 127, 299, 300, 301]).map(bytes)
closes = st.sampled_from([b"", b"\x03", b"\x03\xe8", b"\x03\xed", b"\x0b\xb8ok", b"\x13\x88", b"\x03\xe8\xff"])

good = st.builds(Frame, st.sampled_from([0x01, 0x02, 0x00, 0x80, 0x81, 0x82]), payloads, keys)
control = st.builds(Frame, st.sampled_from([0x89, 0x8A]), texts, keys) | st.builds(Frame, st.just(0x88), closes, keys)
bad = st.builds(Frame, st.integers(0, 255), payloads, st.none() | keys, st.sampled_from([None, 2, 8]))
streams = st.lists(st.one_of(good, good, control, bad), max_size=8)


@given(streams, st.lists(st.integers(0, 2000), max_size=6))
@example([Frame(BEGIN_TEXT, b"\xed"), Frame(PING), Frame(LAST, b"\xa0\x80")], [7, 8])
@example([Frame(BEGIN_BINARY, bytes(300)), Frame(MORE), Frame(MORE), Frame(LAST), Frame(LAST)], [])
def test_mixes_of_good_and_bad_frames(frames: list[Frame], places: list[int]) -> None:
    wire, wanted = b"".join(item.wire for item in frames), expect(frames)
    inside = sorted(min(place, len(wire)) for place in places)
    for pieces in ([wire], [wire[start:stop] for start, stop in pairwise([0, *inside, len(wire)])]):
        for codec in BUILDS:
            assert decode(codec, pieces, **LIMITS) == wanted


# ---- control frames among fragments


def among(fragments: list[Frame]) -> list[list[Frame]]:
    """Nothing, a ping, a pong, or both ways round, in each gap between the fragments and around them."""
    ping, pong = Frame(PING, b"p"), Frame(PONG, b"q" * 125, b"\x01\x02\x03\x04")
    gap = [[], [ping], [pong], [ping, pong], [pong, ping]]
    found = []
    for first, *others in product(gap, repeat=len(fragments) + 1):
        found.append(first + [item for pair in zip(fragments, others, strict=True) for item in (pair[0], *pair[1])])
    return found


@pytest.mark.parametrize("split", [(b"ab",), (b"\xc3", b"\xa9"), (b"\xf0", b"", b"\x9f\x98\x82")], ids=len)
@pytest.mark.parametrize("kind", [1, 2])
def test_control_frames_in_every_order_among_fragments(split: tuple[bytes, ...], kind: int) -> None:
    fragments = [Frame(kind if i == 0 else 0, payload) for i, payload in enumerate(split)]
    fragments[-1] = Frame(fragments[-1].first | 0x80, split[-1])
    message = b"".join(split).decode() if kind == 1 else b"".join(split)
    for frames in among(fragments):
        wanted = expect(frames)
        assert [event for event in wanted if not isinstance(event, tuple)] == [message]
        wire = b"".join(item.wire for item in frames)
        for codec in BUILDS:
            assert decode(codec, [wire], **LIMITS) == wanted
            assert decode(codec, [wire[i : i + 3] for i in range(0, len(wire), 3)], **LIMITS) == wanted


# ---- lengths


@pytest.mark.parametrize("limit", [125, 126, 65535, 65536, 70_000])
@pytest.mark.parametrize("first", [TEXT, BINARY])
def test_sizes_around_every_boundary(limit: int, first: int) -> None:
    """In one frame, cut behind each byte of its header and before its last byte."""
    for size in sorted({*BOUNDARIES, limit - 1, limit, limit + 1}):
        payload = b"x" * size
        wire = frame(first, payload)
        good: Event = payload.decode() if first == TEXT else payload
        for cut in (0, 1, 2, 3, 4, 6, 8, 10, 12, 14, len(wire) - 1):
            for codec in BUILDS:
                found = decode(codec, [wire[:cut], wire[cut:]], max_size=limit)
                assert found == [good if size <= limit else ("error", 1009)], (size, cut)


@pytest.mark.parametrize("limit", [126, 65536])
def test_sizes_that_fragments_come_to(limit: int) -> None:
    """Around the limit, wherever the message is cut in two or three."""
    for size in (limit - 1, limit, limit + 1):
        for cut in (0, 1, 125, 126, limit - 1, size):
            first, rest = bytes(min(cut, size)), bytes(size - min(cut, size))
            for wire in (
                frame(BEGIN_BINARY, first) + frame(LAST, rest),
                frame(BEGIN_BINARY, first) + frame(PING) + frame(MORE, rest) + frame(LAST),
            ):
                wanted: list[Event] = [bytes(size)] if size <= limit else [("error", 1009)]
                for codec in BUILDS:
                    found = decode(codec, [wire[:7], wire[7:]], max_size=limit)
                    assert [event for event in found if event != ("ping", b"")] == wanted, (size, cut)


@given(st.integers(0, 2**64 - 1), st.sampled_from([2, 8]), st.sampled_from([TEXT, BINARY, BEGIN_TEXT, BEGIN_BINARY]))
@example(125, 2, TEXT)
@example(65535, 8, BINARY)
@example(2**63 - 1, 8, BINARY)
@example(2**63, 8, BINARY)
@example(LIMIT + 1, 2, TEXT)
def test_any_length_that_is_only_announced(length: int, form: int, first: int) -> None:
    length %= 1 << 8 * form
    shortest = 1 if length < 126 else 2 if length < 65536 else 8
    wire = bytes([first, 0x80 | (126 if form == 2 else 127)]) + length.to_bytes(form, "big") + KEY
    error = 1002 if form > shortest or length >= 2**63 else 1009 if length > LIMIT else 0
    for codec in BUILDS:
        for pieces in ([wire], [wire[i : i + 1] for i in range(len(wire))]):
            assert decode(codec, pieces, **LIMITS) == ([("error", error)] if error else [])


# ---- masks


@given(keys, st.binary(max_size=40), st.integers(0, 60), st.integers(0, 60))
def test_any_mask_wherever_the_frame_is_cut(key: bytes, payload: bytes, one: int, other: int) -> None:
    wire = header(BINARY, len(payload)) + key + xor(payload, key)
    a, b = sorted((one, other))
    for codec in BUILDS:
        assert decode(codec, [wire[:a], wire[a:b], wire[b:]]) == [payload]
