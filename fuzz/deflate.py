"""permessage-deflate: any bytes give a message within the limit or one failure with 1007 or 1009.

It holds with a context and without, message after message, and a message that came out comes out again when it is
deflated, whole or by the piece. It does not matter in which pieces it is inflated. The first byte says which; what
follows are messages, each up to 00 00 ff ff, the tail that is not sent.
"""

from __future__ import annotations

from fuzz.target import fuzz, timed
from greenws.config import Compression
from greenws.errors import ProtocolError
from greenws.protocol import deflate
from greenws.protocol import inflate as inflater

LIMIT = 100_000
FRESH = Compression(level=1)
KEEPING = Compression(level=6, server_no_context_takeover=False, client_no_context_takeover=False)


def side(options: Compression, *, is_server: bool) -> deflate.Deflate:
    """A new end of a connection."""
    agreement = deflate.Agreement(
        options.server_no_context_takeover,
        options.client_no_context_takeover,
        options.server_max_window_bits,
        options.client_max_window_bits,
    )
    return deflate.make_deflate(agreement, options, is_server=is_server)


def inflate(side: deflate.Deflate, pieces: list[bytes], size: int) -> bytes:
    """What comes out of a message that is given and read by the piece."""
    inflation, parts, left = side.begin(), [b""], LIMIT + 1
    for number, piece in enumerate(pieces):
        inflation.feed(piece, number == len(pieces) - 1)
        while inflation.has_more and left:
            parts.append(inflation.read(min(size, left)))
            left -= len(parts[-1])
    if not left:
        raise ProtocolError(1009, "message too big")
    return b"".join(parts)


def outcome(side: deflate.Deflate, pieces: list[bytes], size: int) -> bytes | int:
    """The message, or the code of its failure."""
    try:
        return inflate(side, pieces, size)
    except ProtocolError as error:
        return error.close_code


def check(data: bytes) -> None:
    """The invariant."""
    options = KEEPING if data[:1] >= b"\x80" else FRESH
    server, client, reader, slow = (side(options, is_server=is_server) for is_server in (True, False, True, True))
    for payload in data[1:].split(inflater.TAIL):
        message = timed(outcome, server, [payload], LIMIT + 1)
        half = len(payload) // 2
        assert outcome(slow, [payload[:half], payload[half:]], 999) == message
        if isinstance(message, int):
            assert message in (1007, 1009)
            return
        again = timed(client.encode, message)
        assert again is None or inflate(reader, [again], LIMIT) == message
        deflation = deflate.Deflation(client.compressor)
        pieces = [deflation.encode(message[:half]), deflation.encode(message[half:]), deflation.finish()]
        assert inflate(reader, pieces, LIMIT) == message


if __name__ == "__main__":
    fuzz(check, deflate, inflater)
