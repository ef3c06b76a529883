"""The answer to our handshake: any bytes of a server give an agreement or one HandshakeError.

What is agreed on was offered, and both sides understand each other by it: a message that one deflates as agreed comes
out at the other.
"""

from __future__ import annotations

from dataclasses import replace

from fuzz.target import fuzz, timed
from greenws.config import Compression
from greenws.errors import HandshakeError
from greenws.protocol import deflate, extensions, grammar, handshake, head_limits, http
from greenws.protocol.extensions import ExtensionOffer

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3
SUBPROTOCOLS = ("chat", "superchat")
KEEPING = Compression(server_no_context_takeover=False, client_no_context_takeover=False)
OPTIONS = (Compression(), KEEPING, replace(KEEPING, server_max_window_bits=9, client_max_window_bits=9))
MESSAGES = (b"hello hello hello", bytes(range(256)) * 4, b"hello again, hello")


def check(data: bytes) -> None:
    """The invariant."""
    try:
        head = timed(http.parse_response, data)
        accepted = timed(handshake.check_response, head, KEY, SUBPROTOCOLS, (deflate.NAME,))
    except HandshakeError as error:
        assert error.status == 0 or 100 <= error.status < 600
        return
    assert head.status == 101
    assert accepted.subprotocol in (None, *SUBPROTOCOLS)
    assert [extension.name for extension in accepted.extensions] in ([], [deflate.NAME])
    for extension in accepted.extensions:
        for options in OPTIONS:
            agree(extension, options)


def agree(answer: ExtensionOffer, options: Compression) -> None:
    """What a server answered to the offer that these options make."""
    try:
        agreement = timed(deflate.read_answer, answer, options)
    except ValueError:
        return
    assert agreement.server_max_window_bits <= options.server_max_window_bits
    assert agreement.client_max_window_bits <= options.client_max_window_bits
    assert agreement.server_no_context_takeover or not options.server_no_context_takeover
    client, server = (deflate.make_deflate(agreement, options, is_server=is_server) for is_server in (False, True))
    for message in MESSAGES:
        for sender, receiver in ((client, server), (server, client)):
            deflated = sender.encode(message)
            if deflated is not None:
                inflation = receiver.begin()
                inflation.feed(deflated, True)
                assert inflation.read(len(message) + 1) == message


if __name__ == "__main__":
    fuzz(check, grammar, head_limits, http, extensions, handshake, deflate)
