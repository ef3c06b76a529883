"""Masking in place (RFC 6455 §5.3), compared with its definition."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import codecs

KEYS = [0x37FA213D, 0, 1, 0xFF000000, 0xFFFFFFFF, 0x80000000]
BUILDS = [codecs.load(build) for build in codecs.BUILDS]

keys = st.sampled_from(KEYS) | st.integers(0, 2**32 - 1)


def defined(payload: bytes, key: int, offset: int) -> bytes:
    """RFC 6455 §5.3: octet i is XORed with octet i modulo 4 of the key."""
    return bytes(byte ^ (key >> (24 - 8 * ((i + offset) % 4)) & 0xFF) for i, byte in enumerate(payload))


def test_masks_the_example(codec: SimpleNamespace) -> None:
    """RFC 6455 §5.7."""
    buffer = bytearray(b"Hello")
    codec.mask.apply(buffer, 0, 5, 0x37FA213D, 0)
    assert buffer == bytes.fromhex("7f9f4d5158")


@pytest.mark.parametrize("key", KEYS)
def test_masks_each_size_at_each_place(codec: SimpleNamespace, key: int) -> None:
    payload = bytes(range(7, 7 + 40))
    for size in range(len(payload)):
        for start in range(9):
            for offset in range(5):
                buffer = bytearray(b"\xee" * start + payload[:size] + b"\xdd" * 9)
                codec.mask.apply(buffer, start, start + size, key, offset)
                assert buffer == b"\xee" * start + defined(payload[:size], key, offset) + b"\xdd" * 9


@given(st.binary(max_size=200), keys, st.integers(0, 2**40), st.integers(0, 20), st.integers(0, 20))
def test_both_builds_do_what_is_defined(payload: bytes, key: int, offset: int, before: int, behind: int) -> None:
    expected = bytes(before) + defined(payload, key, offset) + bytes(behind)
    for codec in BUILDS:
        buffer = bytearray(bytes(before) + payload + bytes(behind))
        codec.mask.apply(buffer, before, before + len(payload), key, offset)
        assert buffer == expected
        codec.mask.apply(buffer, before, before + len(payload), key, offset)
        assert buffer == bytes(before) + payload + bytes(behind)


@given(st.binary(max_size=60), keys, st.lists(st.integers(0, 60), max_size=4))
def test_pieces_are_masked_like_the_whole(payload: bytes, key: int, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(payload)) for cut in cuts), len(payload)]
    for codec in BUILDS:
        buffer = bytearray(payload)
        for start, stop in pairwise(places):
            codec.mask.apply(buffer, start, stop, key, start)
        assert buffer == defined(payload, key, 0)


def test_masks_a_megabyte(codec: SimpleNamespace) -> None:
    payload = bytes(range(251)) * 4001
    buffer = bytearray(payload)
    codec.mask.apply(buffer, 3, len(buffer), 0x01020304, 2)
    assert buffer[:3] == payload[:3]
    assert int.from_bytes(buffer[3:], "big") ^ int.from_bytes(payload[3:], "big") == int.from_bytes(
        (b"\x03\x04\x01\x02" * (len(payload) // 4 + 1))[: len(payload) - 3], "big"
    )


@pytest.mark.parametrize("text", ["", "a", "naïve", "日本語", "😂", "\0", "\ufffe", "\U0010ffff"])
def test_returns_a_slice_as_text(codec: SimpleNamespace, text: str) -> None:
    payload = text.encode()
    for before, behind in ((b"", b""), (b"\xff\xc3", b"\xa9\xff")):
        found = codec.mask.text(bytearray(before + payload + behind), len(before), len(before) + len(payload))
        assert (type(found), found) == (str, text)


@pytest.mark.parametrize("payload", ["ff", "c3", "eda080", "c0af", "f4908080", "61e282", "f888808080"])
def test_refuses_text_that_is_not_utf8(codec: SimpleNamespace, payload: str) -> None:
    buffer = bytearray(b"a" + bytes.fromhex(payload) + b"\x82a")
    with pytest.raises(UnicodeDecodeError):
        codec.mask.text(buffer, 1, len(buffer) - 2)


@given(st.binary(max_size=30), st.integers(0, 5))
def test_both_builds_read_the_same_text(payload: bytes, before: int) -> None:
    try:
        expected = payload.decode()
    except UnicodeDecodeError:
        expected = None
    for codec in BUILDS:
        try:
            found = codec.mask.text(bytearray(bytes(before) + payload + b"\x80"), before, before + len(payload))
        except UnicodeDecodeError:
            found = None
        assert found == expected


@given(st.binary(max_size=100), st.integers(0, 5), st.integers(0, 0xFFFFFFFF))
def test_unmasks_a_copy(payload: bytes, before: int, key: int) -> None:
    for codec in BUILDS:
        buffer = bytearray(bytes(before) + payload + b"\x80")
        found = codec.mask.unmasked(buffer, before, before + len(payload), key)
        assert buffer == bytes(before) + payload + b"\x80"
        codec.mask.apply(buffer, before, before + len(payload), key, 0)
        assert (type(found), found) == (bytes, bytes(buffer[before : before + len(payload)]))


def test_returns_a_slice_as_bytes(codec: SimpleNamespace) -> None:
    buffer = bytearray(range(20))
    for start, stop in ((0, 0), (0, 20), (3, 7), (20, 20)):
        found = codec.mask.data(buffer, start, stop)
        assert (type(found), found) == (bytes, bytes(range(start, stop)))
    buffer[3] = 0xFF
    assert codec.mask.data(buffer, 3, 4) == b"\xff"


@given(
    st.binary(max_size=100) | st.text(max_size=40).map(str.encode) | st.text("abc\x7f", max_size=90).map(str.encode),
    st.integers(0, 5),
    st.integers(0, 0xFFFFFFFF),
)
def test_unmasks_text(payload: bytes, before: int, key: int) -> None:
    try:
        expected = payload.decode()
    except UnicodeDecodeError:
        expected = None
    around = bytes(before), b"\x80"
    for codec in BUILDS:
        buffer = bytearray(around[0] + payload + around[1])
        codec.mask.apply(buffer, before, before + len(payload), key, 0)
        try:
            found = codec.mask.unmasked_text(buffer, before, before + len(payload), key)
        except UnicodeDecodeError:
            found = None
        assert found == expected
        assert found is None or hash(found) == hash(expected)
        assert buffer == around[0] + payload + around[1]


@pytest.mark.parametrize("at", range(0, 70, 3))
def test_sees_one_byte_beyond_ascii_wherever_it_is(codec: SimpleNamespace, at: int) -> None:
    payload = b"a" * at + b"\xff" + b"b" * (70 - at)
    buffer = bytearray(payload)
    codec.mask.apply(buffer, 0, len(buffer), 0x01020304, 0)
    with pytest.raises(UnicodeDecodeError):
        codec.mask.unmasked_text(buffer, 0, len(buffer), 0x01020304)
