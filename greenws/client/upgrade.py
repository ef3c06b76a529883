"""The client's opening handshake (RFC 6455 §4.1), on a wire that is there."""

from __future__ import annotations

from dataclasses import dataclass

from greenws.client.wire import Wire
from greenws.config import Compression
from greenws.errors import HandshakeError
from greenws.net.connection import Connection
from greenws.net.sender import Service
from greenws.protocol.deflate import NAME, Deflate, make_deflate, make_offer, read_answer
from greenws.protocol.handshake import Accepted, check_response, new_key, request_head
from greenws.protocol.http import HeadLimits, ResponseHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asks for.

    Attributes:
        host: for the Host header, with the port unless it is the scheme's own.
        target: path and query.
        subprotocols: offered, best first.
        origin: the Origin header, which browsers send.
        headers: further headers.
        compression: how it is offered, or None.
    """

    host: str
    target: str = "/"
    subprotocols: tuple[str, ...] = ()
    origin: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    compression: Compression | None = None


def upgrade(wire: Wire, service: Service, request: Request) -> Connection:
    """Upgrades a wire to a WebSocket. Blocks the calling greenlet; the caller sets the deadline.

    Args:
        wire: detached when this returns, closed when it raises.
        service: settings and handlers, in the client's role.
        request: what is asked for.

    Raises:
        HandshakeError: the server refused, with its status, headers and body, or broke RFC 6455 §4.
        OSError: the connection was lost.
    """
    options = request.compression
    offer = None if options is None else make_offer(options)
    try:
        key = new_key()
        wire.send(_encode(request, key, offer))
        limits = HeadLimits(service.config.max_line_size, service.config.max_headers, service.config.max_head_size)
        head = wire.read_head(limits)
        if head.status != 101:
            said = f"the server answered {head.status} {head.reason}"
            raise HandshakeError(head.status, said, head.headers, wire.read_body(head))
        accepted = check_response(head, key, request.subprotocols, () if offer is None else (NAME,))
        deflate = _read_deflate(head, accepted, options)
        conn = Connection(
            service, request.target.partition("?")[0], request.host, accepted.subprotocol, deflate=deflate
        )
    except BaseException:
        wire.close()
        raise
    conn.accept()
    fd, early = wire.detach()
    conn.attach(fd, b"", early, wire.tls)
    return conn


def _encode(request: Request, key: str, offer: str | None) -> bytes:
    return request_head(
        request.host,
        request.target,
        key,
        subprotocols=request.subprotocols,
        origin=request.origin,
        extensions=offer,
        headers=request.headers,
    )


def _read_deflate(head: ResponseHead, accepted: Accepted, options: Compression | None) -> Deflate | None:
    if options is None or not accepted.extensions:
        return None
    try:
        agreement = read_answer(accepted.extensions[0], options)
    except ValueError as error:
        raise HandshakeError(head.status, str(error), head.headers) from error
    return make_deflate(agreement, options, is_server=False)
