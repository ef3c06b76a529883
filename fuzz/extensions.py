"""Sec-WebSocket-Extensions: any text gives a list of extensions or a ValueError.

What is read is made of tokens, and when it is written down again it is read as the same.
"""

from __future__ import annotations

from fuzz.target import fuzz, timed
from greenws.protocol import extensions, grammar
from greenws.protocol.extensions import ExtensionOffer


def write(offer: ExtensionOffer) -> str:
    """The offer as a header has it, with every value in quotes."""
    parameters = (name if value is None else f'{name}="{value}"' for name, value in offer.parameters)
    return "; ".join((offer.name, *parameters))


def check(data: bytes) -> None:
    """The invariant."""
    text = data.decode("latin-1")
    try:
        offers = timed(extensions.parse_extensions, text)
    except ValueError as error:
        assert len(data) < 8 or text not in str(error), "the peer's bytes have no place in a log"
        return
    assert offers
    for offer in offers:
        assert grammar.is_token(offer.name)
        assert all(grammar.is_token(name) for name, _ in offer.parameters)
        assert all(not value or grammar.is_token(value) for _, value in offer.parameters)
    assert extensions.parse_extensions(", ".join(map(write, offers))) == offers


if __name__ == "__main__":
    fuzz(check, grammar, extensions)
