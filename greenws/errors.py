"""Every exception GreenWS raises, in one tree.

    GreenWSError
    ├── ConfigError          a setting that cannot work (also a ValueError)
    ├── RequestError         an HTTP head that is refused: status, headers
    │   └── HandshakeError   an upgrade that is refused, by us or by the peer's server
    ├── ConnectError         a client reaches no server: name, TCP, proxy or TLS (also a ConnectionError)
    ├── ProtocolError        the peer broke RFC 6455: close_code, reason
    ├── ConnectionClosed     the connection has ended: code, reason
    ├── OperationTimeout     connect, receive or ping took too long (also a TimeoutError)
    │   └── PoolTimeout      no connection of a pool was free in time: stats
    ├── StateError           a call in the wrong phase or from the wrong place (also a RuntimeError)
    ├── UnsupportedServer    the WSGI server cannot hand its connection over
    └── LoadFailed           a load found nothing to measure

An error carries the answer that goes out on the wire, so that the place which catches it need not know why
it was raised. One that a setting led to carries that setting's name as its ``limit``: who answers, counts it. Nothing
here imports anything of ours.
"""

from __future__ import annotations

from collections.abc import Iterable


class GreenWSError(Exception):
    """The base of all exceptions of this package."""


class ConfigError(GreenWSError, ValueError):
    """A setting has a value that cannot work. The text names the setting and what it may be."""


class RequestError(GreenWSError):
    """An HTTP request head is refused.

    Attributes:
        status: the HTTP status of the answer (RFC 9110 §15).
        message: one line for people; it never repeats the peer's bytes.
        headers: extra headers of the answer.
        limit: the setting that was reached, or None.
    """

    def __init__(
        self, status: int, message: str, headers: Iterable[tuple[str, str]] = (), *, limit: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = tuple(headers)
        self.limit = limit


class HandshakeError(RequestError):
    """An opening handshake failed (RFC 6455 §4).

    On the server it holds the answer to send. On the client it holds the server's answer: ``status`` is 0 when the
    server said nothing that can be understood, ``body`` is what was read of the response's body.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        limit: str | None = None,
    ) -> None:
        super().__init__(status, message, headers, limit=limit)
        self.body = body


class ConnectError(GreenWSError, ConnectionError):
    """A client reaches no server: its name is unknown, nobody answers, the proxy refuses, or TLS fails.

    The cause, ``__cause__``, is what the system or the ``ssl`` module said.

    Attributes:
        is_final: a later attempt will fare no better: the server's certificate is not trusted, or the proxy wants other
            credentials.
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class ProtocolError(GreenWSError):
    """The peer broke the protocol, so the connection is failed (RFC 6455 §7.1.7).

    Attributes:
        close_code: the close code that tells the peer why (RFC 6455 §7.4.1).
        reason: the text that goes with it, at most 123 bytes.
        limit: the setting that was reached, or None.
    """

    def __init__(self, close_code: int, reason: str, limit: str | None = None) -> None:
        super().__init__(close_code, reason)
        self.close_code = close_code
        self.reason = reason
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.reason} ({self.close_code})"


class ConnectionClosed(GreenWSError):
    """The connection has ended, or ended while the call waited.

    Attributes:
        code: the code of the first Close frame in either direction, 1005 when it had none, 1006 when the
            connection was lost without one (RFC 6455 §7.1.5).
        reason: the reason that came with it.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    @property
    def is_normal(self) -> bool:
        """Whether the end was an orderly one: 1000, 1001, or a Close without a code."""
        return self.code in (1000, 1001, 1005)

    def __str__(self) -> str:
        return f"connection closed: {self.code}{' ' if self.reason else ''}{self.reason}"


class OperationTimeout(GreenWSError, TimeoutError):
    """A call took longer than its timeout. The connection is as it was, unless the text says otherwise."""


class PoolTimeout(OperationTimeout):
    """No connection of a pool was free in time. The text says what the pool looked like.

    Attributes:
        stats: the pool's ``PoolStats`` at that moment.
    """

    def __init__(self, message: str, stats: object) -> None:
        super().__init__(message)
        self.stats = stats


class StateError(GreenWSError, RuntimeError):
    """A call that makes no sense now or from here. The text says what to do instead."""


class UnsupportedServer(GreenWSError):
    """The WSGI server in use cannot hand its connection over. The text names a command that can."""


class LoadFailed(GreenWSError):
    """There is nothing to measure: connections could not be opened. The text says why."""
