"""Upgrades in which nothing of the application would run: no hook, no middleware, no ``on_open``.

They are opened straight from the request's head, without an environ and without a greenlet. What is decided, and how,
is the same as on the way through the application. Ordinary Python; straight.pxd types it for the compiler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenws.net.sender import Service
from greenws.net.transport import TLS
from greenws.protocol.handshake import check_request, upgrade_answer
from greenws.protocol.http import RequestHead
from greenws.server.admission import decide

if TYPE_CHECKING:
    from greenws.server.wsgi import WSGIServer


def open_straight(
    server: WSGIServer, service: Service, fd: int, head: RequestHead, early: bytes, address: Any, tls: TLS | None
) -> bool:
    """Opens a connection of ``service``, which owns the descriptor then. Does not block.

    Returns:
        False when that cannot be: nothing has been done, and the way through the application says why.
    """
    registry = service.registry
    remote = str(address[0]) if isinstance(address, tuple) else ""
    is_secure = server.environ["wsgi.url_scheme"] in ("https", "wss")
    conn = None
    try:
        asked = head.asked or check_request(head.method, head.version, head.get)
        conn, extensions = decide(service, asked, is_secure, head.path, remote)
        answer = upgrade_answer(asked, conn.subprotocol, extensions)
    except Exception:  # a refusal, or what is to be reported
        if conn is not None:
            conn.abandon()
        return False
    conn.accept()
    server.registries.add(registry)
    if registry.is_draining or server.is_stopping:
        conn.close(registry.close_code)
    conn.attach(fd, answer, early, tls)
    return True
