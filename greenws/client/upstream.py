"""What a pool's connections are, WebSockets or sockets: how each is opened, looked at and ended."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Protocol

from gevent.monkey import get_original
from gevent.ssl import SSLSocket

from greenws.client.address import host_of, split_url
from greenws.client.connect import Dialer
from greenws.client.dial import dial
from greenws.client.names import Names
from greenws.client.tls import default_context
from greenws.config import SocketOptions
from greenws.errors import ConfigError, ConnectError
from greenws.net.connection import Connection
from greenws.net.registry import Registry

_poll, _POLLIN = get_original("select", "poll"), 1  # that of gevent, where it is patched in, would wait


class Look(Enum):
    """What can be said of a connection without asking its peer."""

    FIT = auto()
    UNSURE = auto()  # something has come that was not looked at yet
    UNREAD = auto()  # something has come that nobody received: it is not the next user's
    LEFT = auto()  # closed in good order
    LOST = auto()


class Upstream(Protocol):
    """One endpoint, with what is needed to connect to it."""

    def open(self) -> Any:
        """Connects. Blocks the calling greenlet; the pool bounds it."""

    def look(self, conn: Any) -> Look:
        """Says what is known of a connection. Does not block."""

    def check(self, conn: Any, timeout: float) -> bool:
        """Asks the peer for a sign of life. Blocks the calling greenlet."""

    def end(self, conn: Any) -> None:
        """Closes. Does not block."""


class Connections(Registry):
    """The connections of one pool, and a call when one has ended.

    Args:
        on_end: ``on_end(conn)``, in the hub: it must not block.
    """

    add: Callable[[Any], None]

    def __init__(self, on_end: Callable[[Any], None]) -> None:
        super().__init__()
        self._on_end = on_end

    def discard(self, connection: Any) -> None:
        """Counts a connection no longer, and says so."""
        super().discard(connection)
        self._on_end(connection)


class WebSockets:
    """An endpoint whose URL begins with ``ws://`` or ``wss://``."""

    def __init__(self, url: str, connections: Connections, options: dict[str, Any]) -> None:
        self._dialer = Dialer(url, timeout=None, registry=connections, **options)

    def open(self) -> Connection:
        """Connects."""
        return self._dialer.connect()

    def look(self, conn: Connection) -> Look:
        """A Close or an end that the kernel has and we have not seen makes us unsure."""
        if conn.closed:
            return Look.LEFT if conn.ended_here else Look.LOST
        if not conn.is_quiet:
            return Look.UNREAD
        return Look.UNSURE if _is_readable(conn.fileno()) else Look.FIT

    def check(self, conn: Connection, timeout: float) -> bool:
        """Sends a ping and waits for its pong."""
        try:
            conn.ping(timeout)
        except Exception:
            return False
        return not conn.closed and conn.is_quiet

    def end(self, conn: Connection) -> None:
        """Starts the closing handshake; the connection sees to the rest."""
        conn.close()


class RawConnection:
    """A connection of a pool to ``tcp://`` or ``tls://``: its ``socket`` is gevent's, to send and receive with."""

    def __init__(self, sock: Any, connections: Connections) -> None:
        self.socket = sock
        self._connections = connections
        connections.add(self)

    @property
    def closed(self) -> bool:
        """Whether it has been closed by us."""
        return bool(self.socket.fileno() < 0)

    def close(self) -> None:
        """Closes the socket. Does not block. Closing again does nothing."""
        self.socket.close()
        self._connections.discard(self)

    abort = close


class Sockets:
    """An endpoint whose URL begins with ``tcp://`` or ``tls://``."""

    def __init__(self, url: str, connections: Connections, options: dict[str, Any]) -> None:
        parts = split_url(url)
        if parts.port is None or parts.path or parts.query or parts.username is not None:
            raise ConfigError(f"the URL of a socket is {parts.scheme}://HOST:PORT, not {url!r}")
        self._host, self._port = host_of(parts), parts.port
        self._context: ssl.SSLContext | None = options.pop("ssl", None)
        self._options: SocketOptions = options.pop("socket_options", None) or SocketOptions()
        if options:
            raise ConfigError(f"{min(options)} is for WebSockets, not for {parts.scheme}://")
        if parts.scheme == "tls":
            self._context = self._context or default_context()
        elif self._context is not None:
            raise ConfigError("ssl is given, but the URL begins with tcp://")
        self._names = Names()
        self._connections = connections

    def open(self) -> RawConnection:
        """Connects."""
        sock = dial(self._host, self._port, self._options, self._names)
        if self._context is not None:
            try:
                sock = SSLSocket(sock, server_hostname=self._host, _context=self._context)
            except BaseException as error:
                sock.close()
                if isinstance(error, OSError):
                    is_final = isinstance(error, ssl.SSLCertVerificationError)
                    text = f"the TLS handshake with {self._host} failed: {error}"
                    raise ConnectError(text, is_final=is_final) from error
                raise
        return RawConnection(sock, self._connections)

    def look(self, conn: RawConnection) -> Look:
        """Reads without waiting: there must be nothing, not even the end."""
        if conn.closed:
            return Look.LEFT
        if not _is_readable(conn.socket.fileno()):
            return Look.FIT
        before = conn.socket.gettimeout()
        conn.socket.settimeout(0)
        try:
            return Look.UNREAD if conn.socket.recv(1) else Look.LOST
        except (BlockingIOError, ssl.SSLWantReadError):
            return Look.FIT  # TLS that has no bytes for us in it, such as a session ticket
        except OSError:
            return Look.LOST
        finally:
            conn.socket.settimeout(before)

    def check(self, conn: RawConnection, timeout: float) -> bool:
        """There is no question that every protocol answers: what can be seen must do."""
        return self.look(conn) is Look.FIT

    def end(self, conn: RawConnection) -> None:
        """Closes the socket."""
        conn.close()


def make_upstream(url: str, connections: Connections, options: dict[str, Any]) -> Upstream:
    """Returns what connects to a URL.

    Raises:
        ConfigError: the URL or an option cannot work.
    """
    kind = Sockets if url.startswith(("tcp://", "tls://")) else WebSockets
    return kind(url, connections, dict(options))


def _is_readable(fd: int) -> bool:
    poll = _poll()
    poll.register(fd, _POLLIN)
    return bool(poll.poll(0))
