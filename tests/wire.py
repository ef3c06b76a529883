"""Frames made without the product, and the ways to cut bytes into pieces."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

KEY = bytes.fromhex("37fa213d")  # RFC 6455 §5.7

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A  # the first byte of a whole frame
BEGIN_TEXT, BEGIN_BINARY, MORE, LAST = 0x01, 0x02, 0x00, 0x80  # of a fragment


def xor(payload: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def header(first: int, length: int, *, masked: bool = True) -> bytes:
    """A header without its key, with the length in its shortest form (RFC 6455 §5.2)."""
    bit = 0x80 if masked else 0
    if length < 126:
        return bytes([first, bit | length])
    if length < 65536:
        return bytes([first, bit | 126]) + length.to_bytes(2, "big")
    return bytes([first, bit | 127]) + length.to_bytes(8, "big")


def frame(first: int, payload: bytes = b"", key: bytes = KEY) -> bytes:
    """A client's frame."""
    return header(first, len(payload)) + key + xor(payload, key)


def unmasked(first: int, payload: bytes = b"") -> bytes:
    """A server's frame."""
    return header(first, len(payload), masked=False) + payload


def one_by_one(wire: bytes) -> list[bytes]:
    return [wire[i : i + 1] for i in range(len(wire))]


def at_every_split(wire: bytes) -> Iterator[list[bytes]]:
    """Two pieces, cut at each place there is."""
    return ([wire[:cut], wire[cut:]] for cut in range(1, len(wire)))


def at_random_splits(wire: bytes, ways: int) -> Iterator[list[bytes]]:
    """Up to eight pieces. The same bytes are always cut at the same places."""
    places = random.Random(len(wire))
    for _ in range(ways):
        cuts = sorted(places.randrange(len(wire) + 1) for _ in range(places.randrange(1, 8)))
        yield [wire[start:stop] for start, stop in pairwise([0, *cuts, len(wire)])]
