"""The upgrade: any header values give a valid request or one refusal with 400, 405, 426 or 505.

A request that is accepted has one key of 16 bytes; its origin is allowed or not, and never raises; every subprotocol
offered can be agreed to; compression is declined, or agreed on within our options and in words that a client reads; and
both the refusal and the 101 can be written. The input is the values of NAMES, each up to a zero byte; an empty one is
missing.
"""

from __future__ import annotations

import base64

from fuzz.target import fuzz, timed
from greenws.config import Compression
from greenws.errors import HandshakeError
from greenws.protocol import deflate, extensions, grammar, handshake, http, origin

NAMES = (
    *("Upgrade", "Connection", "Host", "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Origin"),
    *("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Content-Length", "Transfer-Encoding"),
)
OPTIONS = (
    Compression(),
    Compression(server_no_context_takeover=False, client_no_context_takeover=False),
    Compression(server_max_window_bits=9, client_max_window_bits=9),
)


def check(data: bytes) -> None:
    """The invariant."""
    values = data.decode("latin-1").split("\0")
    headers = {name.lower(): value for name, value in zip(NAMES, values, strict=False) if value}
    method = "GET" if len(values) <= len(NAMES) else values[len(NAMES)]
    try:
        request = timed(handshake.check_request, method, "1.1", lambda name: headers.get(name.lower()))
    except HandshakeError as error:
        assert error.status in (400, 405, 426, 505)
        assert http.error_response(error).endswith(error.message.encode() + b"\n")
        return
    assert len(base64.b64decode(request.key, validate=True)) == 16
    assert not any(offer.has_duplicates for offer in request.extensions)
    for allowed in (None, "*", ("https://app.example",)):
        is_allowed = timed(origin.is_origin_allowed, request.origin, request.host, True, allowed)
        assert is_allowed or request.origin is not None
    assert handshake.choose_subprotocol(request.subprotocols, []) is None
    for subprotocol in (None, *request.subprotocols):
        assert subprotocol is None or handshake.choose_subprotocol(request.subprotocols, [subprotocol]) == subprotocol
        answer = http.response_head(101, "", handshake.upgrade_headers(request, subprotocol))
        assert http.parse_response(answer).get("Sec-WebSocket-Protocol") == subprotocol
    for options in OPTIONS:
        agree(request, options)


def agree(request: handshake.UpgradeRequest, options: Compression) -> None:
    """What a server with these options answers to the request's extensions."""
    chosen = timed(deflate.choose_offer, request.extensions, options)
    if chosen is None:
        return
    agreement, header = chosen
    assert agreement.server_max_window_bits <= options.server_max_window_bits
    assert agreement.client_max_window_bits <= options.client_max_window_bits or agreement.client_no_context_takeover
    assert agreement.server_no_context_takeover or not options.server_no_context_takeover
    (answer,) = extensions.parse_extensions(header)
    offered = Compression(server_no_context_takeover=False, client_no_context_takeover=False)
    assert deflate.read_answer(answer, offered) == agreement


if __name__ == "__main__":
    fuzz(check, grammar, extensions, handshake, origin, deflate)
