"""Decides about an upgrade request: whether it is a handshake, where it comes from, and whether there is room.

Ordinary Python; admission.pxd types it for the compiler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from greenws.config import Compression
from greenws.errors import HandshakeError
from greenws.net.connection import Connection
from greenws.net.sender import Service
from greenws.protocol.deflate import Deflate, choose_offer, make_deflate
from greenws.protocol.handshake import CHECKED, UpgradeRequest, check_request, choose_subprotocol, upgrade_headers
from greenws.protocol.http import environ_key
from greenws.protocol.origin import is_origin_allowed
from greenws.server.handover import KEY, HandOver, claim
from greenws.server.upgrade import Upgrade

RETRY_AFTER = "5"  # seconds, for a server that is full or going away
_READ = tuple((environ_key(name), name) for name in CHECKED)


class Admission(NamedTuple):
    """An upgrade request that may be accepted.

    Attributes:
        connection: not open yet. Who does not open it must ``abandon`` it.
        headers: of the 101.
        hand_over: gets the connection, as its ``connection``, when the 101 is about to leave.
    """

    connection: Connection
    headers: list[tuple[str, str]]
    hand_over: HandOver


def admit(service: Service, environ: Mapping[str, Any], subprotocols: Iterable[str] | None = None) -> Admission:
    """Checks an upgrade request and makes the connection for it. Does not block.

    Args:
        service: what the connection belongs to: its settings and its registry decide.
        environ: of the request.
        subprotocols: served for this request, best first; the service's when None.

    Raises:
        HandshakeError: the request is refused.
        UnsupportedServer: the server cannot hand the connection over.
    """
    asked = _recall(environ) or _check(environ)
    hand_over = claim(environ)
    is_secure = environ["wsgi.url_scheme"] in ("https", "wss")
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    conn, extensions = decide(service, asked, is_secure, path, environ.get("REMOTE_ADDR"), subprotocols)
    # As Admission(…) does, which is a function of Python's.
    return tuple.__new__(Admission, (conn, upgrade_headers(asked, conn.subprotocol, extensions), hand_over))


def _recall(environ: Mapping[str, Any]) -> UpgradeRequest | None:
    """Returns what is known of the request's handshake, if what it says is in the environ as it came; else None."""
    upgrade = environ.get(KEY)
    if not isinstance(upgrade, Upgrade):
        return None
    head = upgrade.head
    if environ["REQUEST_METHOD"] is not head.method or environ["SERVER_PROTOCOL"] != "HTTP/1.1":
        return None
    values, read = head._values, environ.get
    for key, name in _READ:
        if read(key) is not values.get(name):
            return None
    return head.asked  # type: ignore[no-any-return]


def _check(environ: Mapping[str, Any]) -> UpgradeRequest:
    def get(name: str) -> str | None:
        return environ.get(environ_key(name))

    return check_request(environ["REQUEST_METHOD"], environ["SERVER_PROTOCOL"], get)


def decide(
    service: Service,
    asked: UpgradeRequest,
    is_secure: bool,
    path: str,
    address: str | None,
    subprotocols: Iterable[str] | None = None,
) -> tuple[Connection, str | None]:
    """Decides about a valid handshake. Returns the connection, not open yet, and the extensions agreed on, as a header.

    Raises:
        HandshakeError: the request is refused.
    """
    config, registry = service.config, service.registry
    addresses = registry.addresses
    if wait := addresses.wait(address):
        limit = "max_address_connections" if addresses.is_full(address) else "max_address_rate"
        text = "too many connections from this address"
        raise HandshakeError(429, text, [("Retry-After", str(wait))], limit=limit)
    if not is_origin_allowed(asked.origin, asked.host, is_secure, config.origins):
        raise HandshakeError(403, "this origin may not connect", limit="origins")
    if registry.is_refusing:
        full = "max_connections" if registry.is_full else None
        raise HandshakeError(503, "no further connections at the moment", [("Retry-After", RETRY_AFTER)], limit=full)
    subprotocol = choose_subprotocol(asked.subprotocols, config.subprotocols if subprotocols is None else subprotocols)
    deflate, extensions = _agree(asked, config.deflate) if config.compression else (None, None)
    return Connection(service, path, address, subprotocol, deflate=deflate), extensions


def _agree(asked: UpgradeRequest, options: Compression | None) -> tuple[Deflate | None, str | None]:
    """Returns how a connection compresses and the header that says so; twice None if the peer offers nothing we can."""
    chosen = choose_offer(asked.extensions, options) if options is not None else None
    if options is None or chosen is None:
        return None, None
    agreement, header = chosen
    return make_deflate(agreement, options, is_server=True), header
