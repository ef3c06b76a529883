"""Servers to do harm to, each in processes of its own."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from gunicorn.config import Config

ROOT = Path(__file__).parent.parent
OPTIONS = ["--no-control-socket"] if "control_socket_disable" in Config().settings else []


class Server:
    """A running gunicorn."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    def log(self) -> str:
        """What it has said."""
        return self._log.read_text()

    @property
    def workers(self) -> list[int]:
        """The processes that serve."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def health(self) -> dict[str, int]:
        """What one of the workers says of itself."""
        with urlopen(f"http://127.0.0.1:{self.port}/health", timeout=10) as answer:
            return dict(json.load(answer))

    def time_health(self, count: int) -> list[float]:
        """How long that takes in seconds, so many times."""
        took = []
        for _ in range(count):
            begin = time.monotonic()
            self.health()
            took.append(time.monotonic() - begin)
        return took

    def refuses(self) -> bool:
        """Whether nobody listens any more."""
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) != 0


@contextmanager
def serve(
    *options: str, kind: str = "green", descriptors: int | None = None, host: str = "127.0.0.1", **environ: str
) -> Iterator[Server]:
    """Serves ``faults.app`` until the block ends.

    Args:
        kind: "green" is our worker; else a worker class of gunicorn.
        options: for gunicorn.
        descriptors: how many each process may open.
        host: the address that it listens on.
        environ: for the application.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    worker = "greenws.server.gunicorn.GreenWorker" if kind == "green" else kind
    with tempfile.NamedTemporaryFile() as log:
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            *OPTIONS,
            "-k",
            worker,
            "-b",
            f"{host}:{port}",
            "--backlog=4096",
        ]
        process = subprocess.Popen(
            [*command, *options, "faults.app:app"], cwd=ROOT, stdout=log, stderr=log, env=os.environ | environ
        )
        if descriptors is not None:
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
        server = Server(process, port, Path(log.name))
        try:
            begin = time.monotonic()
            while not server.log().count("Booting worker") or server.refuses():
                assert time.monotonic() < begin + 30, server.log()
                assert process.poll() is None, server.log()
                time.sleep(0.05)
            server.health()
            yield server
        finally:
            process.terminate()
            try:
                process.wait(40)
            finally:
                process.kill()


def descriptors(pid: int) -> int:
    """How many a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_time(pid: int) -> float:
    """The seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """The proportional set size of a process in KiB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
