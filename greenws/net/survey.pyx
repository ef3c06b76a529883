"""What waits on connections at this moment: looked up when somebody asks, so that nothing is kept for it."""

from greenws.net.connection cimport Connection
from greenws.net.sender cimport CLOSED, CONNECTING


class Waiting:
    """What waits on the connections of one route.

    Attributes:
        queued: bytes for peers.
        slow: connections at the high-water mark.
        inbox: messages for handlers.
        spawned: greenlets that connections have spawned.
    """

    __slots__ = ("inbox", "queued", "slow", "spawned")

    def __init__(self):
        self.queued = self.slow = self.inbox = self.spawned = 0


def survey(list connections not None, dict found not None):
    """Adds what waits on these connections to ``found``, by the name of their route. About 20 ns for a quiet connection."""
    cdef Connection connection
    for connection in connections:
        if connection.outbox is None and connection.first is None and connection.extras is None:
            continue
        if connection.state == CONNECTING or connection.state == CLOSED:
            continue
        waiting = found.get(connection.service.name)
        if waiting is None:
            waiting = found[connection.service.name] = Waiting()
        if connection.outbox is not None:
            waiting.queued += connection.outbox.size()
            waiting.slow += connection.outbox.over_since != 0
        if connection.first is not None:
            waiting.inbox += 1 if connection.rest is None else 1 + len(connection.rest)
        if connection.extras is not None:
            waiting.spawned += len(connection.extras.greenlets)
