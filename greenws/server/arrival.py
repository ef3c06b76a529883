"""A connection until its request head is complete. No greenlet waits for it: it is parked, with a deadline.

The head passes the strict parser here, whatever server or application stands behind. What breaks a rule is answered and
closed; what takes too long is answered 408. Ordinary Python; arrival.pxd types it for the compiler.
"""

from __future__ import annotations

import os
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from greenws.errors import RequestError
from greenws.net.reactor import Watched
from greenws.net.transport import TLS
from greenws.protocol.http import error_response

if TYPE_CHECKING:
    from greenws.server.wsgi import WSGIServer

READ_SIZE = 16384
LINGER = 2.0  # seconds for a refused peer to read why


class Arrival(Watched):
    """Owns a descriptor until the server takes it with the head, or closes it.

    Args:
        server: gets ``on_request(fd, head, rest, address, tls)``.
        fd: connected and non-blocking.
        address: the peer's.
        tls: the encryption, or None.
        early: bytes that have been read already.
        timeout: seconds that a connection on which a request has been answered may be silent; None for a new one, which
            has ``handshake_timeout`` for all.
        answer: nothing is read any more; this goes out and the connection is closed behind it.
    """

    def __init__(
        self,
        server: WSGIServer,
        fd: int,
        address: Any,
        tls: TLS | None,
        early: bytes = b"",
        timeout: float | None = None,
        answer: bytes | None = None,
    ) -> None:
        self._server = server
        self._address = address
        self._tls = tls
        self._data = b""
        self._pending = b""
        self._lingers = False
        self._is_kept = timeout is not None
        self.own(fd)
        server.arrivals.add(self)
        try:
            if answer is not None:
                self._answer(answer)
            elif early:
                self._take(early)
            else:
                self.on_ready(True)  # mostly the request has come with the connection, and there is nothing to wait for
            if self.fileno() >= 0 and not self._lingers:
                self.watch(fd)
                self.reactor.wheel.schedule_sooner(self, timeout or server.config.handshake_timeout)
        except BaseException:
            self.close()
            raise

    def on_ready(self, readable: bool) -> None:
        """Reads what has come."""
        try:
            if self._pending:
                self._write(b"")
                if self._lingers and not self._pending:
                    self.shut()
            data = os.read(self.fileno(), READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        elif not self._lingers:
            self._received(data)

    def _received(self, data: bytes) -> None:
        if self._tls is not None:
            try:
                data = self._tls.receive(data)
            except OSError:  # ssl.SSLError: not TLS, or not acceptable
                self._write(self._tls.send(b""))
                self._linger()
                return
        self._take(data)
        if self._tls is not None and self.fileno() >= 0:  # else it leaves with the answer
            self._write(self._tls.send(b""))

    def _take(self, data: bytes) -> None:
        is_first = not self._data
        self._data += data
        try:
            found = self._server.heads.read(self._data)
        except RequestError as error:
            self._refuse(error)
            return
        if found is not None:
            head, stop = found
            self._server.arrivals.discard(self)
            self._server.on_request(self.release(), head, self._data[stop:], self._address, self._tls)
        elif is_first:  # however long it may be idle: a head must come in one go
            self.reactor.wheel.schedule_sooner(self, self._server.config.handshake_timeout)

    def expire(self, tick: int) -> int:
        """The deadline has come. Called by the wheel."""
        late = RequestError(408, "the request took too long", limit="handshake_timeout")
        if self._data and not self._lingers:
            self._refuse(late)
            return 0
        if not self._is_kept and not self._lingers:
            self._server.count(late)
        self.close()
        return 0

    def _refuse(self, error: RequestError) -> None:
        self._server.count(error)
        self._server.log_refusal(self._address, error)
        self._answer(error_response(error, formatdate(usegmt=True)))

    def _answer(self, answer: bytes) -> None:
        self._write(answer if self._tls is None else self._tls.send(answer) + self._tls.end())
        self._linger()

    def _write(self, data: bytes) -> None:
        """Writes what the kernel takes now, and the rest when it takes more. A lost peer is seen by the next read."""
        self._pending += data
        try:
            while self._pending:
                self._pending = self._pending[os.write(self.fileno(), self._pending) :]
        except BlockingIOError:
            pass
        except OSError:
            self._pending = b""
        self.watch(self.fileno(), readable=True, writable=bool(self._pending))

    def _linger(self) -> None:
        # To close with unread bytes would reset the connection and take the answer with it (RFC 9112 §9.6).
        self._lingers = True
        self._data = b""
        self.reactor.wheel.schedule(self, LINGER)
        if not self._pending:
            self.shut()

    def leave(self) -> None:
        """The server stops: closes if the next request has not begun, which is what a client expects of idle ones."""
        if self._is_kept and not self._data and not self._lingers:
            self.close()

    def close(self) -> None:
        """Closes the descriptor."""
        self._server.arrivals.discard(self)
        fd = self.release()
        if fd >= 0:
            os.close(fd)
