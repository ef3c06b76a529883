"""System calls for each message: ``python -m benchmarks.syscalls``. Needs strace.

An echo needs one receive and one send. What is beside those is ours to explain. Counted on a server that answers one
message at a time from each of 100 connections. strace slows the server, so that more events fit into one look at all
descriptors; counts per message of calls that are shared by a batch are lower here than without it.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import measure, running
from benchmarks.servers import BUILT, SERVERS, Server, missing
from benchmarks.works import WORKS, Work

LINE = re.compile(r"^\s*[\d.]+\s+([\d.]+)\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE)


def main() -> None:
    """Prints a table for each server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", action="append", choices=[server.key for server in SERVERS])
    parser.add_argument("--work", choices=[work.key for work in WORKS], default="echo-100")
    options = parser.parse_args()
    if shutil.which("strace") is None:
        sys.exit("strace is not installed: apt-get install strace")
    work = next(work for work in WORKS if work.key == options.work)
    work = dataclasses.replace(work, options=work.options + " --warm-up 0")  # all that it sends is to be counted
    wanted = options.server or ["greenws-event", "greenws-blocking", "picows", "gin"]
    for server in SERVERS:
        if server.key in wanted:
            reason = missing(server)
            print(f"\n## {server.name}\n")
            print(f"left out: {reason}" if reason else _table(server, work))


def _table(server: Server, work: Work) -> str:
    with running(server, 0) as (pid, port):
        counts = BUILT / "strace.txt"
        tracer = _trace(pid, counts)
        result = measure(server, work, pid, port, 1, 1.0)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    messages = result["messages"]
    lines = [f"{messages} messages", "", "| call | for each message |", "|---|---|"]
    lines += [f"| {name} | {count / messages:.3f} |" for name, count in _counts(counts) if count / messages >= 0.001]
    return "\n".join(lines)


def _trace(pid: int, counts: Path) -> subprocess.Popen[bytes]:
    BUILT.mkdir(parents=True, exist_ok=True)
    command = ["strace", "-f", "-c", "-o", str(counts), "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.05)
    return tracer


def _counts(file: Path) -> list[tuple[str, int]]:
    found = [(name, int(count)) for _, count, name in LINE.findall(file.read_text()) if name != "total"]
    return sorted(found, key=lambda item: -item[1])


if __name__ == "__main__":
    main()
