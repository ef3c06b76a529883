"""All settings, with their defaults, as one frozen value.

Each field is a keyword of ``GreenWS(app, …)`` and, upper-cased behind ``GREENWS_``, a key of Flask's configuration:
``max_message_size`` is ``GREENWS_MAX_MESSAGE_SIZE``. Sizes are bytes, times are seconds, None means never or no limit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from greenws.errors import ConfigError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """How messages are compressed with peers that can do it too: permessage-deflate (RFC 7692).

    Without context takeover each message is deflated by itself. With it a message may refer to those before it and gets
    smaller, but each connection holds a compressor, or what undoes it, for as long as it lives.

    Attributes:
        level: from 1, the fastest, to 9, the smallest. 1 to 3 are those of ISA-L if it is installed.
        threshold: messages of fewer bytes are sent as they are, unless ``send`` is told otherwise.
        server_no_context_takeover, client_no_context_takeover: whether what the server sends, and what the client
            sends, is deflated message by message.
        server_max_window_bits, client_max_window_bits: how far back, as a power of two, what the server sends and what
            the client sends may refer: 8 to 15.
    """

    level: int = 1
    threshold: int = 1024
    server_no_context_takeover: bool = True
    client_no_context_takeover: bool = True
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15

    def __post_init__(self) -> None:
        ranges = {"level": (1, 9), "server_max_window_bits": (8, 15), "client_max_window_bits": (8, 15)}
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ConfigError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, int) or self.threshold < 0:
            raise ConfigError(f"threshold must be a number of bytes, not {self.threshold!r}")
        for name in ("server_no_context_takeover", "client_no_context_takeover"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} must be True or False, not {getattr(self, name)!r}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SocketOptions:
    """How TCP sockets are set up: those that ``connect`` opens, and those a server listens on and accepts.

    None leaves an option to the system. One that the system does not have is a ConfigError where it is to be used.

    Attributes:
        connect_timeout: for one address to answer; the others of the host are tried meanwhile.
        nodelay: small messages leave at once (TCP_NODELAY), instead of waiting for the peer's acknowledgement.
        keepalive_idle: the system probes a connection that has been silent so long (SO_KEEPALIVE).
        keepalive_interval, keepalive_count: between probes, and how many are missed before the connection is lost.
        send_buffer, receive_buffer: bytes the kernel may hold (SO_SNDBUF, SO_RCVBUF); by itself it adapts them.
        fast_open: the first bytes go with the SYN (RFC 7413), which saves a round trip to a known server.
        user_timeout: how long sent bytes may stay unacknowledged before the connection is lost (TCP_USER_TIMEOUT).
        tls_resumption: a further connection to one server has a shorter TLS handshake (RFC 8446 §2.2). Clients only.
        backlog: how many connections may wait to be accepted. Servers only, like the next two.
        reuse_address: listen though connections of a server before are still ending (SO_REUSEADDR).
        reuse_port: share the port with other processes, over which the kernel spreads connections (SO_REUSEPORT).
    """

    connect_timeout: float = 5.0
    nodelay: bool = True
    keepalive_idle: int | None = None
    keepalive_interval: int = 10
    keepalive_count: int = 3
    send_buffer: int | None = None
    receive_buffer: int | None = None
    fast_open: bool = False
    user_timeout: float | None = None
    tls_resumption: bool = True
    backlog: int = 4096
    reuse_address: bool = True
    reuse_port: bool = False

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kind = str(field.type)
            if kind == "bool":
                if not isinstance(value, bool):
                    raise ConfigError(f"{field.name} must be True or False, not {value!r}")
            elif value is not None or "None" not in kind:
                _check_number(field.name, value, whole=kind.startswith("int"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one application, or of one route of it.

    Attributes:
        origins: the origins a browser may come from, such as ``"https://app.example"``; None allows just the host
            that was asked for, ``"*"`` allows all.
        subprotocols: the subprotocols served, best first.
        max_message_size: the largest message received, after inflation; a larger one closes with 1009, or is a stream.
        max_stream_size: the largest message received as a stream, after inflation; None receives none so.
        compression: True, or a ``Compression``, compresses messages with peers that can do it too.
        max_fragments: the most frames one message may come in, and the most empty ones in a row of a stream; more close
            with 1009.
        max_control_rate: the most pings, pongs and closes a peer may send in one second; more close with 1008.
        max_connections: the most live connections of the process; more are answered 503.
        max_address_connections: the most live connections of one address; more are answered 429.
        max_address_rate: the most new connections of one address in a second, on average; more are answered 429.
        max_line_size, max_headers, max_head_size: of an HTTP head; answered 414, 431 and 431.
        handshake_timeout: from accept to a whole request head; then 408. From a view's begin to the first use of its
            connection; then that is opened without.
        message_timeout: from the first to the last byte of one message, or without progress in a stream; then 1008.
        idle_timeout: without any message in either direction; then 1001.
        close_timeout: from our Close to the peer's; then the descriptor is closed without it.
        ping_interval: between pings; a pair is the shortest and the longest, between which it adapts to the peer.
        ping_timeout: from a ping, which is repeated meanwhile, to any byte of the peer; then 1006.
        inbox_size: the messages that may wait for a handler that is behind; then reading stops.
        high_water_mark: the bytes that may wait for a slow reader before ``send`` waits.
        write_timeout: how long ``send`` waits for a slow reader, then the connection is dropped.
        pool_size: the most event-style handlers that run at once in the process.
        drain_rate: the connections that are closed in one second when the process ends.
        drain_timeout: for all of them, and what their handlers have to do then.
        require_warm_up: what cannot be warmed up is tried again until it can, and no connection is accepted before.
        ready_path: a path that answers 200 when this process is to be sent connections, and else 503.
        metrics: where Prometheus finds metrics: ``"HOST:PORT"`` is a port of their own, ``"/path"`` the application's.
    """

    origins: str | tuple[str, ...] | None = None
    subprotocols: tuple[str, ...] = ()
    max_message_size: int = 1024 * 1024
    max_stream_size: int | None = None
    compression: bool | Compression = False
    max_fragments: int = 4096
    max_control_rate: int = 100
    max_connections: int | None = None
    max_address_connections: int | None = None
    max_address_rate: float | None = None
    max_line_size: int = 8192
    max_headers: int = 100
    max_head_size: int = 16384
    handshake_timeout: float = 5.0
    message_timeout: float | None = 30.0
    idle_timeout: float | None = None
    close_timeout: float = 5.0
    ping_interval: float | tuple[float, float] | None = (5.0, 30.0)
    ping_timeout: float = 20.0
    inbox_size: int = 64
    high_water_mark: int = 1024 * 1024
    write_timeout: float = 10.0
    pool_size: int = 1000
    drain_rate: int = 2000
    drain_timeout: float = 10.0
    require_warm_up: bool = False
    ready_path: str | None = None
    metrics: str | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_setting(field.name, str(field.type), getattr(self, field.name))

    @property
    def deflate(self) -> Compression | None:
        """How messages are compressed, or None."""
        return Compression() if self.compression is True else self.compression or None

    def replace(self, **changes: Any) -> Self:
        """Returns a copy with other values.

        Raises:
            ConfigError: for an unknown name or a value that cannot work.
        """
        names = {field.name for field in dataclasses.fields(self)}
        unknown = sorted(set(changes) - names)
        if unknown:
            raise ConfigError(f"no setting is called {unknown[0]!r}; there are {', '.join(sorted(names))}")
        for name in ("origins", "subprotocols", "ping_interval"):
            if isinstance(changes.get(name), list | set | frozenset):
                changes[name] = tuple(changes[name])
        return dataclasses.replace(self, **changes)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], **options: Any) -> Self:
        """Reads the ``GREENWS_*`` keys of a mapping, such as Flask's configuration; ``options`` win over them."""
        found = {
            field.name: mapping[key]
            for field in dataclasses.fields(cls)
            if (key := f"GREENWS_{field.name.upper()}") in mapping
        }
        return cls().replace(**{**found, **options})


def _check_setting(name: str, kind: str, value: object) -> None:
    if name in ("origins", "subprotocols"):
        _check_strings(name, value)
    elif name == "ready_path":
        _check_path(name, value)
    elif name == "metrics":
        _check_place(name, value)
    elif kind == "bool":
        _check_bool(name, value)
    elif name == "compression":
        if not isinstance(value, bool | Compression):
            raise ConfigError(f"compression must be True, False or a Compression, not {value!r}")
    elif isinstance(value, tuple) and "tuple" in kind:
        _check_pair(name, value)
    elif value is None:
        if "None" not in kind:
            raise ConfigError(f"{name} must be a number, not None")
    else:
        _check_number(name, value, whole=kind.startswith("int"))


def _check_path(name: str, value: object) -> None:
    if value is not None and not (isinstance(value, str) and value.startswith("/")):
        raise ConfigError(f"{name} must be a path like '/ready', not {value!r}")


def _check_place(name: str, value: object) -> None:
    if value is None or isinstance(value, str) and value.startswith("/"):
        return
    port = value.rpartition(":")[2] if isinstance(value, str) and ":" in value else ""
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ConfigError(f"{name} must be an address like '127.0.0.1:9464' or a path like '/metrics', not {value!r}")


def _check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False, not {value!r}")


def _check_strings(name: str, value: object) -> None:
    if value is None and name == "origins" or value == "*":
        return
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{name} must be a list of strings, not {value!r}")


def _check_pair(name: str, pair: tuple[Any, ...]) -> None:
    if len(pair) != 2:
        raise ConfigError(f"{name} must be a number or a pair of numbers, not {pair!r}")
    for value in pair:
        _check_number(name, value, whole=False)
    if pair[0] > pair[1]:
        raise ConfigError(f"{name} must be the shortest and the longest, not {pair!r}")


def _check_number(name: str, value: object, *, whole: bool) -> None:
    kind = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ConfigError(f"{name} must be {'a whole number' if whole else 'a number'}, not {value!r}")
    assert isinstance(value, int | float)
    if not value > 0 or value == float("inf"):
        raise ConfigError(f"{name} must be more than 0 and finite, not {value!r}")
