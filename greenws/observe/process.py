"""All figures of one application in one process, of whatever parts of it have connections."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from http import HTTPStatus
from typing import Any, Protocol

import gevent

from greenws.net.counts import Times
from greenws.net.reactor import get_reactor
from greenws.net.registry import Registry
from greenws.net.sender import Service
from greenws.net.survey import Waiting, survey
from greenws.observe.figures import NOTHING, Figures
from greenws.observe.pulse import Pulse

SLICE = 5000  # connections looked at in one turn of the hub: a tenth of a millisecond
MAX_POOLS = 50  # client pools with a label of their own; the others are "other" together
A_TURN = 1e-6  # seconds: with 0 gevent would let other greenlets run, but not look at descriptors and timers
OTHER = "other"  # for a value of a label that is not one of those known
COUNTS = {
    "greenws_connections_total": "opened",
    "greenws_messages_received_total": "received",
    "greenws_messages_sent_total": "sent",
    "greenws_bytes_received_total": "received_bytes",
    "greenws_bytes_sent_total": "sent_bytes",
    "greenws_high_water_total": "high_water",
    "greenws_slow_consumers_closed_total": "too_slow",
    "greenws_broadcasts_dropped_total": "dropped",
    "greenws_pings_sent_total": "pings",
}
POOL_COUNTS = ("opened", "failed", "closed", "lost", "leases")
STATUSES = {int(status) for status in HTTPStatus}


class Observed(Protocol):
    """A part of an application that has connections: an extension, a middleware."""

    @property
    def registry(self) -> Registry:
        """Its connections."""

    def prepare(self) -> None:
        """Makes what ``routes`` returns, as far as it is not made at the first request only."""

    def routes(self) -> Iterable[tuple[str, Service]]:
        """Returns a label, such as the rule, for each route, and what its connections share."""


class Process:
    """Reads the figures of an application in this process.

    Args:
        observed: its parts, of which there may be more later.
        pools: returns the name and the ``PoolStats`` of each client pool.

    Attributes:
        handshakes: how often upgrade requests were answered with each HTTP status.
        limits, refusals: as a registry has them, for a server that knows of none.
        pulse: of this process.
    """

    def __init__(self, observed: Collection[Observed], pools: Callable[[], Iterable[tuple[str, Any]]]) -> None:
        self.handshakes: Counter[int] = Counter()
        self.limits: Counter[str] = Counter()
        self.refusals: Counter[int] = Counter()
        self.pulse = Pulse()
        self._observed = observed
        self._pools = pools

    def prepare(self) -> None:
        """Lets each route be there with its zeros."""
        for part in tuple(self._observed):
            part.prepare()

    def read(self) -> Figures:
        """Returns the figures of now. Lets others run between looks at many connections, and not after that."""
        looked_at = [(part, _look_at(part.registry)) for part in tuple(self._observed)]
        figures = Figures()
        figures.add("greenws_worker_connections", 0, str(os.getpid()))
        for part, waiting in looked_at:
            for rule, service in part.routes():
                _read_route(figures, rule, service, waiting.get(service.name) or Waiting())
        self._read_server(figures)
        self._read_handlers(figures, sum(item.spawned for _, waiting in looked_at for item in waiting.values()))
        self._read_pools(figures)
        return figures

    def _read_server(self, figures: Figures) -> None:
        counting: list[Process | Registry] = [self, *(part.registry for part in self._observed)]
        by_status = [("greenws_refused_heads_total", counts.refusals) for counts in counting]
        for name, counter in [("greenws_handshakes_total", self.handshakes), *by_status]:
            for status, count in counter.items():
                figures.add(name, count, str(status) if status in STATUSES else OTHER)
        for counts in counting:
            for limit, count in counts.limits.items():
                figures.add("greenws_limits_total", count, limit)
        figures.add("greenws_workers", 1)
        figures.add("greenws_hub_lag_seconds", _histogram(self.pulse.lag))
        for generation, pauses in enumerate(self.pulse.pauses):
            figures.add("greenws_gc_pause_seconds", _histogram(pauses), str(generation))

    def _read_handlers(self, figures: Figures, spawned: int) -> None:
        reactor = get_reactor()
        handlers, upgrades = reactor.pool, reactor.upgrades
        figures.add("greenws_handlers_waiting", 0 if handlers is None else len(handlers.waiting))
        figures.add("greenws_handlers_max", 0 if handlers is None else handlers.size)
        figures.add("greenws_upgrades_waiting", 0 if upgrades is None else len(upgrades.waiting))
        figures.add("greenws_greenlets", 0 if handlers is None else handlers.running, "handler")
        figures.add("greenws_greenlets", 0 if upgrades is None else upgrades.running, "upgrade")
        figures.add("greenws_greenlets", sum(len(part.registry.views) for part in self._observed), "view")
        figures.add("greenws_greenlets", spawned, "spawned")

    def _read_pools(self, figures: Figures) -> None:
        names: set[str] = set()
        for name, stats in self._pools():
            pool = name if name in names or len(names) < MAX_POOLS else OTHER
            names.add(pool)
            for state in ("idle", "leased", "opening"):
                figures.add("greenws_pool_connections", getattr(stats, state), pool, state)
            figures.add("greenws_pool_waiting", stats.waiting, pool)
            for count in POOL_COUNTS:
                figures.add(f"greenws_pool_{count}_total", getattr(stats, count), pool)
            figures.add("greenws_pool_leases_reused_total", stats.reused, pool)
            figures.add("greenws_pool_leases_waited_total", stats.waited, pool)
            figures.add("greenws_pool_leases_leaked_total", stats.leaked, pool)


def _look_at(registry: Registry) -> dict[str, Waiting]:
    """What waits on the connections of each route, by its name."""
    waiting: dict[str, Waiting] = {}
    everyone = registry.everyone()
    for start in range(0, len(everyone), SLICE):
        if start:
            gevent.sleep(A_TURN)
        survey(everyone[start : start + SLICE], waiting)
    return waiting


def _read_route(figures: Figures, rule: str, service: Service, waiting: Waiting) -> None:
    counts = service.counts
    for name, attribute in COUNTS.items():
        figures.add(name, getattr(counts, attribute), rule)
    figures.add("greenws_connections_open", counts.opened - counts.closed, rule)
    figures.add("greenws_worker_connections", counts.opened - counts.closed, str(os.getpid()))
    for code, count in counts.read_closes().items():
        figures.add("greenws_closes_total", count, rule, OTHER if code is None else str(code))
    figures.add("greenws_handler_seconds", _histogram(counts.handling), rule)
    figures.add("greenws_ping_latency_seconds", _histogram(counts.latency), rule)
    figures.add("greenws_inbox_messages", waiting.inbox, rule)
    figures.add("greenws_send_queue_bytes", waiting.queued, rule)
    figures.add("greenws_slow_consumers", waiting.slow, rule)


def _histogram(times: Times) -> list[float]:
    counts, total = times.read()
    assert len(counts) + 1 == len(NOTHING)
    return [*counts, total]
