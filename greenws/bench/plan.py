"""What a run is to do, checked before anything is opened."""

from __future__ import annotations

import ipaddress
import re
import resource
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from greenws.errors import ConfigError

MODES = ("echo", "pipelined", "rate", "ping", "idle", "handshake", "fanout")
RESERVE = 64  # descriptors of each process for everything that is not a connection
PORTS = 28000  # that one source address has towards one server (net.ipv4.ip_local_port_range)
MAX_PING = 125  # bytes of a ping (RFC 6455 §5.5)
BOTH_ENDS = (
    14 * 1024
)  # bytes for a quiet connection over loopback, measured: two sockets in the kernel, our peer, a lean server


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
        interval: seconds between the messages of one connection, in modes ``rate`` and ``ping``.
        rounds: messages that go to everybody, in mode ``fanout``.
        binary: whether messages are binary.
        headers: further headers of the handshake.
        concurrency: connections that are being opened at one time.
        sources: how many source addresses, from 127.0.0.1 on.
        source: addresses of this machine to connect from, in turn, instead of those.
        processes: how many the load is divided among. Each has a limit of descriptors, and maybe a core, of its own.
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
    source: tuple[str, ...] = ()
    processes: int = 1
    rest: float = 0.5
    warm_up: float = 0.5
    offers_deflate: bool = False
    pids: tuple[int, ...] = ()
    is_remote: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """To connect from; none when the system may choose."""
        if self.source or self.sources == 1:
            return self.source
        return tuple(f"127.0.0.{number}" for number in range(1, self.sources + 1))

    def split(self) -> list[Plan]:
        """Returns the plan of each process. They begin at different source addresses."""
        parts = []
        for number in range(self.processes):
            share = (self.connections + number) // self.processes
            first = number % (len(self.addresses) or 1)
            source = self.addresses[first:] + self.addresses[:first]
            concurrency = max(1, self.concurrency // self.processes)
            parts.append(
                replace(
                    self, connections=share, concurrency=concurrency, source=source, sources=1, processes=1, pids=()
                )
            )
        return parts


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
    _check(plan, family)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target((host, target_port), family, parts.netloc, path)


def _check(plan: Plan, family: socket.AddressFamily) -> None:
    if plan.offers_deflate and plan.mode not in ("idle", "handshake"):
        raise ConfigError(f"compression can be offered in modes idle and handshake, not in {plan.mode}")
    if plan.mode == "ping" and plan.size > MAX_PING:
        raise ConfigError(f"a ping has {MAX_PING} bytes at most")
    if plan.processes > 1 and plan.mode == "fanout":
        raise ConfigError("a fan-out is sent and received by one process")
    if plan.processes > plan.connections:
        raise ConfigError(f"{plan.connections} connections cannot be divided among {plan.processes} processes")
    version = 4 if family == socket.AF_INET else 6
    for source in plan.source:
        try:
            is_same = ipaddress.ip_address(source).version == version
        except ValueError as error:
            raise ConfigError(f"{source!r} is no address to connect from") from error
        if not is_same:
            raise ConfigError(f"{source} cannot connect to a server of IPv{version}")


def claim_descriptors(plan: Plan) -> None:
    """Raises this process's limit of descriptors to what the plan needs of each process.

    Raises:
        ConfigError: the hard limit is too low, or the source addresses have too few ports.
    """
    share = -(-plan.connections // plan.processes)
    needed = share + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"{share} connections need {needed} descriptors, and `ulimit -Hn` says {hard}: "
            f"use --processes {_processes_for(plan.connections, hard)}"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    if plan.connections > PORTS * max(1, len(plan.addresses)):
        raise ConfigError(f"{plan.connections} connections need --sources {-(-plan.connections // PORTS)}")


def _processes_for(connections: int, hard: int) -> int:
    return -(-connections // max(1, hard - RESERVE))


def check_memory(plan: Plan, meminfo: Path = Path("/proc/meminfo")) -> None:
    """Refuses what this machine has no memory for. A server on another machine has memory of its own.

    Raises:
        ConfigError: there is not enough for all connections, both ends, the part of the kernel included.
    """
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE) if meminfo.exists() else None
    ends = 1 if plan.is_remote else 2
    needed = plan.connections * BOTH_ENDS * ends // 2
    if found and needed > int(found[1]) * 1024:
        raise ConfigError(
            f"{plan.connections} connections take about {needed / 1e9:.1f} GB of memory, "
            f"and {int(found[1]) * 1024 / 1e9:.1f} GB are available"
        )
