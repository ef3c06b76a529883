"""Where gevent's handler reads a request's body from: what came with the head first, then the peer's socket."""

from __future__ import annotations

import io
from typing import Any

from greenws.net.transport import TLS


class Source(io.RawIOBase):
    """The bytes of a request's body: first those read with the head, then the socket's."""

    def __init__(self, sock: Any, early: bytes) -> None:
        self._socket = sock
        self._early = early
        self.is_stopped = False

    def readable(self) -> bool:
        """As ``io.RawIOBase`` has it."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Blocks until there is something, if need be. Returns 0 at the end, or once it is stopped."""
        if self._early:
            size = min(len(buffer), len(self._early))
            buffer[:size] = self._early[:size]
            self._early = self._early[size:]
            return size
        return 0 if self.is_stopped else int(self._socket.recv_into(buffer))


class TLSSocket:
    """What gevent's handler needs of a socket, on top of a TLS filter."""

    def __init__(self, sock: Any, tls: TLS) -> None:
        self._socket = sock
        self._tls = tls
        self._plain = b""

    def sendall(self, data: bytes) -> None:
        """Blocks until all of it is written."""
        self._socket.sendall(self._tls.send(data))

    def recv_into(self, buffer: Any) -> int:
        """Blocks until there is something. Returns 0 at the end."""
        while not self._plain and not self._tls.is_closed:
            self._socket.sendall(self._tls.send(b""))  # the peer may wait for the end of its TLS handshake
            data = self._socket.recv(65536)
            if not data:
                return 0
            self._plain = self._tls.receive(data)
        size = min(len(buffer), len(self._plain))
        buffer[:size] = self._plain[:size]
        self._plain = self._plain[size:]
        return size

    def take_rest(self) -> bytes:
        """What has been decrypted and was not asked for."""
        plain, self._plain = self._plain, b""
        return plain

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()
