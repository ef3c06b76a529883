"""The Sec-WebSocket-Extensions header (RFC 6455 §9.1). What an extension does with its parameters is its own matter."""

from __future__ import annotations

import re
from typing import NamedTuple

from .grammar import TCHAR, split_list

# A value in quotes must be a token when it is unquoted, so no quote can hide a comma or a semicolon, and both can be
# split at. Just the empty one is let through: it is a bad value of a parameter, which declines an offer and no more.
_PARAMETER = re.compile(rf'([{TCHAR}]+)(?:[ \t]*=[ \t]*(?:([{TCHAR}]+)|"((?:\\?[{TCHAR}])*)"))?')
_NAME = re.compile(rf"[{TCHAR}]+")


class ExtensionOffer(NamedTuple):
    """One extension, offered or accepted.

    Attributes:
        name: such as "permessage-deflate".
        parameters: in the order sent; None is the value of one that has none.
    """

    name: str
    parameters: tuple[tuple[str, str | None], ...] = ()

    @property
    def has_duplicates(self) -> bool:
        """Whether a parameter comes twice, for which an offer is declined (RFC 7692 §7.1)."""
        return len({name for name, _ in self.parameters}) < len(self.parameters)


def parse_extensions(value: str) -> tuple[ExtensionOffer, ...]:
    """Reads the header's value; several lines are joined with a comma first.

    Raises:
        ValueError: the value breaks the grammar. The message does not repeat it.
    """
    offers = tuple(_parse_offer(element) for element in split_list(value))
    if not offers:
        raise ValueError("no extension in the header")
    return offers


def _parse_offer(text: str) -> ExtensionOffer:
    name, *parameters = (part.strip(" \t") for part in text.split(";"))
    if not _NAME.fullmatch(name):
        raise ValueError("not the name of an extension")
    return ExtensionOffer(name, tuple(map(_parse_parameter, parameters)))


def _parse_parameter(text: str) -> tuple[str, str | None]:
    match = _PARAMETER.fullmatch(text)
    if match is None:
        raise ValueError("not a parameter of an extension")
    name, token, quoted = match.groups()
    return name, token if quoted is None else quoted.replace("\\", "")
