"""TLS of client connections: whom they trust, and sessions to resume."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from functools import cache

from greenws.client.wire import Wire
from greenws.errors import ConnectError
from greenws.net.transport import TLS

MAX_SESSIONS = 100  # kept, of a few KB each; the one that was used longest ago goes
ALPN = "http/1.1"  # RFC 7301 §6: a server that would speak HTTP/2 by itself is told what follows

Server = tuple[ssl.SSLContext, str, int]  # whom it trusts, host, port

_sessions: OrderedDict[Server, ssl.SSLSession] = OrderedDict()


@cache
def default_context() -> ssl.SSLContext:
    """Returns what is used when no context is given: the system's certificates, the host checked. Slow to make."""
    context = ssl.create_default_context()
    context.set_alpn_protocols([ALPN])
    return context


def start_tls(wire: Wire, server: Server, session: ssl.SSLSession | None = None) -> TLS:
    """Encrypts a wire to a server. Blocks the calling greenlet.

    Args:
        wire: to the server.
        server: who is expected there.
        session: to resume, as ``kept_session`` returned it.

    Returns:
        The filter, for ``keep_session``.

    Raises:
        ConnectError: the handshake fails, or the server chose another protocol than HTTP/1.1.
    """
    context, host, _ = server
    tls = TLS(context, server_side=False, server_hostname=host, session=session)
    wire.start_tls(tls)
    if tls.alpn not in (None, ALPN):
        raise ConnectError(f"the server wants to speak {tls.alpn}, which has no WebSockets of this kind")
    return tls


def kept_session(server: Server) -> ssl.SSLSession | None:
    """Returns what a connection to a server can resume, or None."""
    return _sessions.get(server)


def keep_session(tls: TLS, server: Server, offered: ssl.SSLSession | None) -> None:
    """Keeps a connection's session for the next to the same server. It has come with the server's first answer.

    To copy it out takes longer than resuming saves. So that of a connection which resumed one is left, and of those
    opened side by side only the first is kept.

    Args:
        tls: of the connection.
        server: at its other end.
        offered: what was kept when the connection began.
    """
    if tls.is_resumed or kept_session(server) is not offered:
        return
    session = tls.session
    if session is not None:
        _sessions[server] = session
        _sessions.move_to_end(server)
        if len(_sessions) > MAX_SESSIONS:
            _sessions.popitem(last=False)
