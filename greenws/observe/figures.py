"""Every metric by name, and values of them that can be added up over processes."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Self

from greenws.net.counts import BUCKETS

Kind = Literal["counter", "gauge", "histogram", "untyped"]
Labels = tuple[str, ...]
Value = float | list[float]  # of a histogram: the count of each bucket, of what is longer, and the sum


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """One metric, as Prometheus sees it.

    Attributes:
        name: whole, with its unit and the ``_total`` of a counter.
        kind: its type.
        labels: their names.
        help: what it says, in one sentence.
    """

    name: str
    kind: Kind
    labels: Labels
    help: str


ROUTE: Labels = ("route",)
POOL: Labels = ("pool",)
PID: Labels = ("pid",)

METRICS = (
    Metric("greenws_connections_open", "gauge", ROUTE, "WebSockets that are open."),
    Metric("greenws_connections_total", "counter", ROUTE, "WebSockets that were opened."),
    Metric("greenws_handshakes_total", "counter", ("status",), "Upgrade requests, by the HTTP status of the answer."),
    Metric("greenws_refused_heads_total", "counter", ("status",), "Request heads that the server could not accept."),
    Metric("greenws_closes_total", "counter", ("route", "code"), "WebSockets that have ended, by close code."),
    Metric("greenws_messages_received_total", "counter", ROUTE, "Messages received."),
    Metric("greenws_messages_sent_total", "counter", ROUTE, "Messages sent, or queued to be."),
    Metric("greenws_bytes_received_total", "counter", ROUTE, "Bytes of frames received, as they came, without TLS."),
    Metric("greenws_bytes_sent_total", "counter", ROUTE, "Bytes of frames sent, or queued to be, without TLS."),
    Metric("greenws_handler_seconds", "histogram", ROUTE, "Time that a message took its handler."),
    Metric("greenws_handlers_waiting", "gauge", (), "Connections with messages that wait for a handler to be free."),
    Metric("greenws_handlers_max", "gauge", (), "Handlers that may run at once."),
    Metric("greenws_upgrades_waiting", "gauge", (), "Upgrade requests that wait to be decided about."),
    Metric("greenws_inbox_messages", "gauge", ROUTE, "Messages received that no handler has taken yet."),
    Metric("greenws_send_queue_bytes", "gauge", ROUTE, "Bytes that wait for peers to read."),
    Metric("greenws_slow_consumers", "gauge", ROUTE, "Peers whose send queue is at the high-water mark."),
    Metric("greenws_high_water_total", "counter", ROUTE, "Times that a send queue reached the high-water mark."),
    Metric(
        "greenws_slow_consumers_closed_total", "counter", ROUTE, "WebSockets closed because their peer was too slow."
    ),
    Metric("greenws_broadcasts_dropped_total", "counter", ROUTE, "Messages of broadcasts that a slow peer missed."),
    Metric("greenws_pings_sent_total", "counter", ROUTE, "Pings sent."),
    Metric("greenws_ping_latency_seconds", "histogram", ROUTE, "Time from a ping to its pong."),
    Metric("greenws_limits_total", "counter", ("limit",), "Times that a limit was hit, by the name of its setting."),
    Metric("greenws_pool_connections", "gauge", ("pool", "state"), "Connections of a client pool, by what they do."),
    Metric("greenws_pool_waiting", "gauge", POOL, "Greenlets that wait for a lease."),
    Metric("greenws_pool_opened_total", "counter", POOL, "Connections that a client pool has opened."),
    Metric("greenws_pool_failed_total", "counter", POOL, "Attempts to open a connection that failed."),
    Metric("greenws_pool_closed_total", "counter", POOL, "Connections of a client pool that have ended."),
    Metric("greenws_pool_lost_total", "counter", POOL, "Connections of a client pool that ended, and not by us."),
    Metric("greenws_pool_leases_total", "counter", POOL, "Leases."),
    Metric("greenws_pool_leases_reused_total", "counter", POOL, "Leases of a connection that had been used before."),
    Metric("greenws_pool_leases_waited_total", "counter", POOL, "Leases that had to wait."),
    Metric("greenws_pool_leases_leaked_total", "counter", POOL, "Leases that nobody released, taken back by the pool."),
    Metric("greenws_hub_lag_seconds", "histogram", (), "How late the hub ran a timer that was due."),
    Metric("greenws_greenlets", "gauge", ("kind",), "Greenlets at work: handler, upgrade, view, spawned."),
    Metric("greenws_gc_pause_seconds", "histogram", ("generation",), "Time that a garbage collection took."),
    Metric("greenws_workers", "gauge", (), "Processes that these metrics are of."),
    Metric("greenws_worker_connections", "gauge", PID, "WebSockets that are open in one process."),
    Metric("process_cpu_seconds_total", "counter", PID, "Total user and system CPU time spent in seconds."),
    Metric("process_open_fds", "gauge", PID, "Number of open file descriptors."),
    Metric("process_max_fds", "gauge", PID, "Maximum number of open file descriptors."),
    Metric("process_virtual_memory_bytes", "gauge", PID, "Virtual memory size in bytes."),
    Metric("process_resident_memory_bytes", "gauge", PID, "Resident memory size in bytes."),
    Metric("process_start_time_seconds", "gauge", PID, "Start time of the process since unix epoch in seconds."),
    Metric("node_netstat_Tcp_ActiveOpens", "untyped", (), "Statistic TcpActiveOpens."),
    Metric("node_memory_MemAvailable_bytes", "gauge", (), "Memory information field MemAvailable_bytes."),
    Metric("node_filefd_allocated", "gauge", (), "File descriptor statistics: allocated."),
)
KINDS = {metric.name: metric.kind for metric in METRICS}
NOTHING: list[float] = [0.0] * (len(BUCKETS) + 2)


class Figures:
    """Values of metrics, by name and by the values of their labels. All of them can be added up.

    Attributes:
        values: the values.
    """

    def __init__(self) -> None:
        self.values: dict[str, dict[Labels, Value]] = {}

    def add(self, name: str, value: Value, *labels: str) -> None:
        """Adds a value to the one that there is."""
        held = self.values.setdefault(name, {})
        before = held.get(labels, 0)
        if isinstance(value, list):
            buckets = before if isinstance(before, list) else NOTHING
            held[labels] = [a + b for a, b in zip(buckets, value, strict=True)]
        else:
            assert not isinstance(before, list)
            held[labels] = before + value

    def merge(self, other: Figures, *, only_counts: bool = False) -> None:
        """Adds another process's figures. ``only_counts`` leaves out what is no longer so when a process has ended."""
        for name, values in other.values.items():
            if only_counts and KINDS[name] not in ("counter", "histogram"):
                continue
            for labels, value in values.items():
                self.add(name, value, *labels)

    def as_json(self) -> dict[str, Any]:
        """Returns what ``json`` can write."""
        return {name: [[*labels, value] for labels, value in held.items()] for name, held in self.values.items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Returns what ``as_json`` was made from. A metric that another version of us had is passed over."""
        figures = cls()
        for name, rows in data.items():
            if name in KINDS:
                figures.values[name] = {tuple(labels): value for *labels, value in rows}
        return figures
