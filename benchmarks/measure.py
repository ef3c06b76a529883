"""Runs one server on one core and the load on another."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.servers import BUILT, ROOT, Server
from benchmarks.works import Work

STARTING = 20.0  # seconds until a server must listen
Figures = dict[str, float | None]


class Unusable(Exception):
    """A server or a run failed; the text says how."""


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside has one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


@contextlib.contextmanager
def running(server: Server, core: int, path: tuple[Path, ...] = (ROOT,)) -> Iterator[tuple[int, int]]:
    """Runs a server inside; gives its process and its port.

    Args:
        server: which.
        core: the one it gets.
        path: where Python finds GreenWS and the peers.

    Raises:
        Unusable: it does not listen in time.
    """
    port = free_port()
    environ = {**os.environ, **server.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    with on_core(core):
        process = subprocess.Popen(
            server.arguments(port), cwd=BUILT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
    try:
        _await_port(process, port)
        yield process.pid, port
    finally:
        process.kill()
        process.communicate()


def _await_port(process: subprocess.Popen[str], port: int) -> None:
    until = time.monotonic() + STARTING
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            assert process.stderr is not None
            raise Unusable(f"it ended at once: {process.stderr.read().strip()[-300:]}")
        time.sleep(0.05)
    raise Unusable(f"it does not listen after {STARTING:.0f} s")


def measure(server: Server, work: Work, pid: int, port: int, core: int, share: float) -> dict[str, Any]:
    """Lets the load do one work on a server that runs, and returns what ``greenws bench`` says.

    Args:
        share: of the seconds of a full run.

    Raises:
        Unusable: connections failed, or messages came back wrong.
    """
    url = f"ws://127.0.0.1:{port}{server.fanout if work.route == 'fanout' else server.echo}"
    command = [str(Path(sys.executable).with_name("greenws")), "bench", url, "--json", "--pid", str(pid)]
    command += work.options.split()
    if work.seconds:
        command += ["-d", str(work.seconds * share)]
    with on_core(core):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise Unusable(done.stderr.strip()[-300:]) from None
    if not result["is_good"]:
        raise Unusable(", ".join(f"{name} {result[name]}" for name in ("failed", "lost", "wrong", "refusal")))
    return result


def figures_of(result: dict[str, Any], work: Work) -> Figures:
    """Returns the figures that tables and plots are made of. Microseconds, seconds, bytes, shares."""
    is_opening = work.figure in ("opening", "seconds")
    cost = result["opening_cost" if is_opening else "cost"]
    times = result["openings" if is_opening else "answers"]
    memory = result["memory"] or {"pss": None, "kernel": None}
    user, system = cost["user_us"], cost["system_us"]
    cpu = None if user is None else user + system
    return {
        "cpu": cpu,
        "opening": cpu,
        "user": user,
        "system": system,
        "core": cost["core"],
        "client": result["client_core"],
        "rate": result["opened_per_second" if is_opening else "messages_per_second"],
        "seconds": result["opening_seconds"],
        **{name: times[name] for name in ("p50", "p99", "p999")},
        **memory,
    }
