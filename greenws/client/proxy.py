"""Through a proxy: which one, and the tunnel that a CONNECT opens (RFC 9110 §9.3.6)."""

from __future__ import annotations

import base64
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import SplitResult

from greenws.client.address import Address, host_of, split_url, userinfo_of
from greenws.client.socks import ask_socks, check_socks
from greenws.client.wire import Wire
from greenws.errors import ConfigError, ConnectError, HandshakeError
from greenws.protocol.grammar import encode_head
from greenws.protocol.http import HeadLimits

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
# As in the websockets library: a proxy named for WebSockets first, then those of RFC 6455 §4.1 item 3.
_ENVIRONMENT = {True: ("wss", "socks", "https"), False: ("ws", "socks", "https", "http")}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's URL in parts. Names are resolved by the proxy, with SOCKS too."""

    scheme: str
    host: str
    port: int
    userinfo: tuple[str, str] | None = field(default=None, repr=False)

    def tunnel(self, wire: Wire, address: Address, limits: HeadLimits) -> None:
        """Has the proxy connect to the server. Blocks the calling greenlet.

        Raises:
            ConnectError: the proxy refuses, or cannot be understood.
        """
        if self.scheme.startswith("socks"):
            ask_socks(wire, address, self.userinfo)
        else:
            _ask_http(wire, address, self.userinfo, limits)


def find_proxy(proxy: str | bool | None, address: Address) -> Proxy | None:
    """Returns the proxy to an address: None for none, True for the environment's, or the one of a URL.

    Raises:
        ConfigError: the URL is not a proxy's.
    """
    if proxy is True:
        return _from_environment(address)
    if not proxy:
        return None
    parts = split_url(proxy)
    if parts.scheme not in _PORTS:
        raise ConfigError(f"a proxy's URL begins with http, https, socks5 or socks5h, not with {parts.scheme!r}")
    _check_rest(parts)
    if parts.scheme.startswith("socks"):
        check_socks()
    return Proxy(parts.scheme, host_of(parts), parts.port or _PORTS[parts.scheme], userinfo_of(parts))


def _check_rest(parts: SplitResult) -> None:
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError("a proxy's URL has a host and a port, and no path")


def _from_environment(address: Address) -> Proxy | None:
    """The proxy of ``WSS_PROXY``, ``HTTPS_PROXY`` and so on, unless ``NO_PROXY`` names the host."""
    if urllib.request.proxy_bypass(address.authority):
        return None
    proxies = urllib.request.getproxies()
    url = next((proxies[scheme] for scheme in _ENVIRONMENT[address.is_secure] if proxies.get(scheme)), None)
    return find_proxy(url, address)


def basic(userinfo: tuple[str, str]) -> str:
    """Returns the value of an Authorization header with user and password (RFC 7617 §2)."""
    return "Basic " + base64.b64encode(":".join(userinfo).encode()).decode("ascii")


def _ask_http(wire: Wire, address: Address, userinfo: tuple[str, str] | None, limits: HeadLimits) -> None:
    headers = [("Host", address.authority)]
    if userinfo is not None:
        headers.append(("Proxy-Authorization", basic(userinfo)))
    wire.send(encode_head(f"CONNECT {address.authority} HTTP/1.1", headers))
    try:
        head = wire.read_head(limits)
    except HandshakeError as error:
        raise ConnectError(f"the proxy: {error}") from error
    if not 200 <= head.status < 300:
        raise ConnectError(f"the proxy answered {head.status} {head.reason}", is_final=head.status in (401, 403, 407))
