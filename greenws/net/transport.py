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

    Attributes:
        is_ready: the TLS handshake is done.
        is_closed: the peer has said that nothing more comes (RFC 8446 §6.1).
    """

    __slots__ = ("_in", "_object", "_out", "is_closed", "is_ready")

    def __init__(self, context: ssl.SSLContext, server_side: bool = True, server_hostname: str | None = None) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_side, server_hostname)
        self.is_ready = False
        self.is_closed = False

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
            while chunk := self._object.read(CHUNK):
                found.append(chunk)
            self.is_closed = True
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
