"""The decoder, with the table of tests/frame_cases.py: whole, byte by byte, at every split and at random ones."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import pytest

from greenws.errors import ProtocolError
from tests.frame_cases import ALL, SMALL_FRAGMENTS, Case, Event, fragments
from tests.protocol.decoding import decode, feed, new_decoder
from tests.wire import (
    BEGIN_BINARY,
    BEGIN_TEXT,
    BINARY,
    CLOSE,
    KEY,
    LAST,
    MORE,
    PING,
    PONG,
    TEXT,
    at_every_split,
    at_random_splits,
    frame,
    header,
    one_by_one,
    unmasked,
    xor,
)

RSV1 = 0x40
LONG = 300  # bytes; what is longer is not cut at every place

cases = pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])


@cases
def test_whole(codec: SimpleNamespace, case: Case) -> None:
    assert decode(codec, [case.wire]) == list(case.events)


@cases
def test_byte_by_byte(codec: SimpleNamespace, case: Case) -> None:
    assert decode(codec, one_by_one(case.wire)) == list(case.events)


@cases
def test_at_splits(codec: SimpleNamespace, case: Case) -> None:
    for pieces in at_random_splits(case.wire, 30 if len(case.wire) <= LONG else 5):
        assert decode(codec, pieces) == list(case.events), pieces
    if len(case.wire) <= LONG:
        for pieces in at_every_split(case.wire):
            assert decode(codec, pieces) == list(case.events), pieces


@cases
def test_nothing_waits_for_bytes_that_are_not_needed(codec: SimpleNamespace, case: Case) -> None:
    """The last event comes with the byte that decides it, and not before."""
    decoder = new_decoder(codec)
    early = feed(codec, decoder, case.wire[: case.at - 1])
    assert early == list(case.events[:-1])
    assert feed(codec, decoder, case.wire[case.at - 1 : case.at]) == [case.events[-1]]
    assert feed(codec, decoder, case.wire[case.at :]) == []


@pytest.mark.slow
def test_counts_fragments_and_not_their_bytes(codec: SimpleNamespace) -> None:
    for pieces in ([SMALL_FRAGMENTS.wire], one_by_one(SMALL_FRAGMENTS.wire)):
        assert decode(codec, pieces, max_size=1_000_000) == [("error", 1009)]


@pytest.mark.slow
def test_reads_a_mebibyte_of_characters_that_are_all_split(codec: SimpleNamespace) -> None:
    """U9. The header has 14 bytes, so each piece ends behind the first byte of a character."""
    text = "😂" * (1 << 18)
    wire = frame(TEXT, text.encode())
    pieces = [wire[:15], *(wire[i : i + 4] for i in range(15, len(wire), 4))]
    assert decode(codec, pieces, max_size=1 << 20) == [text]


@pytest.mark.parametrize("max_fragments", [1, 2, 3])
def test_allows_as_many_fragments_as_it_is_told(codec: SimpleNamespace, max_fragments: int) -> None:
    wire = frame(BEGIN_TEXT, b"a") + frame(MORE, b"b") * (max_fragments - 1)
    assert decode(codec, [wire + frame(MORE, b"c")], max_fragments=max_fragments) == [("error", 1009)]
    assert decode(codec, [frame(TEXT, b"a") * 5], max_fragments=max_fragments) == ["a"] * 5


def test_control_frames_are_no_fragments_and_have_no_part_in_the_size(codec: SimpleNamespace) -> None:
    wire = frame(BEGIN_TEXT, b"a") + frame(PING, bytes(125)) * 3 + frame(LAST, b"b")
    events = decode(codec, [wire], max_size=2, max_fragments=2)
    assert events == [("ping", bytes(125))] * 3 + ["ab"]


def test_limits_begin_anew_with_each_message(codec: SimpleNamespace) -> None:
    wire = fragments(b"abc", b"de") + frame(TEXT, b"fghij")
    assert decode(codec, one_by_one(wire * 3), max_size=5, max_fragments=2) == [b"abcde", "fghij"] * 3


# ---- a client's decoder


@pytest.mark.parametrize(
    ("wire", "event"),
    [
        (unmasked(TEXT, "naïve".encode()), "naïve"),
        (unmasked(BEGIN_BINARY, b"a") + unmasked(MORE) + unmasked(LAST, b"b"), b"ab"),
        (unmasked(CLOSE, b"\x03\xe8bye"), ("close", 1000, "bye")),
        (unmasked(BINARY, bytes(200)), bytes(200)),
        (frame(TEXT, b"hi"), ("error", 1002)),
        (frame(PING), ("error", 1002)),
    ],
)
def test_a_client_wants_frames_that_are_not_masked(codec: SimpleNamespace, wire: bytes, event: Event) -> None:
    for pieces in ([wire], one_by_one(wire), *at_every_split(wire)):
        assert decode(codec, pieces, masked=False) == [event]


# ---- whether it may be lent to another connection


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(frame(TEXT, b"hi")[:1], id="half a header"),
        pytest.param(frame(TEXT, b"hi")[:5], id="half a key"),
        pytest.param(frame(TEXT, b"hi")[:6], id="no payload yet"),
        pytest.param(frame(TEXT, b"hi")[:7], id="half a payload"),
        pytest.param(frame(PING, b"hi")[:7], id="half a ping"),
        pytest.param(frame(BEGIN_TEXT), id="half a message"),
        pytest.param(frame(BEGIN_TEXT, b"a") + frame(PING), id="half a message and a ping"),
        pytest.param(frame(CLOSE), id="closed"),
        pytest.param(frame(LAST), id="failed"),
    ],
)
def test_is_not_idle_while_it_holds_something(codec: SimpleNamespace, wire: bytes) -> None:
    decoder = new_decoder(codec)
    assert decoder.is_idle
    feed(codec, decoder, wire)
    assert not decoder.is_idle


def test_is_idle_between_messages(codec: SimpleNamespace) -> None:
    decoder = new_decoder(codec)
    for wire in (frame(TEXT, b"hi"), frame(PING), fragments(b"a", b"b"), frame(PONG, b"x"), frame(BINARY)):
        for pieces in ([wire], one_by_one(wire)):
            for piece in pieces:
                feed(codec, decoder, piece)
            assert decoder.is_idle


def test_gives_one_event_at_a_time(codec: SimpleNamespace) -> None:
    """What is behind an event has not been touched yet: a connection may stop here and go on later."""
    decoder = new_decoder(codec)
    wire = frame(TEXT, b"a") + frame(TEXT, b"b")
    buffer = bytearray(wire)
    decoder.feed(buffer, 0, len(buffer))
    assert decoder.next() == "a"
    assert decoder.consumed == 7
    assert buffer[7:] == wire[7:]
    assert decoder.is_idle
    other = new_decoder(codec)
    assert feed(codec, other, bytes(buffer[7:])) == ["b"]


def test_nothing_comes_behind_the_end(codec: SimpleNamespace) -> None:
    for end in (frame(CLOSE), frame(LAST)):
        decoder = new_decoder(codec)
        assert len(feed(codec, decoder, end)) == 1
        for piece in one_by_one(frame(TEXT, b"hi") + frame(LAST)):
            assert feed(codec, decoder, piece) == []


# ---- the place of permessage-deflate (RFC 7692 §6)


class Reversing:
    """An extension that turns payloads round instead of inflating them."""

    def __init__(self) -> None:
        self.has_more = False
        self._data = b""

    def begin(self) -> Reversing:
        return self

    def feed(self, data: bytes, is_last: bool) -> None:
        assert type(data) is bytes
        assert is_last
        assert not self.has_more
        self._data = data[::-1]
        self.has_more = True

    def read(self, size: int) -> bytes:
        assert self.has_more
        if self._data == b"tpurroc":
            raise ProtocolError(1007, "cannot be inflated")
        part, self._data = self._data[:size], self._data[size:]
        self.has_more = len(part) == size
        return part


ACUTE = "é".encode()[::-1]  # is UTF-8 only when it is turned round


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        pytest.param(frame(TEXT | RSV1, b"cba"), ["abc"], id="text"),
        pytest.param(frame(BINARY | RSV1, b"cba"), [b"abc"], id="binary"),
        pytest.param(
            frame(TEXT, b"abc") + frame(TEXT | RSV1, b"cba") + frame(TEXT, b"abc"), ["abc"] * 3, id="now and then"
        ),
        pytest.param(frame(TEXT | RSV1, ACUTE), ["é"], id="checked when inflated"),
        pytest.param(frame(BEGIN_TEXT | RSV1, ACUTE[:1]) + frame(LAST, ACUTE[1:]), ["é"], id="fragments"),
        pytest.param(
            frame(BEGIN_BINARY | RSV1, b"cb") + frame(PING, b"p") + frame(LAST, b"a"),
            [("ping", b"p"), b"abc"],
            id="Z7 ping",
        ),
        pytest.param(frame(BEGIN_TEXT, b"a") + frame(LAST, b"b"), ["ab"], id="fragments that are not compressed"),
        pytest.param(frame(BEGIN_TEXT, b"\xff") + frame(LAST), [("error", 1007)], id="checked when not compressed"),
        pytest.param(frame(TEXT | RSV1, b"\xff"), [("error", 1007)], id="inflates to what is not UTF-8"),
        pytest.param(
            frame(BINARY | RSV1, b"corrupt") + frame(TEXT, b"hi"), [("error", 1007)], id="Z6 cannot be inflated"
        ),
        pytest.param(
            frame(BEGIN_TEXT | RSV1, b"a") + frame(LAST | RSV1, b"b"), [("error", 1002)], id="Z4 continuation"
        ),
        pytest.param(frame(BEGIN_TEXT | RSV1, b"a") + frame(MORE | RSV1, b"b"), [("error", 1002)], id="Z4 not final"),
        *(
            pytest.param(frame(first | RSV1, b"\x03\xe8"), [("error", 1002)], id=f"Z5 control frame {first:#x}")
            for first in (PING, PONG, CLOSE)
        ),
        *(
            pytest.param(frame(TEXT | RSV1 | bits, b"a"), [("error", 1002)], id=f"other reserved bits {bits:#x}")
            for bits in (0x10, 0x20, 0x30)
        ),
        pytest.param(header(BINARY | RSV1, 1127) + KEY, [("error", 1009)], id="larger than the limit, compressed"),
    ],
)
def test_an_extension_gets_the_messages_that_are_marked(
    codec: SimpleNamespace, wire: bytes, events: list[Event]
) -> None:
    for pieces in ([wire], one_by_one(wire), *at_random_splits(wire, 10)):
        assert decode(codec, pieces, extension=Reversing()) == events


def test_payloads_are_unmasked_with_the_whole_key_wherever_they_are_cut(codec: SimpleNamespace) -> None:
    payload = bytes(range(37))
    for key in (KEY, b"\x00\x00\x00\x01", b"\xff\x00\x00\x00", b"\xff\xff\xff\xff"):
        wire = header(BINARY, len(payload)) + key + xor(payload, key)
        for pieces in at_every_split(wire):
            assert decode(codec, pieces) == [payload]


@pytest.mark.slow
def test_holds_no_more_than_what_has_come(codec: SimpleNamespace) -> None:
    """W18: at most twice the bytes of a message that trickles in; and nothing for those that are only announced."""
    size = 1 << 15
    window = bytearray(1)
    for wire in (frame(BINARY, bytes(size))[:-1], frame(BEGIN_TEXT, bytes(size)), header(TEXT, 1 << 20) + KEY):
        decoder = new_decoder(codec, max_size=1 << 20)
        tracemalloc.start()
        for byte in wire:
            window[0] = byte
            decoder.feed(window, 0, 1)
            assert decoder.next() is None
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 2 * len(wire) + 4096


@pytest.mark.parametrize(
    ("name", "values"),
    [("Ping", [b"?"]), ("Pong", [b"!"]), ("Close", [1000, "bye"]), ("Chunk", ["part", True]), ("Pause", [])],
)
def test_an_event_is_a_value(codec: SimpleNamespace, name: str, values: list[object]) -> None:
    event = getattr(codec.events, name)
    assert event(*values) == event(*values)
    assert len({event(*values), event(*values)}) == 1
    assert all(repr(part) in repr(event(*values)) for part in values)
