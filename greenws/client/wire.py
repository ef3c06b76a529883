"""A client's socket between connecting and the 101: plain or encrypted, read head by head, then handed over."""

from __future__ import annotations

import ssl

import gevent
from gevent import socket

from greenws.errors import ConnectError, HandshakeError, RequestError
from greenws.net.transport import TLS, Nested
from greenws.protocol.http import HeadLimits, ResponseHead, head_end, join_chunks, parse_response

MAX_BODY = 65536  # bytes of a refusal that are kept for the error
BODY_TIMEOUT = 2.0  # seconds for the body of a refusal: its status is known, and more than that helps nobody
MAX_INTERIM = 10  # 1xx responses before the real one (RFC 9110 §15.2)
READ_SIZE = 16384
LAST_CHUNK = b"0\r\n\r\n"  # without trailers, which nobody sends behind a refusal


class Wire:
    """Bytes to and from a server. Blocks the calling greenlet; the caller sets the deadline, and closes.

    Args:
        sock: a connected gevent socket.

    Attributes:
        tls: the filter that encrypts, or None.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._early = b""  # received, not yet asked for
        self.tls: TLS | Nested | None = None

    def start_tls(self, tls: TLS) -> None:
        """Does the TLS handshake, inside that with a proxy if there is one.

        Its last flight leaves with what is sent next: one packet less, and the server wakes once, not twice.

        Raises:
            ConnectError: it fails; the cause says why, such as a certificate that is not trusted.
        """
        self.tls = tls if self.tls is None else Nested(self.tls, tls)
        try:
            data, self._early = self._early, b""
            while True:
                self._early += self.tls.receive(data)
                if self.tls.is_ready:
                    return
                self._socket.sendall(self.tls.send(b""))
                if not (data := self._socket.recv(READ_SIZE)):
                    raise ConnectError("the server closed the connection during the TLS handshake")
        except ssl.SSLError as error:
            self._say_why(self.tls)
            is_final = isinstance(error, ssl.SSLCertVerificationError)
            raise ConnectError(f"the TLS handshake failed: {error}", is_final=is_final) from error

    def _say_why(self, tls: TLS | Nested) -> None:
        """Sends the alert that tells the server why we go (RFC 8446 §6.2), if it still listens."""
        try:
            self._socket.sendall(tls.send(b""))
        except OSError:
            pass  # there is an error under way already, and it says more

    def send(self, data: bytes) -> None:
        """Sends all of ``data``."""
        self._socket.sendall(data if self.tls is None else self.tls.send(data))

    def receive(self) -> bytes:
        """Returns what has come, at least one byte; nothing at the end."""
        if self._early:
            early, self._early = self._early, b""
            return early
        while True:
            data: bytes = self._socket.recv(READ_SIZE)
            if not data or self.tls is None:
                return data
            plain = self.tls.receive(data)
            if answer := self.tls.send(b""):
                self._socket.sendall(answer)
            if plain or self.tls.is_closed:
                return plain

    def read(self, size: int) -> bytes:
        """Returns exactly ``size`` bytes.

        Raises:
            ConnectError: there are not so many.
        """
        data = b""
        while len(data) < size:
            if not (more := self.receive()):
                raise ConnectError("the connection ended in the middle")
            data += more
        self._early = data[size:]
        return data[:size]

    def read_head(self, limits: HeadLimits) -> ResponseHead:
        """Returns the next response head that is not an interim one. What comes behind it is kept.

        Raises:
            HandshakeError: status 0: there is none, it cannot be read, or it is over a limit.
        """
        for _ in range(MAX_INTERIM):
            head = self._read_one_head(limits)
            if head.status == 101 or head.status >= 200:
                return head
        raise HandshakeError(0, "the server sends interim responses without an end")

    def _read_one_head(self, limits: HeadLimits) -> ResponseHead:
        data = b""
        while True:
            more = self.receive()
            data += more
            try:
                stop = head_end(data, limits)
            except RequestError as error:
                raise HandshakeError(0, f"the server's answer cannot be read: {error}") from error
            if stop >= 0:
                self._early = data[stop:]
                return parse_response(data[:stop], limits)
            if not more:
                raise HandshakeError(0, "the server closed the connection without an answer")

    def read_body(self, head: ResponseHead) -> bytes:
        """Returns what comes of a refusal's body in BODY_TIMEOUT seconds, at most MAX_BODY bytes of it."""
        length = head.get("content-length")
        is_chunked = (head.get("transfer-encoding") or "").lower() == "chunked"
        wanted = min(int(length), MAX_BODY) if length is not None and length.isdecimal() else MAX_BODY
        data = b""
        try:
            with gevent.Timeout(BODY_TIMEOUT, False):
                while len(data) < wanted and (more := self.receive()):
                    data += more
                    if is_chunked and data.endswith(LAST_CHUNK):
                        break
        except OSError:
            pass  # the status is known, which is more than a torn body could add
        return join_chunks(data[:wanted]) if is_chunked else data[:wanted]

    def detach(self) -> tuple[int, bytes]:
        """Returns the descriptor, which the caller owns now, and what came behind the last head."""
        return self._socket.detach(), self._early

    def close(self) -> None:
        """Closes the connection, if it was not detached."""
        self._socket.close()
