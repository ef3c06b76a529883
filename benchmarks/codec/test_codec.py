"""The codec alone, without a socket: nanoseconds for each frame. ``make bench-codec``; not among the tests."""

from __future__ import annotations

from typing import Any

import pytest

from greenws.protocol import mask
from greenws.protocol.frames import encode_frame
from greenws.protocol.messages import MessageDecoder

KEY = 0x129A56E7
FRAMES = 1000
SIZES = (0, 64, 1024, 65536)


@pytest.mark.parametrize("opcode", [1, 2], ids=["text", "binary"])
@pytest.mark.parametrize("size", SIZES)
def test_decode(benchmark: Any, size: int, opcode: int) -> None:
    """A client's frames, which arrived together, to messages."""
    count = max(1, min(FRAMES, 2**20 // (size + 14)))
    frames = encode_frame(opcode, b"a" * size, key=KEY) * count
    decoder = MessageDecoder(True, 2**20, 4096)

    def set_up() -> tuple[tuple[bytearray], dict[str, Any]]:
        return (bytearray(frames),), {}  # decoding unmasks in place

    def decode(data: bytearray) -> None:
        decoder.feed(data, 0, len(data))
        while decoder.next() is not None:
            pass

    benchmark.extra_info["frames"] = count
    benchmark.pedantic(decode, setup=set_up, rounds=200)


@pytest.mark.parametrize("size", SIZES)
def test_encode(benchmark: Any, size: int) -> None:
    """A server's frame around a payload."""
    payload = b"a" * size
    benchmark.extra_info["frames"] = 1
    benchmark(encode_frame, 1, payload)


@pytest.mark.parametrize("size", SIZES[1:])
def test_mask(benchmark: Any, size: int) -> None:
    """The XOR alone."""
    data = bytearray(size)
    benchmark.extra_info["frames"] = 1
    benchmark(mask.apply, data, 0, size, KEY, 0)


@pytest.mark.parametrize("size", [64, 65536])
def test_decode_in_pieces(benchmark: Any, size: int) -> None:
    """A frame that comes in two reads, cut in its middle."""
    frame = encode_frame(2, b"a" * size, key=KEY)
    half = len(frame) // 2
    decoder = MessageDecoder(True, 2**20, 4096)

    def decode() -> None:
        for piece in (frame[:half], frame[half:]):
            decoder.feed(bytearray(piece), 0, len(piece))
            while decoder.next() is not None:
                pass

    benchmark.extra_info["frames"] = 1
    benchmark(decode)
