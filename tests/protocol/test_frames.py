"""Frame headers, written and read; the payload of Close frames (RFC 6455 §5.2, §5.5.1)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenws.errors import ProtocolError
from tests import codecs
from tests.frame_cases import HEADERS, Case
from tests.wire import xor

BUILDS = [codecs.load(build) for build in codecs.BUILDS]

# wire, first byte, length, key or None, whether RSV1 is allowed
HEADERS_BOTH_WAYS = [
    ("8105", 0x81, 5, None, False),
    ("818537fa213d", 0x81, 5, 0x37FA213D, False),
    ("0103", 0x01, 3, None, False),
    ("8002", 0x80, 2, None, False),
    ("0000", 0x00, 0, None, False),
    ("8200", 0x82, 0, None, False),
    ("8280ffffffff", 0x82, 0, 0xFFFFFFFF, False),
    ("828000000000", 0x82, 0, 0, False),
    ("828500000001", 0x82, 5, 1, False),
    ("827d", 0x82, 125, None, False),
    ("827e007e", 0x82, 126, None, False),
    ("827e0100", 0x82, 256, None, False),
    ("82fe010080000000", 0x82, 256, 0x80000000, False),
    ("827effff", 0x82, 65535, None, False),
    ("827f0000000000010000", 0x82, 65536, None, False),
    ("82ff00000000000100000a0b0c0d", 0x82, 65536, 0x0A0B0C0D, False),
    ("827f0102030405060708", 0x82, 0x0102030405060708, None, False),
    ("02ff7fffffffffffffff01020304", 0x02, 2**63 - 1, 0x01020304, False),
    ("8800", 0x88, 0, None, False),
    ("88fd37fa213d", 0x88, 125, 0x37FA213D, False),
    ("8905", 0x89, 5, None, False),
    ("8a8537fa213d", 0x8A, 5, 0x37FA213D, False),
    ("c100", 0xC1, 0, None, True),
    ("42fe007e37fa213d", 0x42, 126, 0x37FA213D, True),
    ("8100", 0x81, 0, None, True),
]
both_ways = pytest.mark.parametrize(
    ("wire", "first", "length", "key", "rsv1"), HEADERS_BOTH_WAYS, ids=[row[0] for row in HEADERS_BOTH_WAYS]
)


def read(codec: SimpleNamespace, wire: bytes, masked: bool, rsv1: bool = False, at: int = 0) -> tuple[int, Any]:
    header = codec.frames.FrameHeader()
    size = codec.frames.read_header(bytearray(bytes(at) + wire), at, at + len(wire), masked, rsv1, header)
    return size, header


@both_ways
def test_writes_a_header(
    codec: SimpleNamespace, wire: str, first: int, length: int, key: int | None, rsv1: bool
) -> None:
    assert max(len(row[0]) for row in HEADERS_BOTH_WAYS) // 2 == codec.frames.MAX_HEADER
    for at in (0, 5):
        buffer = bytearray(b"\xee" * (at + codec.frames.MAX_HEADER))
        size = codec.frames.write_header(buffer, at, first, length, key is not None, key or 0)
        expected = bytes.fromhex(wire)
        assert size == len(expected)
        assert buffer == b"\xee" * at + expected + b"\xee" * (codec.frames.MAX_HEADER - size)


@both_ways
def test_reads_a_header(
    codec: SimpleNamespace, wire: str, first: int, length: int, key: int | None, rsv1: bool
) -> None:
    data, masked = bytes.fromhex(wire), key is not None
    for at in (0, 3):
        for behind in (b"", b"\x00", b"\xff" * 20):
            size, header = read(codec, data + behind, masked, rsv1, at)
            assert size == len(data)
            assert (header.fin, header.compressed) == (first >= 0x80, bool(first & 0x40))
            assert (header.opcode, header.length, header.key) == (first & 0x0F, length, key or 0)


@both_ways
def test_waits_for_a_whole_header(
    codec: SimpleNamespace, wire: str, first: int, length: int, key: int | None, rsv1: bool
) -> None:
    data = bytes.fromhex(wire)
    for have in range(len(data)):
        assert read(codec, data[:have], key is not None, rsv1)[0] == 0


@both_ways
def test_refuses_the_other_side(
    codec: SimpleNamespace, wire: str, first: int, length: int, key: int | None, rsv1: bool
) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(codec, bytes.fromhex(wire)[:2], key is None, rsv1)
    assert caught.value.close_code == 1002
    assert caught.value.reason == ("frame not masked" if key is None else "frame masked")


@pytest.mark.parametrize("case", HEADERS, ids=[case.name for case in HEADERS])
def test_refuses_a_header(codec: SimpleNamespace, case: Case) -> None:
    """As soon as the bytes that show it are there."""
    for have in range(case.at):
        assert read(codec, case.wire[:have], True)[0] == 0
    for have in (case.at, case.at + 1, len(case.wire)):
        with pytest.raises(ProtocolError) as caught:
            read(codec, case.wire[:have], True)
        assert caught.value.close_code == 1002


@pytest.mark.parametrize("first", [0xC0, 0x40, 0xC8, 0xC9, 0xCA, 0xA1, 0x91, 0xE2, 0xD2, 0xF1])
def test_an_extension_marks_only_the_first_frame_of_a_message(codec: SimpleNamespace, first: int) -> None:
    """RFC 7692 §6.1."""
    with pytest.raises(ProtocolError) as caught:
        read(codec, bytes([first, 0x80, 0, 0, 0, 0]), True, rsv1=True)
    assert caught.value.close_code == 1002


def test_a_header_is_used_again(codec: SimpleNamespace) -> None:
    header = codec.frames.FrameHeader()
    for wire, masked, expected in (
        ("c2fe0100ffffffff", True, (True, True, 2, 256, 0xFFFFFFFF)),
        ("0100", False, (False, False, 1, 0, 0)),
    ):
        data = bytearray.fromhex(wire)
        assert codec.frames.read_header(data, 0, len(data), masked, True, header) == len(data)
        assert (header.fin, header.compressed, header.opcode, header.length, header.key) == expected


# ---- whole frames: the examples of RFC 6455 §5.7


@pytest.mark.parametrize(
    ("wire", "opcode", "payload", "options"),
    [
        pytest.param("810548656c6c6f", 1, b"Hello", {}, id="text"),
        pytest.param("818537fa213d7f9f4d5158", 1, b"Hello", {"key": 0x37FA213D}, id="masked text"),
        pytest.param("010348656c", 1, b"Hel", {"fin": False}, id="first fragment"),
        pytest.param("80026c6f", 0, b"lo", {}, id="last fragment"),
        pytest.param("890548656c6c6f", 9, b"Hello", {}, id="ping"),
        pytest.param("8a8537fa213d7f9f4d5158", 10, b"Hello", {"key": 0x37FA213D}, id="masked pong"),
        pytest.param("827e0100" + "ab" * 256, 2, b"\xab" * 256, {}, id="256 bytes"),
        pytest.param("827f0000000000010000" + "cd" * 65536, 2, b"\xcd" * 65536, {}, id="64 KiB"),
        pytest.param("c107f248cdc9c90700", 1, bytes.fromhex("f248cdc9c90700"), {"rsv1": True}, id="RFC 7692 §7.2.3.1"),
        pytest.param("4103f248cd", 1, b"\xf2\x48\xcd", {"rsv1": True, "fin": False}, id="its first fragment"),
        pytest.param("c203f248cd", 2, b"\xf2\x48\xcd", {"rsv1": True}, id="compressed binary"),
        pytest.param("81830000000061c3a9", 1, "aé".encode(), {"key": 0}, id="mask of zeros"),
        pytest.param("8880ffffffff", 8, b"", {"key": 0xFFFFFFFF}, id="empty close"),
    ],
)
def test_encodes_a_frame(
    codec: SimpleNamespace, wire: str, opcode: int, payload: bytes, options: dict[str, Any]
) -> None:
    frame = codec.frames.encode_frame(opcode, payload, **options)
    assert type(frame) is bytes
    assert frame.hex() == wire
    size, header = read(codec, frame, "key" in options, rsv1=True)
    assert (header.opcode, header.fin) == (opcode, options.get("fin", True))
    assert header.compressed == options.get("rsv1", False)
    assert xor(frame[size:], header.key.to_bytes(4, "big")) == payload


@given(
    st.sampled_from([0, 1, 2]),
    st.booleans(),
    st.integers(0, 2**63 - 1) | st.sampled_from([125, 126, 127, 65535, 65536, 65537]),
    st.none() | st.integers(0, 2**32 - 1),
)
def test_what_one_build_writes_the_other_reads(opcode: int, fin: bool, length: int, key: int | None) -> None:
    for writer, reader in (BUILDS, BUILDS[::-1]):
        buffer = bytearray(14)
        first = opcode | (0x80 if fin else 0)
        size = writer.frames.write_header(buffer, 0, first, length, key is not None, key or 0)
        assert read(reader, bytes(buffer[: size - 1]), key is not None)[0] == 0
        found, header = read(reader, bytes(buffer), key is not None)
        assert (found, header.fin, header.compressed) == (size, fin, False)
        assert (header.opcode, header.length, header.key) == (opcode, length, key or 0)


# ---- Close


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        (b"\x03\xe8", 1000, ""),
        (b"\x03\xe9gone", 1001, "gone"),
        (b"\x03\xf6", 1014, ""),
        (b"\x13\x87" + "até já".encode(), 4999, "até já"),
        (b"\x0b\xb8" + b"x" * 123, 3000, "x" * 123),
    ],
)
def test_close_payload_both_ways(codec: SimpleNamespace, payload: bytes, code: int, reason: str) -> None:
    assert codec.frames.close_payload(code, reason) == payload
    assert codec.frames.read_close(payload) == (code, reason)


def test_an_empty_close_has_no_status(codec: SimpleNamespace) -> None:
    assert codec.frames.read_close(b"") == (1005, "")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", 1002),
        (b"\x00\x00", 1002),
        (b"\x03\xed", 1002),
        (b"\x03\xf7why", 1002),
        (b"\xff\xff\xff", 1002),
        (b"\x03\xe8\xff", 1007),
        (b"\x03\xe8ok\xe2\x82", 1007),
    ],
)
def test_refuses_a_close_payload(codec: SimpleNamespace, payload: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        codec.frames.read_close(payload)
    assert caught.value.close_code == code
    assert caught.value.__suppress_context__ or caught.value.__context__ is None  # the peer's bytes stay out of logs


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535, -1])
def test_does_not_send_a_code_that_may_not_be_sent(codec: SimpleNamespace, code: int) -> None:
    with pytest.raises(ValueError, match=f"{code} is not a close code"):
        codec.frames.close_payload(code, "")


@pytest.mark.parametrize(("reason", "size"), [("x" * 124, 124), ("é" * 62, 124), ("😂" * 31, 124)])
def test_does_not_send_a_reason_that_is_too_long(codec: SimpleNamespace, reason: str, size: int) -> None:
    with pytest.raises(ValueError, match=f"at most 123 bytes, this one has {size}"):
        codec.frames.close_payload(1000, reason)
