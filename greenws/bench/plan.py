"""What a run is to do, checked before anything is opened."""

from __future__ import annotations

import ipaddress
import resource
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from greenws.errors import ConfigError

MODES = ("echo", "pipelined", "rate", "idle", "handshake", "fanout")
RESERVE = 64  # descriptors for everything that is not a connection
PORTS = 28000  # that one source address has towards one server (net.ipv4.ip_local_port_range)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run: where to, what, how much, how long.

    Attributes:
        url: of the WebSocket, with ``ws://``.
        mode: one of MODES.
        connections: how many; in mode ``handshake``, how many at a time.
        duration: seconds of measuring.
        size: bytes of a message.
        depth: messages in one write, in mode ``pipelined``.
        interval: seconds between the messages of one connection, in mode ``rate``.
        rounds: messages that go to everybody, in mode ``fanout``.
        binary: whether messages are binary.
        headers: further headers of the handshake.
        concurrency: connections that are being opened at one time.
        sources: how many source addresses, from 127.0.0.1 on.
        rest: seconds between opening and measuring.
        offers_deflate: whether the handshake offers compression; only in modes in which no message is sent.
        warm_up: seconds of the same work before it is measured, in modes ``echo`` and ``pipelined``.
        pids: processes of the server, whose CPU time and memory are read.
        is_remote: whether the server may be another machine.
    """

    url: str
    mode: str = "echo"
    connections: int = 100
    duration: float = 10.0
    size: int = 64
    depth: int = 16
    interval: float = 10.0
    rounds: int = 20
    binary: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    concurrency: int = 128
    sources: int = 1
    rest: float = 0.5
    warm_up: float = 0.5
    offers_deflate: bool = False
    pids: tuple[int, ...] = ()
    is_remote: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads to."""

    address: tuple[str, int]
    family: socket.AddressFamily
    host: str
    path: str


def find_target(plan: Plan) -> Target:
    """Resolves the URL of a plan. Blocks while the name is looked up.

    Raises:
        ConfigError: it is no ws:// URL, its host is not known, or it is another machine and the plan does not say that
            this is meant.
    """
    parts = urlsplit(plan.url)
    try:
        port = parts.port or 80
    except ValueError as error:
        raise ConfigError(f"{plan.url!r} has no valid port") from error
    if parts.scheme != "ws" or not parts.hostname or parts.fragment or parts.username is not None:
        raise ConfigError(f"{plan.url!r} is not a ws:// URL; TLS is not measured")
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"cannot find {parts.hostname}: {error.strerror}") from error
    family, _, _, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)  # "localhost" is more often IPv4
    host, target_port = str(address[0]), int(address[1])
    is_loopback = ipaddress.ip_address(host).is_loopback
    if not plan.is_remote and not is_loopback:
        raise ConfigError(f"{host} is not this machine; --remote says that you may load it")
    if plan.sources > 1 and not (is_loopback and family == socket.AF_INET):
        raise ConfigError(f"{host} cannot be reached from several addresses 127.0.0.x")
    if plan.offers_deflate and plan.mode not in ("idle", "handshake"):
        raise ConfigError(f"compression can be offered in modes idle and handshake, not in {plan.mode}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target((host, target_port), family, parts.netloc, path)


def claim_descriptors(plan: Plan) -> None:
    """Raises this process's limit of descriptors to what the plan needs.

    Raises:
        ConfigError: the hard limit is too low, or one source address has too few ports.
    """
    needed = plan.connections + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(f"{plan.connections} connections need {needed} descriptors, and `ulimit -Hn` says {hard}")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    if plan.connections > PORTS * plan.sources:
        raise ConfigError(f"{plan.connections} connections need --sources {-(-plan.connections // PORTS)}")
