"""The hand-over on servers that know nothing of us: gunicorn's gevent workers and ``gevent.pywsgi.WSGIServer``.

Such a server writes the response head itself, behind every middleware, and then reads the next request. So while an
upgrade is being decided an object of ours stands in for the kernel's socket inside the server's. When the server writes
a 101 the descriptor is taken away with that head, and the server sees a peer that has closed: it ends the request
without an error, writes its access log, and keeps nothing. Any other head goes out as it is, and all is as before.
"""

from __future__ import annotations

import socket as kernel
from collections.abc import Callable, Mapping
from typing import Any

from gevent import get_hub, getcurrent, socket

from greenws.errors import ConnectionClosed
from greenws.net.connection import Connection
from greenws.server.lifetime import LIFETIME

SWITCHING = b"101"
READ_SIZE = 65536

_FRAMING = (b"content-length:", b"transfer-encoding:")  # servers add them; a 101 must not have them (RFC 9110 §8.6)


class StockUpgrade:
    """The hand-over of one request's connection, and what its server takes for the kernel's socket meanwhile.

    Args:
        sock: the server's socket, of gevent.
        read: returns what the server has read beyond the request, then reads from ``sock``.

    Attributes:
        connection: set by the application: who gets the descriptor when the server writes a 101.
    """

    __slots__ = ("_head", "_kernel", "_read", "_sock", "connection")

    def __init__(self, sock: Any, read: Callable[[], bytes]) -> None:
        self.connection: Connection | None = None
        self._sock: Any = sock
        self._read: Callable[[], bytes] | None = read
        self._kernel: Any = sock._sock
        self._head = b""
        sock._sock = self

    # ---- what gevent's socket calls

    def __bool__(self) -> bool:
        """Whether there is something to close, as gevent asks."""
        return self._sock is not None

    def __getattr__(self, name: str) -> Any:
        """Everything else is the kernel's."""
        return getattr(self._kernel, name)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Nothing more: a request that is being decided has no body, and behind a 101 no request follows."""
        return b""

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        """As ``recv``."""
        return 0

    def send(self, data: Any, flags: int = 0) -> int:
        """Collects the response head and does what it says. Behind a 101 the server's bytes are dropped."""
        if self._sock is not None:
            self._head += bytes(data)
            if b"\r\n\r\n" in self._head:
                self._decide()
        return len(data)

    def close(self) -> None:
        """The server gives up without an answer."""
        if self._sock is not None:
            self._sock = self._read = None
            self._abandon()
            self._kernel.close()

    # ---- the decision

    def _decide(self) -> None:
        status = self._head[9:12]
        if status == SWITCHING and self.connection is not None:
            self._hand_over(self.connection)
        elif status.startswith(b"1") and status != SWITCHING:  # informational: the answer is still to come
            head, self._head = self._head, b""
            self._sock._sock = self._kernel
            try:
                self._sock.sendall(head)
            finally:
                self._sock._sock = self
        else:
            sock, self._sock, self._read = self._sock, None, None
            self._abandon()
            sock._sock = self._kernel
            sock.sendall(self._head)

    def _hand_over(self, connection: Connection) -> None:
        sock, read = self._sock, self._read
        assert read is not None
        if self._kernel.family in (kernel.AF_INET, kernel.AF_INET6):
            self._kernel.setsockopt(kernel.IPPROTO_TCP, kernel.TCP_NODELAY, 1)
        fd = sock.detach()  # the server's socket is closed now, but for our end of stream
        sock._sock = self
        self._sock = self._read = self.connection = None
        head, _, _ = self._head.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(_FRAMING)]
        early = b"".join(iter(read, b""))
        registry = connection.service.registry
        LIFETIME.watch(registry, connection.service.config.drain_timeout)
        if registry.is_draining:
            connection.close(registry.close_code)
        try:
            connection.attach(fd, b"\r\n".join([*lines, b"", b""]), early)
        except ConnectionClosed:
            pass  # it was closed while its upgrade was under way

    def _abandon(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abandon()


def find_upgrade(environ: Mapping[str, Any]) -> StockUpgrade | None:
    """Returns the hand-over for a request of a server that is known to work; None for any other."""
    body = environ.get("wsgi.input")
    unreader = getattr(getattr(body, "reader", None), "unreader", None)  # gunicorn's own parser
    read: Callable[[], bytes]
    if unreader is not None:
        sock, read = getattr(unreader, "sock", None), unreader.read
    else:  # gevent.pywsgi, in gunicorn too; for an upgrade request the input is the reader itself
        reader: Any = getattr(body, "rfile", body)
        sock, read = getattr(getattr(reader, "raw", None), "_sock", None), lambda: reader.read1(READ_SIZE)
    # Exactly this class: an encrypted socket derives from it. A greenlet of the hub: in a thread no loop would run.
    if type(sock) is not socket.socket or getcurrent().parent is not get_hub():
        return None
    return StockUpgrade(sock, read)
