"""``SocketOptions`` on a socket: what each is for the kernel. tcp(7) and socket(7) of Linux are the source."""

from __future__ import annotations

import socket
import sys
from typing import Any

from greenws.config import SocketOptions
from greenws.errors import ConfigError

FASTOPEN_CONNECT = 30  # linux/tcp.h; the socket module has no name for it
_KEEPALIVE_IDLE = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", 0))  # the second is macOS's name

_NOT_EVERYWHERE = {
    "user_timeout": ("TCP_USER_TIMEOUT", hasattr(socket, "TCP_USER_TIMEOUT")),
    "reuse_port": ("SO_REUSEPORT", hasattr(socket, "SO_REUSEPORT")),
    "fast_open": ("TCP_FASTOPEN_CONNECT", sys.platform == "linux"),
}


def check(options: SocketOptions) -> None:
    """Raises ConfigError when an option is set that this system does not have."""
    for name, (option, is_here) in _NOT_EVERYWHERE.items():
        if getattr(options, name) and not is_here:
            raise ConfigError(f"{name} needs {option}, which this system does not have")


def prepare_to_connect(sock: Any, options: SocketOptions) -> None:
    """Sets up a socket that is to connect. One that is not TCP is left alone."""
    if _is_tcp(sock):
        _set_common(sock, options)
        if options.fast_open:
            sock.setsockopt(socket.IPPROTO_TCP, FASTOPEN_CONNECT, 1)


def prepare_to_listen(sock: Any, options: SocketOptions) -> None:
    """Sets up a socket that is to be bound and to listen. The connections it accepts inherit what holds for them."""
    if _is_tcp(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, options.reuse_address)
        if options.reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _set_common(sock, options)
        if options.fast_open:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, options.backlog)


def _is_tcp(sock: Any) -> bool:
    return sock.family in (socket.AF_INET, socket.AF_INET6)


def _set_common(sock: Any, options: SocketOptions) -> None:
    if options.nodelay:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if options.send_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer)
    if options.receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer)
    if options.user_timeout is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(options.user_timeout * 1000))
    if options.keepalive_idle is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, _KEEPALIVE_IDLE, options.keepalive_idle)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, options.keepalive_interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, options.keepalive_count)
