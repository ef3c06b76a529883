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

_sessions: OrderedDict[tuple[ssl.SSLContext, str, int], ssl.SSLSession] = OrderedDict()


@cache
def default_context() -> ssl.SSLContext:
    """Returns what is used when no context is given: the system's certificates, the host checked. Slow to make."""
    context = ssl.create_default_context()
    context.set_alpn_protocols([ALPN])
    return context


def start_tls(wire: Wire, context: ssl.SSLContext, host: str, port: int, *, resume: bool) -> TLS:
    """Encrypts a wire to a server. Blocks the calling greenlet.

    Returns:
        The filter, for ``keep_session``.

    Raises:
        ConnectError: the handshake fails, or the server chose another protocol than HTTP/1.1.
    """
    session = _sessions.get((context, host, port)) if resume else None
    tls = TLS(context, server_side=False, server_hostname=host, session=session)
    wire.start_tls(tls)
    if tls.alpn not in (None, ALPN):
        raise ConnectError(f"the server wants to speak {tls.alpn}, which has no WebSockets of this kind")
    return tls


def keep_session(tls: TLS, context: ssl.SSLContext, host: str, port: int) -> None:
    """Keeps a connection's session for the next to the same server. It has come with the server's first answer.

    That of a connection which resumed one is left: to copy it out takes longer than resuming saves.
    """
    if tls.is_resumed:
        return
    session = tls.session
    if session is not None:
        _sessions[context, host, port] = session
        _sessions.move_to_end((context, host, port))
        if len(_sessions) > MAX_SESSIONS:
            _sessions.popitem(last=False)
