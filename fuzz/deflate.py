"""permessage-deflate: any bytes give a message within the limit or one failure with 1007 or 1009.

It holds with a context and without, message after message, and a message that came out comes out again when it is
deflated. The first byte says which; what follows are messages, each up to 00 00 ff ff, the tail that is not sent.
"""

from __future__ import annotations

from fuzz.target import fuzz, timed
from greenws.config import Compression
from greenws.errors import ProtocolError
from greenws.protocol import deflate

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


def check(data: bytes) -> None:
    """The invariant."""
    options = KEEPING if data[:1] >= b"\x80" else FRESH
    server, client, reader = (side(options, is_server=is_server) for is_server in (True, False, True))
    for payload in data[1:].split(deflate.TAIL):
        try:
            message = timed(server.decode, payload, LIMIT)
        except ProtocolError as error:
            assert error.close_code in (1007, 1009)
            return
        assert len(message) <= LIMIT
        again = timed(client.encode, message)
        assert again is None or reader.decode(again, LIMIT) == message


if __name__ == "__main__":
    fuzz(check, deflate)
