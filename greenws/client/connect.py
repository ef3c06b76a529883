"""The client's opening handshake, on a socket that is connected already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gevent

from greenws.config import Compression, Config
from greenws.errors import HandshakeError, RequestError
from greenws.net.connection import Connection
from greenws.net.sender import Service
from greenws.protocol.deflate import NAME, Deflate, make_deflate, make_offer, read_answer
from greenws.protocol.handshake import Accepted, check_response, new_key, request_head
from greenws.protocol.http import ResponseHead, head_end, parse_response

MAX_BODY = 65536  # of a refusal, which is kept for the error


def upgrade(
    sock: Any,
    service: Service,
    *,
    host: str,
    target: str = "/",
    subprotocols: Iterable[str] = (),
    origin: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    compression: bool | Compression | None = None,
) -> Connection:
    """Upgrades a connected gevent socket to a WebSocket. Blocks the calling greenlet.

    Args:
        sock: owned by the connection when this returns, closed when it raises.
        service: settings and handlers, in the client's role.
        host: for the Host header, with the port unless it is the scheme's own.
        target: path and query.
        subprotocols: offered, best first.
        origin: the Origin header, which browsers send.
        headers: further headers.
        compression: whether to offer it, and how; None goes by the service's settings.

    Raises:
        HandshakeError: the server refused, with its status, headers and body, or broke RFC 6455 §4.
    """
    config: Config = service.config if compression is None else service.config.replace(compression=compression)
    options, offered = config.deflate, tuple(subprotocols)
    offer = None if options is None else make_offer(options)
    try:
        with gevent.Timeout(config.handshake_timeout, HandshakeError(0, "the server did not answer in time")):
            key = new_key()
            sock.sendall(
                request_head(
                    host, target, key, subprotocols=offered, origin=origin, extensions=offer, headers=tuple(headers)
                )
            )
            head, rest = _read_head(sock)
            if head.status != 101:
                raise HandshakeError(
                    head.status,
                    f"the server answered {head.status} {head.reason}",
                    head.headers,
                    _read_body(sock, head, rest),
                )
            accepted = check_response(head, key, offered, () if offer is None else (NAME,))
            deflate = _read_deflate(head, accepted, options)
    except BaseException:
        sock.close()
        raise
    conn = Connection(service, target.partition("?")[0], host, accepted.subprotocol, deflate=deflate)
    conn.attach(sock.detach(), b"", rest)
    return conn


def _read_deflate(head: ResponseHead, accepted: Accepted, options: Compression | None) -> Deflate | None:
    if options is None or not accepted.extensions:
        return None
    try:
        agreement = read_answer(accepted.extensions[0], options)
    except ValueError as error:
        raise HandshakeError(head.status, str(error), head.headers) from error
    return make_deflate(agreement, options, is_server=False)


def _read_head(sock: Any) -> tuple[ResponseHead, bytes]:
    data = b""
    while True:
        try:
            stop = head_end(data)
        except RequestError as error:
            raise HandshakeError(0, f"the server's answer cannot be read: {error}") from error
        if stop >= 0:
            return parse_response(data[:stop]), data[stop:]
        more = sock.recv(16384)
        if not more:
            raise HandshakeError(0, "the server closed the connection without an answer")
        data += more


def _read_body(sock: Any, head: ResponseHead, body: bytes) -> bytes:
    length = head.get("content-length")
    wanted = min(int(length), MAX_BODY) if length is not None and length.isdigit() else MAX_BODY
    while len(body) < wanted and (more := sock.recv(16384)):
        body += more
    return body[:wanted]
