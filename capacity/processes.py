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

from capacity.app import FOLDER
from capacity.plan import Plan

ROOT = Path(__file__).parent.parent
STARTING = 30.0  # seconds for a server to listen
ENDING = 30.0


@contextlib.contextmanager
def server(workers: int, folder: Path) -> Iterator[tuple[int, int]]:
    """Runs a server on a free port of the loopback interface, and ends it with its workers. Yields its pid and port."""
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-k",
        "greenws.server.gunicorn.GreenWorker",
        "capacity.app:create_app()",
    ]
    command += [f"--workers={workers}", f"--bind=127.0.0.1:{port}", "--log-level=warning", "--graceful-timeout=10"]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, FOLDER: str(folder)}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(port, process)
        yield process.pid, port
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


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTING
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}; see server.log")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not listen within {STARTING} seconds")
