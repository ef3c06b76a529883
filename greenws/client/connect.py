"""``greenws.connect``: a WebSocket to somebody else's server."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import gevent

from greenws.client.address import Address, follow, parse_url
from greenws.client.dial import dial
from greenws.client.names import Names
from greenws.client.proxy import Proxy, basic, find_proxy
from greenws.client.tls import default_context, keep_session, kept_session, start_tls
from greenws.client.upgrade import Request, upgrade
from greenws.client.wire import Wire
from greenws.config import Compression, Config, SocketOptions
from greenws.errors import ConfigError, ConnectError, HandshakeError, OperationTimeout
from greenws.net.connection import Connection
from greenws.net.options import check
from greenws.net.registry import Registry
from greenws.net.sender import Service
from greenws.protocol.handshake import new_key, request_head
from greenws.protocol.http import HeadLimits

if TYPE_CHECKING:  # gevent warns who patches ssl after a module took this class
    from ssl import SSLContext

log = logging.getLogger("greenws.client")

MAX_REDIRECTS = 5  # what RFC 2068 §10.3 recommended; who needs more is in a loop
_REDIRECTS = (301, 302, 303, 307, 308)
# Settings that only mean something to a server, or that ``connect`` has an argument for.
_NOT_A_CLIENTS = ("origins", "subprotocols", "compression", "max_connections", "handshake_timeout")

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


def connect(
    url: str,
    *,
    headers: Headers = (),
    subprotocols: Iterable[str] = (),
    origin: str | None = None,
    compression: bool | Compression = False,
    ssl: SSLContext | None = None,
    timeout: float | None = 10.0,
    proxy: str | bool | None = None,
    auth: tuple[str, str] | str | None = None,
    socket_options: SocketOptions | None = None,
    on_message: Callable[[Connection, str | bytes], object] | None = None,
    on_close: Callable[[Connection, int, str], object] | None = None,
    **settings: Any,
) -> Connection:
    """Connects to a WebSocket server. Blocks the calling greenlet, never the hub, and needs no monkey-patching.

    Who calls it closes the connection: ``with greenws.connect(url) as conn:``.

    Args:
        url: ``ws://…`` or ``wss://…``. Its user and password, if it has them, are sent as Basic authentication.
        headers: of the request, beside those of the handshake.
        subprotocols: offered, best first.
        origin: the Origin header, for clients that speak for a web page.
        compression: whether to offer it, and how.
        ssl: whom to trust, and our certificate if the server wants one; None trusts the system's certificates.
        timeout: seconds for everything up to the open connection: name, TCP, proxy, TLS, handshake, redirects.
        proxy: the URL of one; True takes that of the environment, None takes none.
        auth: user and password (Basic), or a token (Bearer).
        socket_options: how the TCP socket is set up.
        on_message: ``on_message(conn, message)`` for each message, as in an ``Endpoint``; without it call ``receive``.
        on_close: ``on_close(conn, code, reason)`` when the connection has ended; with ``on_message`` only.
        settings: limits and timeouts by their names in ``Config``, such as ``max_message_size``.

    Raises:
        ConfigError: the URL or a setting cannot work.
        ConnectError: the server cannot be reached; also a ``ConnectionError``, and so an ``OSError``.
        HandshakeError: the server refused, with its status, headers and body, or is no WebSocket server.
        OperationTimeout: it took longer than ``timeout``; also a ``TimeoutError``, and so an ``OSError``.
    """
    return Dialer(
        url,
        headers=headers,
        subprotocols=subprotocols,
        origin=origin,
        compression=compression,
        ssl=ssl,
        timeout=timeout,
        proxy=proxy,
        auth=auth,
        socket_options=socket_options,
        on_message=on_message,
        on_close=on_close,
        **settings,
    ).connect()


class Dialer:
    """Connects to one URL, again and again: the arguments of ``connect``, checked once.

    Attributes:
        address: where to.
        service: what its connections share: settings, handlers, and the registry that counts them.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Headers = (),
        subprotocols: Iterable[str] = (),
        origin: str | None = None,
        compression: bool | Compression = False,
        ssl: SSLContext | None = None,
        timeout: float | None = 10.0,
        proxy: str | bool | None = None,
        auth: tuple[str, str] | str | None = None,
        socket_options: SocketOptions | None = None,
        on_message: Callable[[Connection, str | bytes], object] | None = None,
        on_close: Callable[[Connection, int, str], object] | None = None,
        ends_quietly: bool = False,
        registry: Registry | None = None,
        **settings: Any,
    ) -> None:
        for name in _NOT_A_CLIENTS:
            if name in settings:
                raise ConfigError(f"{name} is a server's setting")
        self.address = parse_url(url)
        if ssl is not None and not self.address.is_secure:
            raise ConfigError("ssl is given, but the URL begins with ws://")
        if on_close is not None and on_message is None:
            raise ConfigError("on_close belongs to on_message; without it, receive raises ConnectionClosed at the end")
        find_proxy(proxy, self.address)
        self._timeout = timeout
        self._ssl = ssl
        self._proxy = proxy
        self._options = socket_options or SocketOptions()
        check(self._options)
        self._names = Names()
        config = Config().replace(compression=compression, **settings)
        self._request = Request(
            host=self.address.host_header,
            target=self.address.target,
            subprotocols=tuple(subprotocols),
            origin=origin,
            headers=_with_credentials(headers, auth or self.address.userinfo),
            compression=config.deflate,
        )
        _check_request(self._request)
        self.service = Service(
            config,
            Registry() if registry is None else registry,
            str(self.address),
            is_server=False,
            on_message=on_message,
            on_close=on_close,
            on_error=_log_error,
        )

    def connect(self) -> Connection:
        """Makes a connection, which the caller closes. See ``connect``."""
        timer = gevent.Timeout.start_new(self._timeout)
        try:
            return self._follow()
        except gevent.Timeout as error:
            if error is not timer:
                raise
            raise OperationTimeout(f"no connection to {self.address} within {self._timeout} s") from None
        except OSError as error:
            if isinstance(error, ConnectError):
                raise
            raise ConnectError(f"the connection to {self.address} was lost: {error.strerror or error}") from error
        finally:
            timer.close()

    def _follow(self) -> Connection:
        """Connects, wherever the server redirects to. Another origin gets no header of ours: it could hold a secret."""
        address, request = self.address, self._request
        for _ in range(MAX_REDIRECTS + 1):
            try:
                return self._connect_to(address, request)
            except HandshakeError as error:
                location = next((value for name, value in error.headers if name.lower() == "location"), None)
                if error.status not in _REDIRECTS or location is None:
                    raise
                try:
                    found = follow(address, location)
                except ConfigError as why:
                    raise HandshakeError(error.status, f"cannot follow: {why}", error.headers, error.body) from error
                kept = request.headers if found.origin == address.origin else ()
                request = dataclasses.replace(request, host=found.host_header, target=found.target, headers=kept)
                address = found
        raise HandshakeError(0, f"{self.address} redirects more than {MAX_REDIRECTS} times")

    def _connect_to(self, address: Address, request: Request) -> Connection:
        proxy = find_proxy(self._proxy, address)
        hop = proxy or address
        wire = Wire(dial(hop.host, hop.port, self._options, self._names))
        try:
            if proxy is not None:
                self._pass(proxy, wire, address)
            if not address.is_secure:
                return upgrade(wire, self.service, request)
            server = (self._ssl or default_context(), address.host, address.port)
            resume = self._options.tls_resumption
            session = kept_session(server) if resume else None
            tls = start_tls(wire, server, session)
            conn = upgrade(wire, self.service, request)
        except BaseException:
            wire.close()
            raise
        if resume:
            keep_session(tls, server, session)
        return conn

    def _pass(self, proxy: Proxy, wire: Wire, address: Address) -> None:
        if proxy.scheme == "https":
            start_tls(wire, (default_context(), proxy.host, proxy.port))
        config = self.service.config
        proxy.tunnel(wire, address, HeadLimits(config.max_line_size, config.max_headers, config.max_head_size))


def _with_credentials(headers: Headers, auth: tuple[str, str] | str | None) -> tuple[tuple[str, str], ...]:
    pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    if auth is None:
        return pairs
    if any(name.lower() == "authorization" for name, _ in pairs):
        raise ConfigError("Authorization is given twice: in headers, and by auth or the URL")
    return (*pairs, ("Authorization", f"Bearer {auth}" if isinstance(auth, str) else basic(auth)))


def _check_request(request: Request) -> None:
    """Writes the request once, so that what cannot work is said before anything is dialled."""
    try:
        request_head(
            request.host,
            request.target,
            new_key(),
            subprotocols=request.subprotocols,
            origin=request.origin,
            headers=request.headers,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _log_error(conn: Connection, error: BaseException) -> None:
    log.error("Exception in the handler of %r", conn, exc_info=error)
