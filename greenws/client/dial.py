"""A TCP connection to a host, without blocking the hub and without monkey-patching.

All addresses are tried, both families alternately, each begun a little after the one before and at once when that has
failed: "Happy Eyeballs" (RFC 8305). The first that answers wins.
"""

from __future__ import annotations

from itertools import chain, zip_longest

import gevent
from gevent import socket
from gevent.event import Event

from greenws.client.names import AddressInfo, Names, by_family
from greenws.config import SocketOptions
from greenws.errors import ConnectError
from greenws.net.options import prepare_to_connect

STAGGER = 0.25  # seconds from one attempt to the next: RFC 8305 §5 and §8


def dial(host: str, port: int, options: SocketOptions, names: Names) -> socket.socket:
    """Connects to a host. Blocks the calling greenlet; the caller bounds the whole, ``connect_timeout`` each attempt.

    Args:
        host: a name or an IP address.
        port: of the server.
        options: set on the socket before it connects.
        names: looks the host up.

    Returns:
        A gevent socket, which the caller owns.

    Raises:
        ConnectError: the name is unknown, or no address answers. Its cause is the first address's error.
    """
    try:
        found = names.resolve(host, port)
    except OSError as error:
        raise ConnectError(f"{host} cannot be resolved: {error.strerror or error}") from error
    try:
        return _connect(found[0], options) if len(found) == 1 else _Race(interleave(found), options).run()
    except OSError as error:
        raise ConnectError(f"cannot connect to {host} port {port}: {error.strerror or error}") from error


def interleave(found: list[AddressInfo]) -> list[AddressInfo]:
    """Orders addresses so that the families alternate, beginning with that of the first (RFC 8305 §4)."""
    return [item for item in chain.from_iterable(zip_longest(*by_family(found))) if item is not None]


def _connect(info: AddressInfo, options: SocketOptions) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        prepare_to_connect(sock, options)
        with gevent.Timeout(options.connect_timeout, TimeoutError(f"no answer within {options.connect_timeout} s")):
            sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


class _Race:
    """Attempts to reach one host at several addresses, of which one wins. All others leave nothing behind."""

    def __init__(self, addresses: list[AddressInfo], options: SocketOptions) -> None:
        self._addresses = addresses
        self._options = options
        self._changed = Event()
        self._errors: list[OSError] = []
        self._winner: socket.socket | None = None
        self._is_over = False

    def run(self) -> socket.socket:
        """Blocks until one attempt has succeeded or all have failed."""
        running = []
        try:
            for started, info in enumerate(self._addresses, 1):
                running.append(gevent.spawn(self._attempt, info))
                self._wait(started, STAGGER)
                if self._winner is not None:
                    break
            while self._winner is None and len(self._errors) < len(self._addresses):
                self._wait(len(self._addresses), None)
            if self._winner is None:
                raise self._errors.pop(0)  # not held any more: its traceback holds this object
            winner, self._winner = self._winner, None
            return winner
        finally:
            self._is_over = True
            gevent.killall(running, block=False)
            if self._winner is not None:  # we were killed, or timed out, in the moment it won
                self._winner.close()

    def _wait(self, started: int, seconds: float | None) -> None:
        """Until one has won, all that were started have failed, or the time is up."""
        if self._winner is None and len(self._errors) < started:
            self._changed.clear()
            self._changed.wait(seconds)

    def _attempt(self, info: AddressInfo) -> None:
        try:
            sock = _connect(info, self._options)
        except OSError as error:
            self._errors.append(error)
        else:
            if self._is_over or self._winner is not None:
                sock.close()
            else:
                self._winner = sock
        self._changed.set()
