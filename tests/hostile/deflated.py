"""Compressed frames that are hostile: Z of the list of hostile input."""

from __future__ import annotations

import zlib

from tests.frame_cases import LIMIT, Case, bad, good
from tests.wire import BEGIN_BINARY, BEGIN_TEXT, BINARY, LAST, MORE, PING, TEXT, frame

MEBIBYTE = 1 << 20
RSV1 = 0x40
TAIL = b"\x00\x00\xff\xff"
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
HELLO = bytes.fromhex("f248cdc9c90700")
FINAL = bytes.fromhex("f348cdc9c90700")  # the same in a last block


def bomb(size: int) -> bytes:
    """So many zeros, deflated: the blocks of one mebibyte again and again, then those of the rest."""
    mebibytes, rest = divmod(size, MEBIBYTE)
    return (zeros(MEBIBYTE) * mebibytes + zeros(rest))[: -len(TAIL)]


def zeros(size: int) -> bytes:
    """Blocks that refer to nothing before them."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(bytes(size)) + stream.flush(zlib.Z_FULL_FLUSH)


LITTLE = bomb(LIMIT + 1)
assert len(LITTLE) < 40

DEFLATED: list[Case] = [
    bad("Z2 limit + 1", frame(BINARY | RSV1, LITTLE), 1009),
    bad(
        "Z3 limit + 1 in fragments",
        frame(BEGIN_BINARY | RSV1, LITTLE[:5]) + frame(MORE) + frame(LAST, LITTLE[5:]),
        1009,
    ),
    bad("Z4 RSV1 on a continuation", frame(BEGIN_TEXT | RSV1, HELLO[:3]) + frame(LAST | RSV1, HELLO[3:])),
    bad("Z5 RSV1 on a ping", frame(PING | RSV1, b"?")),
    bad("Z6 corrupt", frame(TEXT | RSV1, b"\xff" * 20), 1007),
    bad("Z6 a reference to what was never sent", frame(TEXT | RSV1, bytes.fromhex("f200110000")), 1007),
    bad("Z8 data behind the last block", frame(TEXT | RSV1, FINAL + b"\xff\xff\xff"), 1007),
    bad("Z8 a bomb behind the last block", frame(TEXT | RSV1, FINAL + LITTLE), 1009),
    bad("inflates to what is not UTF-8", frame(TEXT | RSV1, bytes.fromhex("faff0f00")), 1007),
    good(
        "Z7 ping between fragments",
        frame(BEGIN_TEXT | RSV1, HELLO[:2]) + frame(PING, b"?") + frame(LAST, HELLO[2:]),
        ("ping", b"?"),
        "Hello",
    ),
    good("Z8 two streams in one message", frame(TEXT | RSV1, FINAL + HELLO), "HelloHello"),
    good("an empty message", frame(TEXT | RSV1, b"\x00"), ""),
]
