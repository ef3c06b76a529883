"""Frames: their headers read and written (RFC 6455 §5.2).

One law: what is wrong with a frame is found in its header, before a byte of its payload is looked at, and as soon as
the bytes that show it are there. Ordinary Python; frames.pxd types it for the compiler.
"""

from __future__ import annotations

from greenws.errors import ProtocolError

from . import mask
from .codes import CloseCode, Opcode, may_be_sent

MAX_HEADER = 14  # 2 bytes, 8 of length, 4 of mask
MAX_CONTROL = 125  # RFC 6455 §5.5


class FrameHeader:
    """What one frame's header says. Filled by ``read_header`` and used again for the next frame."""

    def __init__(self) -> None:
        self.fin = False
        self.compressed = False  # RSV1, which permessage-deflate gives this meaning (RFC 7692 §6)
        self.opcode = 0
        self.length = 0
        self.key = 0


def read_header(buffer: bytearray, start: int, stop: int, masked: bool, rsv1_allowed: bool, header: FrameHeader) -> int:
    """Reads the header at ``start``.

    Args:
        buffer, start, stop: where the bytes are.
        masked: whether frames must be masked: those of a client (RFC 6455 §5.1).
        rsv1_allowed: whether an extension that uses RSV1 was negotiated.
        header: where the answer is put.

    Returns:
        The header's size in bytes, or 0 while more bytes are needed.

    Raises:
        ProtocolError: the frame breaks a rule of RFC 6455 §5.
    """
    have = stop - start
    if have < 2:
        return 0
    first = buffer[start]
    second = buffer[start + 1]
    opcode = first & 0x0F
    _check_first_bytes(first, second, masked, rsv1_allowed)
    header.fin = first >= 0x80
    header.compressed = first & 0x40 != 0
    header.opcode = opcode
    length = second & 0x7F
    size = 2
    if length == 126:
        size = 4
        if have < size:
            return 0
        length = buffer[start + 2] << 8 | buffer[start + 3]
        if length < 126:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "frame length is not in its shortest form")
    elif length == 127:
        size = 10
        if have > 2 and buffer[start + 2] >= 0x80:  # §5.2: the most significant bit must be 0
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "frame length has its highest bit set")
        if have < size:
            return 0
        length = _read_long(buffer, start + 2)
    header.length = length
    if masked:
        if have < size + 4:
            return 0
        at = start + size
        header.key = buffer[at] << 24 | buffer[at + 1] << 16 | buffer[at + 2] << 8 | buffer[at + 3]
        size += 4
    else:
        header.key = 0
    return size


def _check_first_bytes(first: int, second: int, masked: bool, rsv1_allowed: bool) -> None:
    opcode = first & 0x0F
    if first & 0x70:
        # RFC 6455 §5.2: a reserved bit needs an extension; RFC 7692 §6.1: RSV1 only on the first frame of a message.
        if first & 0x30 or not rsv1_allowed or (opcode != 1 and opcode != 2):
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "reserved bit set")
    if opcode > 2:
        if opcode < 8 or opcode > 10:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "unknown opcode")
        if first < 0x80:  # §5.5: control frames are not fragmented …
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "fragmented control frame")
        if second & 0x7F > MAX_CONTROL:  # … and hold at most 125 bytes
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "control frame too long")
    if (second >= 0x80) != masked:  # §5.1
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, "frame not masked" if masked else "frame masked")


def _read_long(buffer: bytearray, at: int) -> int:
    length = 0
    for i in range(8):
        length = length << 8 | buffer[at + i]
    if length < 65536:
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, "frame length is not in its shortest form")
    return length


def write_header(buffer: bytearray, at: int, first: int, length: int, masked: bool, key: int) -> int:
    """Writes a header and returns its size.

    Args:
        buffer, at: where; MAX_HEADER bytes must be free.
        first: the first byte: FIN, RSV bits and opcode.
        length: the payload's size in bytes.
        masked: whether the frame is masked, with ``key``.
    """
    bit = 0x80 if masked else 0
    buffer[at] = first
    size = 2
    if length < 126:
        buffer[at + 1] = bit | length
    elif length < 65536:
        buffer[at + 1] = bit | 126
        buffer[at + 2] = length >> 8
        buffer[at + 3] = length & 0xFF
        size = 4
    else:
        buffer[at + 1] = bit | 127
        for i in range(8):
            buffer[at + 2 + i] = length >> (56 - 8 * i) & 0xFF
        size = 10
    if masked:
        for i in range(4):
            buffer[at + size + i] = key >> (24 - 8 * i) & 0xFF
        size += 4
    return size


def encode_frame(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False, key: int | None = None) -> bytes:
    """Returns a whole frame; ``key`` is the mask of a client's frame (RFC 6455 §5.3)."""
    first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
    frame = bytearray(MAX_HEADER)
    size = write_header(frame, 0, first, len(payload), key is not None, key or 0)
    del frame[size:]
    frame += payload
    if key is not None:
        mask.apply(frame, size, len(frame), key, 0)
    return bytes(frame)


def close_payload(code: int, reason: str) -> bytes:
    """Returns the payload of a Close frame (RFC 6455 §5.5.1).

    Raises:
        ValueError: the code may not be sent, or the reason is longer than 123 bytes.
    """
    if not may_be_sent(code):
        raise ValueError(f"{code} is not a close code that may be sent (RFC 6455 §7.4)")
    text = reason.encode()
    if len(text) > MAX_CONTROL - 2:
        raise ValueError(f"a close reason is at most {MAX_CONTROL - 2} bytes, this one has {len(text)}")
    return code.to_bytes(2, "big") + text


def read_close(payload: bytes) -> tuple[int, str]:
    """Returns the code and reason of a Close frame's payload.

    Raises:
        ProtocolError: a payload of one byte, a code that may not be sent (1002), a reason that is not UTF-8 (1007).
    """
    if not payload:
        return CloseCode.NO_STATUS, ""
    if len(payload) == 1:
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, "close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    if not may_be_sent(code):
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, "close code may not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError(CloseCode.INVALID_DATA, "close reason is not UTF-8") from None


__all__ = [
    "MAX_CONTROL",
    "MAX_HEADER",
    "FrameHeader",
    "Opcode",
    "close_payload",
    "encode_frame",
    "read_close",
    "read_header",
    "write_header",
]
