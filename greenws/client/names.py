"""The addresses of a host, without blocking the hub: each connection asks for them, few of them cost a look-up."""

from __future__ import annotations

import _socket
import time
from typing import Any

import gevent
from gevent.lock import Semaphore

KEPT = 1.0  # seconds that an answer serves: enough for a warm-up, and a change of address is seen within them
MAX_HOSTS = 10  # beyond the one of the URL: its proxy, and those it redirects to

AddressInfo = tuple[int, int, int, str, Any]  # as getaddrinfo has it


def resolve(host: str, port: int) -> list[AddressInfo]:
    """Returns the addresses of a host, best first (RFC 6724). A name is looked up by gevent's resolver.

    Raises:
        OSError: there are none.
    """
    try:
        return _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM, 0, _socket.AI_NUMERICHOST)
    except _socket.gaierror:  # not an address; that is found out without a look-up
        return gevent.get_hub().resolver.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)  # type: ignore[no-any-return]


def by_family(found: list[AddressInfo]) -> tuple[list[AddressInfo], list[AddressInfo]]:
    """Returns the addresses of the first one's family, and the others."""
    first = [info for info in found if info[0] == found[0][0]]
    return first, [info for info in found if info[0] != found[0][0]]


class Names:
    """Look-ups shared by connections that are opened side by side, and within KEPT seconds. Of one thread."""

    def __init__(self) -> None:
        self._hosts: dict[tuple[str, int], _Host] = {}

    def resolve(self, host: str, port: int) -> list[AddressInfo]:
        """As the function of this name. May block; that another greenlet is killed meanwhile does no harm.

        Raises:
            OSError: there are none, as just asked or as asked for another.
        """
        found = self._hosts.get((host, port))
        if found is None:
            if len(self._hosts) > MAX_HOSTS:
                self._hosts.clear()
            found = self._hosts[host, port] = _Host(host, port)
        return found.resolve()


class _Host:
    """One host and port: the last answer, or the last error."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = Semaphore()
        self._at = -KEPT
        self._answer: list[AddressInfo] = []
        self._error: OSError | None = None

    def resolve(self) -> list[AddressInfo]:
        asked = time.monotonic()
        with self._lock:
            # An error serves only those who waited for it.
            if self._at <= (asked - KEPT if self._error is None else asked):
                self._look_up()
        if self._error is not None:
            raise type(self._error)(*self._error.args)
        return self._next_answer()

    def _look_up(self) -> None:
        try:
            self._answer, self._error = resolve(self._host, self._port), None
        except OSError as error:
            self._error = error.with_traceback(None)
        self._at = time.monotonic()

    def _next_answer(self) -> list[AddressInfo]:
        """The answer, and for the next another address of the same family first: one answer is not to be one server."""
        answer = self._answer
        first, others = by_family(answer)
        self._answer = first[1:] + first[:1] + others
        return answer
