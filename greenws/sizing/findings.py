"""What a machine's limits mean for a number of connections: readings in, findings out. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from greenws.net.registry import RESERVE
from greenws.sizing import remedies
from greenws.sizing.demand import Demand
from greenws.sizing.readings import Readings
from greenws.sizing.remedies import Remedy

BACKLOG = 4096  # what Linux allows since 5.4, and what our server asks for (``SocketOptions.backlog``)
FIRST_PORT, LAST_PORT = 1024, 65535  # those below are for servers that root starts
PAGE = 4096  # bytes; net.ipv4.tcp_mem counts in pages
BUFFERS = 2 * PAGE  # that TCP counts for a socket with a small message under way in each direction
SWAPPED = 64 << 20  # bytes in swap that are worth a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found about one limit.

    Attributes:
        name: what was looked at.
        level: ``fine``, ``low`` when it will not hold, or ``note`` for what may matter.
        now, needed: as it is and as it should be at least; ``needed`` is None for what is not judged by a number.
        unit: ``bytes``, or nothing.
        why: a sentence or two.
        remedies: what to do, when it is not fine: one for each place in which it may be done.
    """

    name: str
    level: str
    now: int
    needed: int | None
    unit: str = ""
    why: str
    remedies: tuple[Remedy, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for JSON."""
        return asdict(self)


def examine(readings: Readings, demand: Demand) -> tuple[Finding, ...]:
    """Judges all limits. What the machine does not have, or does not limit, is left out."""
    return tuple(finding for check in CHECKS for finding in check(readings, demand))


def is_enough(findings: tuple[Finding, ...]) -> bool:
    """Whether nothing is too low."""
    return all(finding.level != "low" for finding in findings)


def _judge(
    name: str, now: int | None, needed: int, why: str, fixes: tuple[Remedy, ...], *, unit: str = "", miss: str = "low"
) -> Iterator[Finding]:
    """A number that must be reached. ``miss`` is the level when it is not."""
    if now is None:
        return
    is_short = now < needed
    yield Finding(
        name=name,
        level=miss if is_short else "fine",
        now=now,
        needed=needed,
        unit=unit,
        why=why,
        remedies=fixes if is_short else (),
    )


def _descriptors(readings: Readings, demand: Demand) -> Iterator[Finding]:
    needed = demand.descriptors
    why = f"A connection is a descriptor: {demand.share:,} of a worker, and {RESERVE} that are kept for other things."
    if readings.nofile_hard is not None and readings.nofile_hard < needed:
        beyond = "No process may have more, not even one of root."
        fixes = remedies.sysctl("fs.nr_open", needed, in_container=False)
        yield from _judge("fs.nr_open", readings.nr_open, needed, beyond, fixes)
        fixes = remedies.nofile(needed, is_hard=True)
        if (workers := demand.divided(readings.nofile_hard).workers) > demand.workers:
            fixes += (
                Remedy(
                    "server", f"greenws run --workers {workers} --reuse-port", "instead; each has a limit of its own"
                ),
            )
        yield from _judge("nofile, hard", readings.nofile_hard, needed, f"{why} Only root can raise it.", fixes)
    else:
        fixes = remedies.nofile(needed, is_hard=False)
        yield from _judge("nofile", readings.nofile_soft, needed, why, fixes)


def _descriptors_of_all(readings: Readings, demand: Demand) -> Iterator[Finding]:
    sockets = demand.ends * demand.connections
    needed = readings.file_used + sockets + RESERVE * demand.workers
    why = "The descriptors of all processes of the machine, with those that are in use."
    fixes = remedies.sysctl("fs.file-max", needed, in_container=False)
    yield from _judge("fs.file-max", readings.file_max, needed, why, fixes)
    why = "The descriptors that all processes of one user may watch. Each connection is watched."
    fixes = remedies.sysctl("fs.epoll.max_user_watches", sockets, in_container=False)
    yield from _judge("fs.epoll.max_user_watches", readings.epoll_watches, sockets, why, fixes)


def _accept_queue(readings: Readings, demand: Demand) -> Iterator[Finding]:
    needed = min(BACKLOG, demand.connections)
    why = "After a restart all come at once and wait in this queue. Who finds it full tries again a second later."
    fixes = remedies.sysctl("net.core.somaxconn", needed, in_container=True)
    fixes += (Remedy("server", f"greenws run --backlog {needed}", "by itself gunicorn asks for 2048"),)
    yield from _judge("net.core.somaxconn", readings.somaxconn, needed, why, fixes)


def _handshake_queue(readings: Readings, demand: Demand) -> Iterator[Finding]:
    name = "net.ipv4.tcp_max_syn_backlog"
    if readings.syncookies == 0:
        needed = min(BACKLOG, demand.connections)
        why = "Without SYN cookies so many handshakes of TCP may be under way; the others are dropped."
        fixes = remedies.sysctl(name, needed, in_container=True)
        fixes += (Remedy("shell", "sysctl -w net.ipv4.tcp_syncookies=1", "instead; then the limit does not count"),)
        yield from _judge(name, readings.syn_backlog, needed, why, fixes)
    elif readings.syn_backlog is not None:
        why = "It does not count, because SYN cookies are on (net.ipv4.tcp_syncookies)."
        yield Finding(name=name, level="fine", now=readings.syn_backlog, needed=None, why=why)


def _ports(readings: Readings, demand: Demand) -> Iterator[Finding]:
    needed, most = demand.connections, LAST_PORT - FIRST_PORT + 1
    why = (
        "Who connects to one address and port, a proxy or a load, has a port for each connection. A server needs none."
    )
    fixes = remedies.sysctl("net.ipv4.ip_local_port_range", f"{FIRST_PORT} {LAST_PORT}", in_container=True)
    if needed > most:
        addresses = -(-needed // most)
        fixes += (Remedy("server", f"{addresses} addresses to connect from (proxy_bind), or to listen on (--bind)"),)
    miss = "low" if demand.is_proxied else "note"
    yield from _judge("net.ipv4.ip_local_port_range", readings.ports, needed, why, fixes, miss=miss)
    why = "Who closes first cannot use the port again for a minute, unless this says so. It is for who connects, too."
    fixes = remedies.sysctl("net.ipv4.tcp_tw_reuse", 1, in_container=True)
    yield from _judge("net.ipv4.tcp_tw_reuse", readings.tw_reuse, 1, why, fixes, miss=miss)


def _memory(readings: Readings, demand: Demand) -> Iterator[Finding]:
    why = "Quiet connections with all their sockets here. What an application keeps for them is on top: greenws plan."
    fixes: tuple[Remedy, ...] = (Remedy("server", "fewer connections on this machine, or more memory"),)
    yield from _judge("memory", readings.memory_available, demand.memory, why, fixes, unit="bytes")
    if readings.cgroup is not None:
        why = "What the service or container may have beyond what it has, in the kernel, too. Beyond it, it is killed."
        fixes = remedies.group_memory(readings.cgroup_used + demand.memory)
        left = max(0, readings.cgroup - readings.cgroup_used)
        yield from _judge("memory of the cgroup", left, demand.memory, why, fixes, unit="bytes")
    why = "The buffers of all TCP sockets, when each has a message under way. Beyond it the kernel drops what comes."
    needed = demand.ends * demand.connections * BUFFERS
    pages = needed // PAGE
    fixes = remedies.sysctl("net.ipv4.tcp_mem", f"{pages // 2} {pages * 3 // 4} {pages}", in_container=False)
    yield from _judge("net.ipv4.tcp_mem", readings.tcp_memory, needed, why, fixes, unit="bytes")


def _swap(readings: Readings, demand: Demand) -> Iterator[Finding]:
    is_much = readings.swap_used > SWAPPED
    yield Finding(
        name="swap in use",
        level="note" if is_much else "fine",
        now=readings.swap_used,
        needed=None,
        unit="bytes",
        why="A worker that was swapped out answers late, and its peers give it up.",
        remedies=remedies.no_swap() if is_much else (),
    )


def _conntrack(readings: Readings, demand: Demand) -> Iterator[Finding]:
    # One that does not leave the machine is tracked once, so those of a proxy make two entries and not three.
    needed = readings.conntrack_used + demand.connections * (2 if demand.is_proxied else 1)
    why = "The connections that the firewall tracks, with those that it tracks now. Those beyond are dropped."
    fixes = remedies.sysctl("net.netfilter.nf_conntrack_max", needed, in_container=False)
    yield from _judge("net.netfilter.nf_conntrack_max", readings.conntrack, needed, why, fixes)


CHECKS: tuple[Callable[[Readings, Demand], Iterator[Finding]], ...] = (
    _descriptors,
    _descriptors_of_all,
    _accept_queue,
    _handshake_queue,
    _ports,
    _memory,
    _swap,
    _conntrack,
)
