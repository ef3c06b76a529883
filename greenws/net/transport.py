"""TLS as a filter between a descriptor's bytes and ours, without I/O of its own.

Python's ssl module does the work on memory (``ssl.MemoryBIO``), so an encrypted connection is parked like a plain one.
"""

from __future__ import annotations

import ssl

CHUNK = 65536


class TLS:
    """One side of a TLS connection.

    Args:
        context: certificates and rules.
        server_side: whether we are the server.
        server_hostname: whom a client expects; checked against the certificate.
        session: of an earlier connection of this context to the same server, which shortens the handshake.

    Attributes:
        is_ready: the TLS handshake is done.
        is_closed: the peer has said that nothing more comes (RFC 8446 §6.1).
    """

    __slots__ = ("_in", "_object", "_out", "is_closed", "is_ready")

    def __init__(
        self,
        context: ssl.SSLContext,
        server_side: bool = True,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_side, server_hostname, session)
        self.is_ready = False
        self.is_closed = False

    @property
    def alpn(self) -> str | None:
        """The protocol that both sides agreed on (RFC 7301), or None."""
        return self._object.selected_alpn_protocol()

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a later connection to the same server can resume; in TLS 1.3 it comes some time after the handshake."""
        return self._object.session

    @property
    def is_resumed(self) -> bool:
        """Whether the handshake was shortened by an earlier session."""
        return bool(self._object.session_reused)

    def receive(self, data: bytes) -> bytes:
        """Takes bytes from the descriptor and returns what they say. ``send`` may then have an answer for the peer.

        Raises:
            ssl.SSLError: the bytes are not acceptable TLS. ``send(b"")`` returns the alert that says so.
        """
        self._in.write(data)
        found = []
        try:
            if not self.is_ready:
                self._object.do_handshake()
                self.is_ready = True
            while self._in.pending or self._object.pending():  # to ask for more costs an exception
                if not (chunk := self._object.read(CHUNK)):
                    self.is_closed = True
                    break
                found.append(chunk)
        except ssl.SSLWantReadError:
            pass  # the rest is still under way
        except ssl.SSLZeroReturnError:
            self.is_closed = True
        return b"".join(found)

    def send(self, data: bytes) -> bytes:
        """Encrypts ``data``, which may be empty, and returns all bytes that wait to be written to the descriptor."""
        if data:
            self._object.write(data)
        return self._out.read()

    def end(self) -> bytes:
        """Returns what tells the peer that nothing more comes (RFC 8446 §6.1), behind all that waits."""
        try:
            self._object.unwrap()
        except ssl.SSLError:
            pass  # its own word is still under way
        return self._out.read()


class Nested:
    """TLS to a server inside TLS to a proxy: one filter made of two."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, outer: TLS | Nested, inner: TLS) -> None:
        self._outer = outer
        self._inner = inner

    @property
    def is_ready(self) -> bool:
        """Both handshakes are done."""
        return self._inner.is_ready

    @property
    def is_closed(self) -> bool:
        """The server, or the proxy, has said that nothing more comes."""
        return self._inner.is_closed or self._outer.is_closed

    def receive(self, data: bytes) -> bytes:
        """As that of ``TLS``."""
        plain = self._outer.receive(data) if data else b""
        return self._inner.receive(plain)

    def send(self, data: bytes) -> bytes:
        """As that of ``TLS``."""
        return self._outer.send(self._inner.send(data))
