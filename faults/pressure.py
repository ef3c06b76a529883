"""A process that stands still, and one that has little memory."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.control import Control
from faults.peers import REQUEST, TEXT, Crowd, masked
from faults.servers import memory, serve

GROUPS = Path("/sys/fs/cgroup/memory")


def frozen(seconds: float = 60.0, count: int = 2000) -> Iterator[tuple[str, str, bool]]:
    """F13: a handler blocks the hub for longer than any deadline of a heartbeat."""
    heartbeat = {"FLASK_GREENWS_PING_INTERVAL": "5", "FLASK_GREENWS_PING_TIMEOUT": "5"}
    monitor = {"GEVENT_MONITOR_THREAD_ENABLE": "1", "GEVENT_MAX_BLOCKING_TIME": "0.1"}
    with serve("--timeout=300", **heartbeat, **monitor) as server:
        crowd = Crowd(server.port).connect(count)
        crowd.run(6)
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(REQUEST % b"/block")
            sock.recv(65536)
            begin = time.monotonic()
            sock.sendall(masked(TEXT, str(seconds).encode()))
            crowd.run(3)
            reported = "blocked" in server.log()
            crowd.run(seconds)
            server.health()
            stood = time.monotonic() - begin
            crowd.run(15)
        yield "stood still", f"{stood:.0f} s", stood >= seconds
        yield "stack in the log", "by gevent's monitor, within 3 s" if reported else "none", reported
        yield "healthy peers that were ended", str(dict(crowd.ends) or 0), not crowd.ends
        crowd.close()


@contextmanager
def _group(limit: int) -> Iterator[Path]:
    """A control group with so many bytes of memory. Needs root, and control groups version 1."""
    group = GROUPS / f"greenws-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        yield group
    finally:
        group.rmdir()


def little_memory(mebibytes: int = 512, seconds: float = 60.0) -> Iterator[tuple[str, str, bool]]:
    """F15: deaf readers of a broadcast, floods of pings and unfinished messages, in a process of little memory."""
    with _group(mebibytes << 20) as group, serve(FLASK_GREENWS_MAX_CONNECTIONS="5000") as server:
        (worker,) = server.workers
        for pid in (server.process.pid, worker):
            (group / "cgroup.procs").write_text(str(pid))
        crowd = Crowd(server.port, "/news").connect(500)
        deaf = Crowd(server.port, "/news", receive_buffer=4096).connect(300)
        halves = Crowd(server.port).connect(4100)
        # 200 KiB of a message of 1 MiB each, as far as they are let
        halves.send(b"\x82\xff" + (1 << 20).to_bytes(8, "big") + bytes(4) + bytes(60000))
        control = Control(server.port)
        next(iter(crowd.peers.values())).sock.send(masked(TEXT, b"1000000 16384"))
        most, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            crowd.run(0.5)
            halves.run(0.05)
            most = max(most, memory(worker))
        control.stop()
        failures = int((group / "memory.failcnt").read_text())
        yield "memory", f"{most / 1024:.0f} MiB of {mebibytes} at most; the limit was met {failures} times", True
        yield "killed", str(int(worker not in server.workers)), worker in server.workers
        yield "refused", str(dict(halves.ends + deaf.ends) or 0), True
        yield "control", control.verdict, not control.error
        for peers in (crowd, deaf, halves):
            peers.close()
        _leave(group, server.process.pid, worker)


def _leave(group: Path, *pids: int) -> None:
    for pid in pids:
        (group.parent / "cgroup.procs").write_text(str(pid))
