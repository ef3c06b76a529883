"""The opening handshake, server's and client's side (RFC 6455 §4).

It asks for the headers by a function from name to value, with several lines joined by commas, so that it serves behind
our own parser and behind a WSGI server. Ordinary Python; handshake.pxd types it for the compiler.
"""

from __future__ import annotations

import base64
import re
import secrets
from binascii import b2a_base64
from collections.abc import Callable, Collection, Iterable
from hashlib import sha1
from typing import NamedTuple

from greenws.errors import HandshakeError

from .extensions import ExtensionOffer as ExtensionOffer
from .extensions import parse_extensions as parse_extensions
from .grammar import encode_head, has_token, is_host, is_token, split_list
from .http import ResponseHead
from .origin import is_origin_allowed as is_origin_allowed

GetHeader = Callable[[str], str | None]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # §1.3
_UPGRADE = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
_VERSION = ("Sec-WebSocket-Version", "13")
# §4.1 item 7: 16 bytes in base64 are 22 characters and "=="; the last carries two bits, the others of its six are 0.
_KEY = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")
_VERSION_NUMBER = re.compile(r"0|[1-9][0-9]{0,2}")  # §11.3.5, without the leading zeros that its grammar rules out
_NOT_ONE_ORIGIN = re.compile(r"[\x00-\x20,\x7f]")
_TARGET = re.compile(r"/[\x21\x22\x24-\x7e]*")  # no fragment: §3
# A browser sends one extension with one or two parameters, and a handful of subprotocols.
_MAX_OFFERS, _MAX_PARAMETERS = 32, 128
# What request_head sets itself, and what would announce a body, which a handshake has not.
_RESERVED = frozenset(("host", "upgrade", "connection", "origin", "content-length", "transfer-encoding"))


class UpgradeRequest(NamedTuple):
    """What a client asks for in a valid handshake.

    Attributes:
        key: the Sec-WebSocket-Key, which ``accept_key`` answers.
        subprotocols: those offered, the client's favourite first.
        extensions: those offered, the client's favourite first.
        origin: the Origin header, not yet compared with anything; None when it is not a browser.
        host: the Host header.
    """

    key: str
    subprotocols: tuple[str, ...]
    extensions: tuple[ExtensionOffer, ...]
    origin: str | None
    host: str


# The headers that make a handshake valid or not, and all that ``check_request`` reads.
CHECKED = (
    "upgrade",
    "connection",
    "host",
    "content-length",
    "transfer-encoding",
    "sec-websocket-version",
    "sec-websocket-key",
    "origin",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
)


def wants_websocket(get: GetHeader) -> bool:
    """Whether a request asks for an upgrade to WebSocket, properly or not."""
    return has_token(get("Upgrade"), "websocket")


def check_request(method: str, version: str, get: GetHeader) -> UpgradeRequest:
    """Checks a client's handshake (RFC 6455 §4.2.1). Whether its origin is allowed is another question.

    Args:
        method: the request's method.
        version: "1.1" or "HTTP/1.1".
        get: returns the value of a header or None, whatever the case of its name.

    Raises:
        HandshakeError: with the status and headers of the answer.
    """
    if method != "GET":  # §4.1 item 2; RFC 9110 §15.5.6
        raise HandshakeError(405, "a WebSocket handshake is a GET request", [("Allow", "GET")])
    if version.removeprefix("HTTP/") != "1.1":  # §4.2.1 item 1
        raise HandshakeError(505, "a WebSocket handshake needs HTTP/1.1")
    if not wants_websocket(get):  # §4.2.1 item 3; RFC 9110 §15.5.22
        raise HandshakeError(426, "this address speaks WebSocket only", _UPGRADE)
    if not has_token(get("Connection"), "upgrade"):  # §4.2.1 item 4
        raise HandshakeError(400, "the Connection header has no upgrade token")
    host = get("Host")
    if host is None or not is_host(host):  # §4.2.1 item 2
        raise HandshakeError(400, "a WebSocket handshake needs one valid Host header")
    # No RFC gives a handshake's body a meaning, so its bytes could be taken for frames.
    if get("Content-Length") not in (None, "", "0") or get("Transfer-Encoding"):
        raise HandshakeError(400, "a WebSocket handshake has no body")
    _check_version(get("Sec-WebSocket-Version"))
    key = get("Sec-WebSocket-Key")
    if key is None or not _KEY.fullmatch(key):  # §4.2.1 item 5; two keys are joined, so they fail too
        raise HandshakeError(400, "Sec-WebSocket-Key is not one key of 16 bytes in base64")
    origin = get("Origin")
    if origin is not None and _NOT_ONE_ORIGIN.search(origin):  # RFC 6454 §7.3: a browser sends one
        raise HandshakeError(400, "Origin is not one origin")
    subprotocols = _read_subprotocols(get("Sec-WebSocket-Protocol"))
    return UpgradeRequest(key, subprotocols, _read_extensions(get("Sec-WebSocket-Extensions")), origin, host)


def _check_version(value: str | None) -> None:
    if value == "13":
        return
    if value is not None and _VERSION_NUMBER.fullmatch(value):  # §4.2.2 item 4, §4.4
        raise HandshakeError(426, "only version 13 of WebSocket is spoken here", [*_UPGRADE, _VERSION])
    raise HandshakeError(400, "Sec-WebSocket-Version is not one version", [_VERSION])  # §4.2.1 item 6


def _read_subprotocols(value: str | None) -> tuple[str, ...]:
    if value is None or len(offered := split_list(value)) > _MAX_OFFERS:
        return ()
    if not offered or not _are_different_tokens(offered):
        raise HandshakeError(400, "Sec-WebSocket-Protocol is not a list of different tokens")
    return tuple(offered)


def _are_different_tokens(subprotocols: Collection[str]) -> bool:  # §4.1 item 10
    return len(set(subprotocols)) == len(subprotocols) and all(map(is_token, subprotocols))


def _read_extensions(value: str | None) -> tuple[ExtensionOffer, ...]:
    if value is None or value.count(",") >= _MAX_OFFERS or value.count(";") > _MAX_PARAMETERS:
        return ()
    try:
        offers = parse_extensions(value)
    except ValueError as error:  # §9.1
        raise HandshakeError(400, "Sec-WebSocket-Extensions is not a list of extensions") from error
    return tuple(offer for offer in offers if not offer.has_duplicates)


def accept_key(key: str) -> str:
    """Returns the Sec-WebSocket-Accept that answers a key (RFC 6455 §4.2.2 item 5.4). SHA-1 protects nothing here."""
    return _accept_key(key).decode("ascii")


def _accept_key(key: str) -> bytes:
    return b2a_base64(sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest(), newline=False)


def choose_subprotocol(offered: Iterable[str], supported: Iterable[str]) -> str | None:
    """Returns the first of the server's subprotocols that the client offers, or None (RFC 6455 §4.2.2 item 5)."""
    offers = {name: name for name in offered}
    for name in supported:
        if name in offers:
            return offers[name]  # not the server's, which may be of a subclass of str, such as an enumeration
    return None


def upgrade_headers(
    request: UpgradeRequest, subprotocol: str | None = None, extensions: str | None = None
) -> list[tuple[str, str]]:
    """Returns the headers of the 101 response (RFC 6455 §4.2.2 item 5).

    Raises:
        ValueError: the client did not offer this subprotocol, so that it would have to fail the connection.
    """
    headers = [*_UPGRADE, ("Sec-WebSocket-Accept", accept_key(request.key))]
    if subprotocol is not None:
        if subprotocol not in request.subprotocols:
            raise ValueError(f"the client did not offer the subprotocol {subprotocol!r}")
        headers.append(("Sec-WebSocket-Protocol", subprotocol))
    if extensions is not None:
        headers.append(("Sec-WebSocket-Extensions", extensions))
    return headers


_ANSWER = encode_head("HTTP/1.1 101 Switching Protocols", _UPGRADE).removesuffix(b"\r\n") + b"Sec-WebSocket-Accept: "


def upgrade_answer(request: UpgradeRequest, subprotocol: str | None = None, extensions: str | None = None) -> bytes:
    """Returns the 101 response with these headers and no others, blank line included."""
    if subprotocol is None and extensions is None:
        return _ANSWER + _accept_key(request.key) + b"\r\n\r\n"
    return encode_head("HTTP/1.1 101 Switching Protocols", upgrade_headers(request, subprotocol, extensions))


class Accepted(NamedTuple):
    """What a server agreed to: one of the subprotocols offered or None, and some of the extensions."""

    subprotocol: str | None
    extensions: tuple[ExtensionOffer, ...]


def new_key() -> str:
    """Returns a fresh random Sec-WebSocket-Key (RFC 6455 §4.1 item 7)."""
    return base64.b64encode(secrets.token_bytes(16)).decode("ascii")


def request_head(
    host: str,
    target: str,
    key: str,
    *,
    subprotocols: Collection[str] = (),
    origin: str | None = None,
    extensions: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Returns a client's handshake (RFC 6455 §4.1), blank line included.

    Args:
        host: with the port when it is not the default one.
        target: path and query, percent-encoded.
        key: a ``new_key()``.
        subprotocols: to offer, the favourite first.
        origin: only for clients that speak for a web page.
        extensions: the value of Sec-WebSocket-Extensions.
        headers: others to send, such as Authorization or Cookie.

    Raises:
        ValueError: a value would break the request, or a header is one that this function sets.
    """
    if not is_host(host):
        raise ValueError(f"{host!r} is not a host")
    if not _TARGET.fullmatch(target):
        raise ValueError(f"{target!r} is not an absolute path, percent-encoded and without a fragment")
    if not _are_different_tokens(subprotocols):
        raise ValueError(f"subprotocols must be different tokens, not {subprotocols!r}")
    lines = [("Host", host), *_UPGRADE, ("Sec-WebSocket-Key", key), _VERSION]
    if origin is not None:
        lines.append(("Origin", origin))
    if subprotocols:
        lines.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    if extensions is not None:
        parse_extensions(extensions)
        lines.append(("Sec-WebSocket-Extensions", extensions))
    for name, value in headers:
        if name.lower() in _RESERVED or name.lower().startswith("sec-websocket-"):
            raise ValueError(f"the handshake sets {name} itself")
        lines.append((name, value))
    return encode_head(f"GET {target} HTTP/1.1", lines)


def check_response(
    head: ResponseHead, key: str, subprotocols: Collection[str] = (), extensions: Collection[str] = ()
) -> Accepted:
    """Checks the answer to a handshake with this key, these subprotocols and extensions, by name (RFC 6455 §4.1).

    Raises:
        HandshakeError: with the response's status and headers. The connection must be closed.
    """

    def refuse(why: str) -> HandshakeError:
        return HandshakeError(head.status, why, head.headers)

    if head.status != 101 or head.version != "1.1":  # item 1
        raise refuse(f"the server answered HTTP/{head.version} {head.status} instead of upgrading")
    if head.get("Content-Length") not in (None, "0") or head.get("Transfer-Encoding"):  # RFC 9110 §8.6, RFC 9112 §6.1
        raise refuse("the server's 101 announces a body, and there is none behind it but frames")
    upgrade, accept = head.get("Upgrade"), head.get("Sec-WebSocket-Accept")
    if upgrade is None or upgrade.lower() != "websocket":  # item 2; the server must name this one alone
        raise refuse("the server does not upgrade to websocket")
    if not has_token(head.get("Connection"), "upgrade"):  # item 3
        raise refuse("the server's Connection header has no upgrade token")
    if accept != accept_key(key):  # item 4; two are joined, so they fail too
        raise refuse("the server's Sec-WebSocket-Accept does not answer our key")
    value = head.get("Sec-WebSocket-Extensions")
    try:
        accepted = () if value is None else parse_extensions(value)
    except ValueError as error:
        raise refuse("the server's Sec-WebSocket-Extensions is not a list of extensions") from error
    names = [extension.name for extension in accepted]
    if not set(names) <= set(extensions) or len(set(names)) < len(names):  # item 5
        raise refuse("the server uses an extension that was not offered, or one twice")
    subprotocol = head.get("Sec-WebSocket-Protocol")
    if subprotocol is not None and subprotocol not in subprotocols:  # item 6
        raise refuse("the server chose a subprotocol that was not offered")
    return Accepted(subprotocol, accepted)
