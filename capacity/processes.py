"""The two sides of a run, each a process of its own: the server with its workers, and locust."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from capacity.plan import Plan
from capacity.scrape import FAILURES, scrape

ROOT = Path(__file__).parent.parent
STARTING = 30.0  # seconds for all workers of a server
ENDING = 30.0


class Server(NamedTuple):
    """A server that runs: its first process, and its ports of the loopback interface."""

    pid: int
    port: int
    metrics_port: int


@contextlib.contextmanager
def server(workers: int, folder: Path) -> Iterator[Server]:
    """Runs the demo by ``greenws run``, on free ports, and ends it with its workers. Its log is in ``folder``."""
    port, metrics_port = _free_ports()
    command = [sys.executable, "-c", "from greenws.cli import main; main()", "run", "greenws.demo.app:create_app()"]
    command += [f"--workers={workers}", f"--bind=127.0.0.1:{port}", "--log-level=warning", "--graceful-timeout=10"]
    environ = {**os.environ, "FLASK_GREENWS_METRICS": f"127.0.0.1:{metrics_port}"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(workers, metrics_port, process)
        yield Server(process.pid, port, metrics_port)
    finally:
        process.terminate()
        try:
            process.wait(ENDING)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def locust(plan: Plan, port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the load against a port. What it writes is in ``folder``."""
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / "capacity.py"), "--headless"]
    command += ["--host", f"ws://127.0.0.1:{port}", "--only-summary", "--csv", str(folder / "locust")]
    command += ["--csv-full-history", "--json-file", str(folder / "rows"), "--html", str(folder / "locust.html")]
    command += ["--connections-json", str(folder / "connections.json"), *plan.options()]
    with (folder / "locust.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:  # both bound at a time, so that they differ
        for sock in (one, other):
            sock.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _wait_for(workers: int, metrics_port: int, process: subprocess.Popen[bytes]) -> None:
    """Waits until the metrics are those of all workers. A worker takes part once it serves."""
    until = time.monotonic() + STARTING
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}; see server.log")
        with contextlib.suppress(*FAILURES):
            if scrape(metrics_port).total("greenws_workers") == workers:
                return
        time.sleep(0.1)
    raise RuntimeError(f"not all workers served within {STARTING:.0f} seconds; see server.log")
