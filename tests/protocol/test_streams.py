"""Messages that are larger than what is held in memory: which they are, their chunks, and what bounds them."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenws.config import Compression
from tests import codecs
from tests.frame_cases import Event
from tests.protocol.decoding import decode, feed, joined, new_decoder
from tests.wire import (
    BEGIN_BINARY,
    BEGIN_TEXT,
    BINARY,
    KEY,
    LAST,
    MORE,
    PING,
    TEXT,
    at_every_split,
    at_random_splits,
    frame,
    header,
    one_by_one,
)

RSV1 = 0x40
TAIL = b"\x00\x00\xff\xff"
HELD = 20  # bytes: what is larger is a stream
LIMITS = {"max_size": HELD, "max_stream_size": 100, "max_fragments": 5}
CHUNK = 65536
MEBIBYTE = 1 << 20


def deflate(codec: SimpleNamespace, **agreed: Any) -> Any:
    """A server's side."""
    agreement = codec.deflate.Agreement(**{"client_no_context_takeover": True, **agreed})
    return codec.deflate.make_deflate(agreement, Compression(), is_server=True)


def deflated(message: bytes) -> bytes:
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    return (stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]


def in_frames(opcode: int, payload: bytes, sizes: list[int], between: bytes = b"", rsv1: int = 0) -> bytes:
    """A message in frames of these sizes and one with the rest."""
    places = [0]
    for size in sizes:
        places.append(min(places[-1] + size, len(payload)))
    parts = [payload[start:stop] for start, stop in pairwise([*places, len(payload)])]
    wire = b""
    for number, part in enumerate(parts):
        first = (opcode | rsv1 if number == 0 else 0) | (0x80 if number == len(parts) - 1 else 0)
        wire += frame(first, part) + (between if number < len(parts) - 1 else b"")
    return wire


def read(codec: SimpleNamespace, pieces: list[bytes], **options: Any) -> list[Event]:
    return joined(decode(codec, pieces, **{**LIMITS, **options}))


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("sizes", [[], [1], [20], [21], [3, 0, 9], [19, 1]], ids=str)
@pytest.mark.parametrize("size", [HELD - 1, HELD, HELD + 1, 99, 100, 101])
@pytest.mark.parametrize("opcode", [1, 2])
def test_whether_it_is_a_stream_depends_on_the_size_only(
    codec: SimpleNamespace, opcode: int, size: int, sizes: list[int], is_compressed: bool
) -> None:
    message = random.Random(size).randbytes(size).hex()[:size].encode()
    if is_compressed:
        wire = in_frames(opcode, deflated(message), sizes, rsv1=RSV1)
    else:
        wire = in_frames(opcode, message, sizes)
    data = message.decode() if opcode == 1 else message
    expected: list[Event] = [("stream", data) if size > HELD else data, "next"]
    for pieces in ([wire], *at_every_split(wire), one_by_one(wire)):
        events = read(codec, [*pieces, frame(TEXT, b"next")], extension=deflate(codec))
        if size > 100:
            assert events[-1] == ("error", 1009)
            assert len(events) <= 2
            assert all(event[0] == "part" and data.startswith(event[1]) for event in events[:-1])  # type: ignore
        else:
            assert events == expected


def test_a_frame_that_would_be_too_much_is_refused_by_its_header(codec: SimpleNamespace) -> None:
    assert read(codec, [header(TEXT, 101) + KEY]) == [("error", 1009)]
    wire = frame(BEGIN_TEXT, bytes(60)) + header(LAST, 41) + KEY
    assert read(codec, [wire]) == [("part", "\0" * 60), ("error", 1009)]
    assert read(codec, [header(BINARY, 2**63 - 1) + KEY]) == [("error", 1009)]


def test_nothing_is_a_stream_unless_it_is_asked_for(codec: SimpleNamespace) -> None:
    for limit in (0, HELD - 1, HELD):
        assert read(codec, [header(TEXT, HELD + 1) + KEY], max_stream_size=limit) == [("error", 1009)]
        wire = frame(TEXT | RSV1, deflated(bytes(HELD + 1)))
        assert read(codec, [wire], max_stream_size=limit, extension=deflate(codec)) == [("error", 1009)]


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("opcode", [1, 2])
def test_a_chunk_is_bounded_and_has_whole_characters(codec: SimpleNamespace, opcode: int, is_compressed: bool) -> None:
    """Those of what had been collected before it was a stream, too."""
    message = ("é😂x€" * 30000).encode()
    payload = deflated(message) if is_compressed else message
    wire = in_frames(opcode, payload, [len(payload) // 3], rsv1=RSV1 if is_compressed else 0)
    limits = {"max_size": 200_000, "max_stream_size": MEBIBYTE}
    for pieces in ([wire], [wire[:100_001], wire[100_001:]], *at_random_splits(wire, 3)):
        *chunks, last = decode(codec, pieces, extension=deflate(codec), **limits)
        assert [name for name, _ in chunks] == ["chunk"] * len(chunks)  # type: ignore[misc]
        assert last[0] == "last"
        parts = [data for _, data in [*chunks, last]]  # type: ignore[misc]
        parts = [part.encode() if isinstance(part, str) else part for part in parts]
        assert max(map(len, parts)) <= CHUNK
        assert all(parts[:-1])
        assert b"".join(parts) == message


def test_a_stream_comes_as_it_arrives(codec: SimpleNamespace) -> None:
    """Compressed, too: what has been flushed does not wait for more."""
    decoder = new_decoder(codec, **LIMITS)
    assert feed(codec, decoder, frame(BEGIN_TEXT, b"x" * 20)) == []
    assert feed(codec, decoder, frame(MORE, b"y")) == [("chunk", "x" * 20 + "y")]
    assert feed(codec, decoder, frame(MORE, "é".encode()[:1])) == []
    assert feed(codec, decoder, frame(MORE, "é".encode()[1:])) == [("chunk", "é")]
    assert feed(codec, decoder, frame(LAST)) == [("last", "")]
    assert decoder.is_idle
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    decoder = new_decoder(codec, extension=deflate(codec), **LIMITS)
    pieces = [stream.compress(b"z" * 21) + stream.flush(zlib.Z_SYNC_FLUSH)]
    pieces += [stream.compress(b"a") + stream.flush(zlib.Z_SYNC_FLUSH)]
    assert feed(codec, decoder, frame(BEGIN_TEXT | RSV1, pieces[0])) == []  # it may still become a message
    assert feed(codec, decoder, frame(LAST, b"\0")) == [("last", "z" * 21)]


def test_a_compressed_stream_comes_as_it_arrives(codec: SimpleNamespace) -> None:
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    noise = random.Random(5).randbytes(codec.messages.PIECE)
    decoder = new_decoder(codec, extension=deflate(codec), max_size=1000, max_stream_size=MEBIBYTE)
    piece = stream.compress(noise) + stream.flush(zlib.Z_SYNC_FLUSH)
    assert joined(feed(codec, decoder, frame(BEGIN_BINARY | RSV1, piece))) == [("part", noise)]
    for letter in (b"a", b"b"):
        wire = frame(MORE, stream.compress(letter) + stream.flush(zlib.Z_SYNC_FLUSH))
        pieces = [wire] if letter == b"a" else one_by_one(wire)
        assert [event for piece in pieces for event in feed(codec, decoder, piece)] == [("chunk", letter)]
    assert feed(codec, decoder, frame(LAST, b"\0")) == [("last", b"")]
    assert decoder.is_idle


BAD_TEXT = {
    "at once": (b"x" * 30 + b"\xff", b""),
    "in what was collected": (b"x" * 19, b"x\xff" + b"x" * 30),
    "half a surrogate": (b"x" * 30 + b"\xed", b"\xa0"),
    "half a surrogate and more to come": (b"x" * 30 + b"\xed\xa0", b"x"),
    "cut off": (b"x" * 30, "😂".encode()[:3]),
    "cut off and an end without a byte": (b"x" * 30 + "😂".encode()[:3], b""),
}


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("parts", BAD_TEXT.values(), ids=BAD_TEXT)
def test_text_is_checked_across_chunks(codec: SimpleNamespace, parts: tuple[bytes, bytes], is_compressed: bool) -> None:
    message = b"".join(parts)
    wire = in_frames(1, message, [len(parts[0])])
    if is_compressed:
        wire = in_frames(1, deflated(message), [7], rsv1=RSV1)
    for pieces in ([wire], *at_every_split(wire), one_by_one(wire)):
        events = read(codec, pieces, extension=deflate(codec))
        assert events[-1] == ("error", 1007)
        assert all(event[0] == "part" and set(event[1]) == {"x"} for event in events[:-1])  # type: ignore


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "compressed"])
def test_control_frames_come_between_chunks(codec: SimpleNamespace, is_compressed: bool) -> None:
    message = random.Random(8).randbytes(90)
    payload = deflated(message) if is_compressed else message
    wire = in_frames(2, payload, [30, 30], frame(PING, b"?"), RSV1 if is_compressed else 0)
    for pieces in ([wire], *at_every_split(wire)):
        events = decode(codec, pieces, extension=deflate(codec), **LIMITS)
        assert [event for event in events if event == ("ping", b"?")] == [("ping", b"?")] * 2
        assert joined([event for event in events if event != ("ping", b"?")]) == [("stream", message)]


def test_a_close_in_a_stream_is_the_end(codec: SimpleNamespace) -> None:
    wire = frame(BEGIN_BINARY, bytes(50)) + frame(0x88, b"\x03\xe8") + frame(LAST, b"x")
    assert read(codec, [wire]) == [("part", bytes(50)), ("close", 1000, "")]


# ---- fragments


def test_fragments_are_counted_up_to_where_a_stream_begins(codec: SimpleNamespace) -> None:
    small = frame(MORE, b"x")
    assert read(codec, [frame(BEGIN_BINARY, b"x") + small * 5]) == [("error", 1009)]
    wire = frame(BEGIN_BINARY, bytes(21)) + small * 70 + frame(LAST, b"x")
    assert read(codec, [wire]) == [("stream", bytes(21) + b"x" * 71)]


def test_empty_fragments_of_a_stream_are_counted(codec: SimpleNamespace) -> None:
    begin, empty, small = frame(BEGIN_BINARY, bytes(21)), frame(MORE), frame(MORE, b"x")
    wire = begin + (empty * 4 + small) * 3 + empty * 5 + frame(LAST)
    for pieces in ([wire], one_by_one(wire)):
        assert read(codec, pieces) == [("part", bytes(21) + b"xxx"), ("error", 1009)]
    assert read(codec, [begin + (empty * 4 + small) * 3 + frame(LAST)]) == [("stream", bytes(21) + b"xxx")]


# ---- how much is inflated, and when


class Counting:
    """Counts what goes into inflation, and what comes out."""

    def __init__(self, side: Any) -> None:
        self.side = side
        self.fed = 0
        self.size = 0

    @property
    def has_more(self) -> bool:
        return self.inflation.has_more  # type: ignore[no-any-return]

    def begin(self) -> Counting:
        self.inflation = self.side.begin()
        return self

    def feed(self, data: bytes, is_last: bool) -> None:
        self.inflation.feed(data, is_last)
        self.fed += len(data)

    def read(self, size: int) -> bytes:
        part: bytes = self.inflation.read(size)
        self.size += len(part)
        return part


def test_nothing_is_inflated_ahead_of_who_asks(codec: SimpleNamespace) -> None:
    """When the window is used up there is still more to come, and an empty one brings it."""
    counting = Counting(deflate(codec))
    decoder = new_decoder(codec, extension=counting, max_size=1000, max_stream_size=1 << 26)
    wire = bytearray(frame(BINARY | RSV1, deflated(bytes(50 * MEBIBYTE))))
    assert len(wire) < codec.messages.PIECE
    decoder.feed(wire, 0, len(wire))
    for number in range(3):
        assert len(decoder.next()) == (1001 if number == 0 else CHUNK)
        assert counting.size == 1001 + number * CHUNK
        assert decoder.consumed == (0 if number else len(wire))
        assert not decoder.is_idle
        decoder.feed(bytearray(), 0, 0)
    size = counting.size
    while size < 50 * MEBIBYTE:
        size += len(decoder.next())
    assert decoder.is_idle
    assert decoder.next() is None


def test_pauses_after_each_piece(codec: SimpleNamespace) -> None:
    """However it is made up: of one message or of many."""
    piece = codec.messages.PIECE
    noise = random.Random(9).randbytes(3 * piece)
    for messages in ([noise], [noise[i : i + 1000] for i in range(0, len(noise), 1000)]):
        wire = bytearray(b"".join(frame(BINARY | RSV1, deflated(message)) for message in messages))
        counting = Counting(deflate(codec))
        decoder = new_decoder(codec, extension=counting, max_size=MEBIBYTE)
        decoder.feed(wire, 0, len(wire))
        found, places = [], [0]
        while (event := decoder.next()) is not None:
            if type(event) is codec.events.Pause:
                places.append(counting.fed)
            else:
                found.append(event)
        assert found == messages
        assert len(places) == 4
        assert all(stop - start <= piece for start, stop in pairwise([*places, counting.fed]))


def test_a_pause_may_be_followed_by_another_window(codec: SimpleNamespace) -> None:
    noise = random.Random(9).randbytes(300_000)
    wire = frame(BINARY | RSV1, deflated(noise))
    decoder = new_decoder(codec, extension=deflate(codec), max_size=MEBIBYTE)
    events = []
    while noise not in events:
        window = bytearray(wire)
        decoder.feed(window, 0, len(window))
        events.append(decoder.next())
        wire = wire[decoder.consumed :]
    assert events == [codec.events.Pause()] * 4 + [noise]
    assert wire == b""


def test_what_nobody_wants_is_passed_over(codec: SimpleNamespace) -> None:
    """Neither inflated nor looked at, in one frame or in several, and also if it was wanted at first."""
    garbage = frame(BEGIN_TEXT | RSV1, b"\xff" * 9) + frame(PING, b"?") + frame(LAST, b"\xff")
    wire = garbage + frame(TEXT | RSV1, b"\xff" * 9) + frame(0x88, b"\x03\xe8")
    for pieces in ([wire], *at_every_split(wire)):
        decoder = new_decoder(codec, extension=deflate(codec), **LIMITS)
        decoder.discard = True
        events = [event for piece in pieces for event in feed(codec, decoder, piece)]
        assert events == [("ping", b"?"), ("close", 1000, "")]
    counting = Counting(deflate(codec))
    decoder = new_decoder(codec, extension=counting, max_size=1000, max_stream_size=1 << 26)
    window = bytearray(frame(BINARY | RSV1, deflated(bytes(MEBIBYTE))) + frame(PING, b"!"))
    decoder.feed(window, 0, len(window))
    assert len(decoder.next()) == 1001
    decoder.discard = True
    assert decoder.next().payload == b"!"
    assert counting.size == 1001
    assert decoder.is_idle


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "compressed"])
def test_a_long_stream_needs_little_memory(codec: SimpleNamespace, is_compressed: bool) -> None:
    block = random.Random(1).randbytes(CHUNK // 2).hex().encode()
    extension = deflate(codec)
    payload = codec.deflate.Deflation(extension.compressor).encode(block) if is_compressed else block
    opcodes = (2 | RSV1 if is_compressed else 2, 0)
    first, more = (codec.frames.encode_frame(opcode, payload, fin=False, key=0) for opcode in opcodes)
    decoder = new_decoder(codec, extension=extension, max_size=CHUNK, max_stream_size=1 << 40)
    size = sum(len(event[1]) for event in feed(codec, decoder, first))  # type: ignore[arg-type]
    tracemalloc.start()
    for _ in range(100):
        size += sum(len(event[1]) for event in feed(codec, decoder, more))  # type: ignore[arg-type]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 101 * len(block)
    assert most < 10 * CHUNK


# ---- any stream

COMPILED, PURE = (codecs.load(build) for build in codecs.BUILDS)
contents = st.text(max_size=80) | st.binary(max_size=120)
sizes = st.lists(st.integers(0, 30), max_size=4)


@given(
    st.lists(st.tuples(contents, sizes, st.booleans()), max_size=4),
    st.booleans(),
    st.lists(st.integers(0, 500), max_size=6),
)
def test_what_was_sent_is_read(
    sent: list[tuple[str | bytes, list[int], bool]], has_context: bool, places: list[int]
) -> None:
    """In any fragments, with pings between, compressed by the piece or not, however the bytes are cut."""
    for writer in (PURE, COMPILED):
        keeping = {"client_no_context_takeover": not has_context}
        agreement = writer.deflate.Agreement(**keeping)
        client = writer.deflate.make_deflate(agreement, Compression(), is_server=False)
        wire, expected = b"", []
        for message, cuts, is_compressed in sent:
            payload, opcode = (message.encode(), 1) if isinstance(message, str) else (message, 2)
            expected.append(("stream", message) if len(payload) > HELD else message)
            if is_compressed:
                deflation = writer.deflate.Deflation(client.compressor)
                parts = [deflation.encode(payload[i : i + 25]) for i in range(0, len(payload), 25)]
                payload = b"".join(parts) + deflation.finish()
            wire += in_frames(opcode, payload, cuts, frame(PING, b"p"), RSV1 if is_compressed else 0)
        inside = sorted(min(place, len(wire)) for place in places)
        pieces = [wire[start:stop] for start, stop in pairwise([0, *inside, len(wire)])]
        for reader in (PURE, COMPILED):
            for cut in ([wire], pieces, one_by_one(wire)):
                limits = {"max_size": HELD, "max_stream_size": 400, "extension": deflate(reader, **keeping)}
                events = decode(reader, cut, **limits)
                assert joined([event for event in events if event != ("ping", b"p")]) == expected


@pytest.mark.parametrize(("half", "is_bad"), [(b"\xed\xa0", True), (b"\xed\xbf", True), (b"\xed\x9f", False)])
def test_half_a_surrogate_fails_a_stream_at_once(codec: SimpleNamespace, half: bytes, is_bad: bool) -> None:
    """U2. The next byte could not mend it."""
    wire = frame(BEGIN_TEXT, b"a" * 30 + half)
    events = decode(codec, [wire], **LIMITS)
    assert (events[-1] == ("error", 1007)) == is_bad


@pytest.mark.parametrize(("most", "limit"), [(0, "max_message_size"), (100, "max_stream_size")])
def test_what_is_too_big_says_by_which_setting(codec: SimpleNamespace, most: int, limit: str) -> None:
    decoder = new_decoder(codec, max_size=HELD, max_stream_size=most)
    wire = bytearray(header(BINARY, 101) + KEY)
    decoder.feed(wire, 0, len(wire))
    assert decoder.next().limit == limit
