"""What a number of connections takes, by what one costs. No I/O."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from greenws.sizing.demand import Costs, Demand
from greenws.sizing.findings import Finding, examine
from greenws.sizing.readings import Readings

BUSY = 0.5  # of a core, at most, that pings may take of a worker: the rest is for messages, and for bad moments
PING_INTERVAL = 30.0  # seconds between two pings to a peer that answers in time: the longest of ``ping_interval``


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What it takes.

    Attributes:
        costs: what was measured.
        demand: with the number of workers.
        max_connections, nofile: the settings of each worker.
        user, kernel: bytes of memory, of all processes and of the kernel for our ends.
        ping_core: cores that pings take while all are quiet.
        handshake_core: cores that a thousand handshakes a second take.
        return_seconds: until all are back after a restart, with the workers and cores there are.
        addresses: that whoever connects needs: a proxy, or a load on one machine.
        findings: what the doctor says about that demand.
    """

    costs: Costs
    demand: Demand
    max_connections: int
    nofile: int
    user: int
    kernel: int
    ping_core: float
    handshake_core: float
    return_seconds: float
    addresses: int | None
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for JSON."""
        return asdict(self)


def estimate(connections: int, costs: Costs, readings: Readings) -> Estimate:
    """Multiplies, and chooses the number of workers.

    There are as many as pings need and as the hard limit of descriptors asks for; each is a process with its memory, so
    there are no more.
    """
    ping_core = connections / PING_INTERVAL * costs.ping
    demand = Demand(
        connections=connections,
        workers=max(1, math.ceil(ping_core / BUSY)),
        user=costs.user,
        kernel=costs.kernel,
        process=costs.process,
    ).divided(readings.nofile_hard)
    return Estimate(
        costs=costs,
        demand=demand,
        max_connections=demand.share,
        nofile=demand.descriptors,
        user=connections * costs.user + demand.workers * costs.process,
        kernel=connections * costs.kernel,
        ping_core=ping_core,
        handshake_core=1000 * costs.handshake,
        return_seconds=connections * costs.handshake / min(demand.workers, readings.cores),
        addresses=None if readings.ports is None else -(-connections // readings.ports),
        findings=examine(readings, demand),
    )
