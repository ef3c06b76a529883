"""Masking of payloads (RFC 6455 §5.3): the readable twin of mask.pyx.

The key is the four masking bytes as one big-endian number. Nothing here checks its arguments: a caller has already
made sure that ``0 <= start <= stop <= len(buffer)``.
"""

from __future__ import annotations


def apply(buffer: bytearray, start: int, stop: int, key: int, offset: int) -> None:
    """XORs ``buffer[start:stop]`` with the key; ``offset`` is how far into the payload ``start`` lies."""
    size = stop - start
    if not size or not key:
        return
    pattern = (key.to_bytes(4, "big") * (size // 4 + 2))[offset & 3 : (offset & 3) + size]
    masked = int.from_bytes(buffer[start:stop], "big") ^ int.from_bytes(pattern, "big")
    buffer[start:stop] = masked.to_bytes(size, "big")


def unmasked(buffer: bytearray, start: int, stop: int, key: int) -> bytes:
    """Returns a whole payload as bytes, XORed with the key on the way."""
    payload = bytearray(buffer[start:stop])
    apply(payload, 0, len(payload), key, 0)
    return bytes(payload)


def unmasked_text(buffer: bytearray, start: int, stop: int, key: int) -> str:
    """Returns a whole payload as text, and leaves it unmasked. Raises UnicodeDecodeError when it is not UTF-8."""
    apply(buffer, start, stop, key, 0)
    return text(buffer, start, stop)


def text(buffer: bytearray, start: int, stop: int) -> str:
    """Returns the slice as text. Raises UnicodeDecodeError when it is not UTF-8."""
    return buffer[start:stop].decode()


def data(buffer: bytearray, start: int, stop: int) -> bytes:
    """Returns the slice as bytes."""
    return bytes(buffer[start:stop])
