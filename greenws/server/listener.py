"""Listening sockets, and accepting from them in batches."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from greenws.config import SocketOptions
from greenws.net.accept import accept
from greenws.net.options import prepare_to_listen
from greenws.net.reactor import Watched, get_reactor

log = logging.getLogger("greenws.server")

DEFAULT_OPTIONS = SocketOptions()
MAX_ACCEPT = 100  # in one turn: those who are connected have their turn too
MIN_DELAY, MAX_DELAY = 0.01, 0.5  # seconds without accepting when descriptors have run out

# Everything else passes: accept(2) reports a peer's errors, too.
_NOT_A_LISTENER = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)


def listen(address: tuple[str, int], options: SocketOptions = DEFAULT_OPTIONS) -> socket.socket:
    """Opens a listening TCP socket.

    Small answers are sent at once, unless the options say otherwise (TCP_NODELAY, which accepted sockets inherit on
    Linux): with Nagle's algorithm and delayed acknowledgements a keep-alive client would wait 40 ms.

    Args:
        address: host and port; an empty host is all addresses, port 0 any free port.
        options: of the socket, and of the connections that it accepts.
    """
    host, port = address[:2]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        prepare_to_listen(sock, options)
        sock.bind((host, port))
        sock.listen(options.backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def is_own_queue(sock: Any) -> bool:
    """Whether who waits on a listening socket is lost when this process closes it: each has its own (SO_REUSEPORT)."""
    return sock.family in (socket.AF_INET, socket.AF_INET6) and bool(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    )


class Acceptor(Watched):
    """Accepts connections and hands each descriptor, non-blocking, with the peer's address to ``accepted``.

    It does not own the listening socket. When descriptors run out it stops for a while, longer each time, and says so
    once a second at most; the connections that exist go on.

    Args:
        sock: listens. It is made non-blocking.
        accepted: gets each connection.
        max_accept: how many are taken in one turn.
        accept: takes one, as ``greenws.net.accept.accept`` does.
    """

    def __init__(
        self,
        sock: Any,
        accepted: Callable[[int, Any], None],
        max_accept: int = MAX_ACCEPT,
        accept: Callable[[int], tuple[int, Any] | None] = accept,
    ) -> None:
        self._accepted = accepted
        self._max_accept = max_accept
        self._accept_one = accept
        self._delay = MIN_DELAY
        self._timer: Any = None
        self._said = float("-inf")
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        os.set_blocking(sock.fileno(), False)
        self._fd = os.dup(sock.fileno())  # what is watched has one owner, and this one is ours
        self.watch(self._fd)

    def on_ready(self, readable: bool) -> None:
        """Accepts what has come."""
        self._accept(self._max_accept)

    def accept_all(self, most: int) -> None:
        """Accepts whoever waits, for when nobody else will; so many at most."""
        self._accept(most)

    def _accept(self, most: int) -> None:
        for _ in range(most):
            try:
                found = self._accept_one(self._fd)
            except ConnectionAbortedError:
                continue  # the peer gave up while it waited
            except OSError as error:
                self._back_off(error)
                return
            if found is None:
                return
            self._delay = MIN_DELAY
            self._accepted(*found)

    def _back_off(self, error: OSError) -> None:
        self._drop_timer()
        self.release()
        if error.errno in _NOT_A_LISTENER:
            raise error
        loop = get_reactor().loop
        if loop.now() - self._said >= 1:
            self._said = loop.now()
            log.error("cannot accept: %s; trying again in %.2f s", error.strerror, self._delay)
        self._timer = loop.timer(self._delay)
        self._timer.start(self._go_on)
        self._delay = min(MAX_DELAY, self._delay * 2)

    def _go_on(self) -> None:
        self._drop_timer()
        self.watch(self._fd)

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def stop(self) -> None:
        """Accepts no more."""
        self._drop_timer()
        self.release()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
