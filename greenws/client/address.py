"""Where to connect: the URL of a WebSocket, read strictly (RFC 6455 §3). No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from greenws.errors import ConfigError
from greenws.protocol.grammar import is_host

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f]")  # urlsplit would leave some of them out without a word
_SAFE = "%/:=&?~+!$,;'@()*[]"  # RFC 3986 §2.2, and "%" of what is encoded already; "#" is not among them
_DEFAULT_PORTS = {"ws": 80, "wss": 443}
_AS_WEBSOCKET = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Address:
    """One WebSocket's URL in parts.

    Attributes:
        is_secure: whether it is wss.
        host: a name in ASCII or an IP address, without brackets.
        port: of the server.
        target: path and query, percent-encoded.
        userinfo: user and password of the URL, or None.
    """

    is_secure: bool
    host: str
    port: int
    target: str = field(repr=False)  # a query may hold a token
    userinfo: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def origin(self) -> tuple[bool, str, int]:
        """Scheme, host and port: what must be the same for a credential to be sent along (RFC 6454 §4)."""
        return self.is_secure, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port, as a CONNECT names them."""
        return f"{self._bracketed}:{self.port}"

    @property
    def host_header(self) -> str:
        """Host and port, which is left out when it is the scheme's own (RFC 6455 §4.1 item 4)."""
        return self._bracketed if self.port == (443 if self.is_secure else 80) else self.authority

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        """The URL without user, password and query: fit for a log."""
        scheme = "wss" if self.is_secure else "ws"
        return f"{scheme}://{self.host_header}{self.target.partition('?')[0]}"


def parse_url(url: str) -> Address:
    """Reads a ws or wss URL.

    Raises:
        ConfigError: it is not one; the text says why.
    """
    parts = split_url(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ConfigError(f"a WebSocket's URL begins with ws:// or wss://, not with {parts.scheme or url!r}")
    if "#" in url:
        raise ConfigError("a WebSocket's URL has no fragment (RFC 6455 §3)")
    target = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    return Address(parts.scheme == "wss", host_of(parts), port, target, userinfo_of(parts))


def split_url(url: str) -> SplitResult:
    """Splits a URL whose port, if there is one, is a number.

    Raises:
        ConfigError: it cannot be split, or holds a space or a control character.
    """
    if not isinstance(url, str) or _FORBIDDEN.search(url):
        raise ConfigError("a URL is a string without spaces and control characters")
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            raise ConfigError("port 0 is none to connect to")
    except ValueError as error:
        raise ConfigError(f"not a URL: {error}") from error
    return parts


def host_of(parts: SplitResult) -> str:
    """The host in ASCII (RFC 3490), lower-case and without brackets."""
    host = parts.hostname or ""
    try:
        host = host.encode("idna").decode("ascii") if not host.isascii() else host
    except UnicodeError as error:
        raise ConfigError(f"{host!r} is not a host") from error
    if not is_host(f"[{host}]" if ":" in host else host):
        raise ConfigError(f"{host!r} is not a host" if host else "the URL has no host")
    return host


def userinfo_of(parts: SplitResult) -> tuple[str, str] | None:
    """User and password, decoded; None when the URL has none."""
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def follow(address: Address, location: str) -> Address:
    """Returns where a redirect leads. Servers write http and https, because to them a handshake is a request.

    Raises:
        ConfigError: the location is no WebSocket's URL, or would give up the encryption.
    """
    here = f"{'https' if address.is_secure else 'http'}://{address.host_header}{address.target}"
    parts = split_url(urljoin(here, location))
    found = parse_url(parts._replace(scheme=_AS_WEBSOCKET.get(parts.scheme, parts.scheme), fragment="").geturl())
    if address.is_secure and not found.is_secure:
        raise ConfigError("the server redirects from wss to ws")
    return found
