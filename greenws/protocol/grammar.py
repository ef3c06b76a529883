"""The few productions of RFC 9110 and RFC 3986 that heads, handshakes, origins and extensions have in common.

Ordinary Python; grammar.pxd types it for the compiler.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

# RFC 9110 §5.6.2. Explicit ranges, never \w: that would take letters of every script.
TCHAR = r"!#$%&'*+.^_`|~0-9A-Za-z-"
TOKEN = re.compile(rf"[{TCHAR}]+")

# RFC 9110 §7.2, without what RFC 3986 §3.2.2 allows and no host name has: percent-encoding, sub-delims, zone ids.
# The comma is one of them, so that two Host lines joined to one value never pass for one host.
HOST_NAME = r"[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\]"
HOST = re.compile(rf"({HOST_NAME})(?::([0-9]{{0,5}}))?")

# Names that handshakes have, which need not be looked at.
_OURS = frozenset(
    (
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Vary",
        "Set-Cookie",
    )
)

# RFC 9110 §5.5: a value has no control character but the tab. CR and LF would begin a header of their own.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def is_token(text: str) -> bool:
    """Whether the text is one token (RFC 9110 §5.6.2)."""
    return TOKEN.fullmatch(text) is not None


@lru_cache(128)  # asked twice of each handshake, and most clients ask for the same few hosts
def is_host(text: str) -> bool:
    """Whether the text is a host with or without a port, as in a Host header (RFC 9110 §7.2)."""
    match = HOST.fullmatch(text)
    return match is not None and int(match[2] or 0) <= 65535


def split_list(value: str) -> list[str]:
    """The elements of a comma-separated value; empty ones do not count (RFC 9110 §5.6.1.2)."""
    return [element for part in value.split(",") if (element := part.strip(" \t"))]


def has_token(value: str | None, token: str) -> bool:
    """Whether a comma-separated value, or None, holds the (lower-case) token in any case."""
    if value is None:
        return False
    return value == token or (value := value.lower()) == token or token in split_list(value)


def encode_head(start_line: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Puts a start line and headers together to a head, blank line included.

    Raises:
        ValueError: for a name that is no token, or a control character or one beyond latin-1 elsewhere. So nobody can
            smuggle in a header or a second head.
    """
    lines = [start_line]
    for name, value in headers:
        if name not in _OURS and not is_token(name):
            raise ValueError(f"{name!r} is not a header name")
        lines.append(f"{name}: {value}")
    text = "".join(lines)
    if not (text.isascii() and text.isprintable()) and _CONTROL.search(text):
        raise ValueError(f"a control character in {next(filter(_CONTROL.search, lines))!r}")
    lines += ("", "")
    return "\r\n".join(lines).encode("latin-1")
