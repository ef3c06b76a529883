"""locust always runs in a process of its own here: importing it patches the whole process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Run:
    """A run of locust that has ended."""

    code: int
    log: str
    rows: dict[tuple[str, str], dict[str, Any]]
    connections: dict[str, Any]

    def count(self, kind: str, name: str) -> int:
        row = self.rows.get((kind, name))
        return 0 if row is None else row["num_requests"]


class Running:
    """A run of locust that has begun."""

    def __init__(self, locustfile: Path, host: str, folder: Path, *options: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(locustfile),
            "--headless",
            "--host",
            host,
            "--only-summary",
        ]
        command += ["--json-file", str(folder / "rows"), "--connections-json", str(folder / "connections.json")]
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*command, *options], cwd=folder, env=ENVIRON, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait(self) -> Run:
        code = self.process.wait(50)
        log = (self.folder / "log").read_text()
        assert (self.folder / "rows.json").exists(), log
        rows = json.loads((self.folder / "rows.json").read_text())
        connections = json.loads((self.folder / "connections.json").read_text())
        return Run(code, log, {(row["method"], row["name"]): row for row in rows}, connections)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def run_locust(locustfile: Path, host: str, folder: Path, *options: str) -> Run:
    running = Running(locustfile, host, folder, *options)
    try:
        return running.wait()
    finally:
        running.end()


def run_python(source: str, folder: Path) -> Any:
    """Runs a program and returns the JSON that it prints last."""
    result = subprocess.run(
        [sys.executable, "-c", source], cwd=folder, env=ENVIRON, capture_output=True, text=True, timeout=50, check=False
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])
