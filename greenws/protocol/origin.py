"""Who may connect: the Origin that a browser sends, against the host asked for or a list (RFC 6454, RFC 6455 §10.2).

A page of any site may open a WebSocket to any server, with the user's cookies. The same-origin policy does not stop it;
only this check does.
"""

from __future__ import annotations

import re

from .grammar import HOST, HOST_NAME

# RFC 6454 §6.2. Nothing that a browser would not send: no user, no path, no empty or padded port, no other characters.
_ORIGIN = re.compile(rf"([A-Za-z][0-9A-Za-z+.-]*)://({HOST_NAME})(?::([1-9][0-9]{{0,4}}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}

_Origin = tuple[str, str, int | None]


def is_origin_allowed(
    origin: str | None, host: str, secure: bool, allowed: str | tuple[str, ...] | None = None
) -> bool:
    """Whether a request may come from this origin.

    Args:
        origin: the Origin header. None is allowed: then it is not a browser, which has no one else's cookies to abuse.
        host: the Host header.
        secure: whether the connection is encrypted, so that the origin of the host itself is an ``https`` one. If it is
            not, that origin may be ``https`` all the same: a proxy in front may speak TLS and say nothing of it here.
        allowed: None for the origin of ``host`` alone, "*" for all, else exact origins: ``scheme://host[:port]``.
            They are compared by scheme, host and port, not by their text. ``null`` is never one of them.
    """
    if origin is None or allowed == "*":
        return True
    wanted = _parse_origin(origin)
    if wanted is None:
        return False
    if allowed is None:
        return wanted == _origin_of_host(host, secure or wanted[0] == "https")
    return wanted in map(_parse_origin, (allowed,) if isinstance(allowed, str) else allowed)


def _parse_origin(text: str) -> _Origin | None:
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return None
    scheme, host, port = match.groups()
    return _fold(scheme, host, port)


def _origin_of_host(host: str, secure: bool) -> _Origin | None:
    match = HOST.fullmatch(host)
    return _fold("https" if secure else "http", match[1], match[2]) if match else None


def _fold(scheme: str, host: str, port: str | None) -> _Origin | None:
    scheme = scheme.lower()
    number = int(port) if port else _DEFAULT_PORTS.get(scheme)
    return None if number is not None and number > 65535 else (scheme, host.lower(), number)
