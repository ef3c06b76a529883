"""Who is connected: counted, limited, and sent away in good order."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenws.net.connection import Connection

RESERVE = 256  # descriptors kept for everything that is not a WebSocket: logs, databases, listeners, plain HTTP


def default_limit() -> int:
    """Returns how many connections the descriptor limit of this process has room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft - RESERVE) if soft != resource.RLIM_INFINITY else 1_000_000


class Registry:
    """The connections of one application in this process, from the moment their upgrade is being decided.

    Args:
        limit: ``max_connections``; None takes what the descriptor limit allows.

    Attributes:
        is_draining: no new connections are taken.
        limits: how often each limit was hit, by its setting's name. A server counts here, too, what it refuses before
            it hears of the application. An increment that two threads make at once may be lost.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = default_limit() if limit is None else limit
        self.is_draining = False
        self.limits: Counter[str] = Counter()
        self._live: set[Connection] = set()
        self.add = self._live.add
        self.discard = self._live.discard

    def __len__(self) -> int:
        """Counts the connections, with those whose upgrade is under way."""
        return len(self._live)

    def __iter__(self) -> Iterator[Connection]:
        """Iterates over those that are connected now; connections may come and go meanwhile."""
        return iter([connection for connection in self._live if not connection.is_connecting])

    @property
    def is_full(self) -> bool:
        """Whether a further upgrade must be refused."""
        return len(self._live) >= self.limit

    def drain(self, timeout: float, code: int = 1001, reason: str = "") -> bool:
        """Closes all connections and takes no new ones. Blocks until they are closed or the time is up.

        Args:
            timeout: seconds to wait.
            code, reason: what the peers are told (RFC 6455 §7.4.1).

        Returns:
            Whether all closed in good order; those that did not are aborted.
        """
        self.is_draining = True
        until = time.monotonic() + timeout
        connections = tuple(self._live)
        for connection in connections:
            connection.close(code, reason)
        left = [conn for conn in connections if not conn.wait_closed(max(0.0, until - time.monotonic()))]
        for connection in left:
            connection.abort()
        return not left
