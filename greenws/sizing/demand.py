"""How many connections are wanted, and what they take."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from greenws.net.registry import RESERVE

USER = 1024  # bytes of a quiet connection in the server's process: 0.7 KB measured, with some air
KERNEL = 5 * 1024  # bytes of its socket, the server's end, in the kernel: 4.9 KB measured
PROCESS = 45 << 20  # bytes of a worker with a small application
SIGMAS = 5  # of chance by which a worker may get more than its share: once in three million


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is wanted of a machine.

    Attributes:
        connections: that are open at one time.
        workers: processes that share them.
        is_proxied: whether a proxy, or a load, on this machine connects to them. Then both ends are here.
        user, kernel: bytes that a connection takes of its process, and of the kernel for one end.
        process: bytes of a worker without connections.
    """

    connections: int
    workers: int = 1
    is_proxied: bool = False
    user: int = USER
    kernel: int = KERNEL
    process: int = PROCESS

    @property
    def share(self) -> int:
        """The connections that a worker must have room for.

        The kernel deals them out by a hash (``--reuse-port``), so a worker gets more than the mean by chance. For a
        binomial distribution that is some times the square root of the mean.
        """
        if self.workers == 1:
            return self.connections
        mean = self.connections / self.workers
        return min(self.connections, math.ceil(mean + SIGMAS * math.sqrt(mean)))

    @property
    def descriptors(self) -> int:
        """Of one worker: one for each connection, and those that ``max_connections`` leaves for other things."""
        return self.share + RESERVE

    def divided(self, nofile: int | None) -> Demand:
        """Returns the same with as many workers as a limit of descriptors asks for; None asks for none.

        A limit that leaves next to nothing beside the reserve must be raised: then no worker is added.
        """
        demand = self
        while nofile is not None and demand.descriptors > nofile > 2 * RESERVE:
            demand = replace(demand, workers=demand.workers + 1)
        return demand

    @property
    def ends(self) -> int:
        """Sockets of one connection on this machine. A proxy has two, one for its client and one for us."""
        return 3 if self.is_proxied else 1

    @property
    def memory(self) -> int:
        """Bytes, of the processes and of the kernel."""
        each = self.user + self.ends * self.kernel
        return self.connections * each + self.workers * self.process


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What an application costs on a machine, as a trial has measured it.

    Attributes:
        trial: connections it was measured with.
        user, kernel: bytes of memory of a quiet connection, in the process, and in the kernel for the server's end.
        is_kernel_assumed: whether ``kernel`` is what we measured elsewhere, because here it cannot be true.
        process: bytes of memory of a worker without connections, with its share of the parent's.
        handshake, ping: seconds of CPU of the server, for one.
    """

    trial: int
    user: int
    kernel: int
    is_kernel_assumed: bool
    process: int
    handshake: float
    ping: float

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for JSON."""
        return asdict(self)
