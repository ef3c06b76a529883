"""Two commits side by side: ``python -m benchmarks.compare main``.

The working tree and the commit are built into folders of their own and take turns, round by round, under the same load.
A figure differs when every round says so in the same direction and the median by at least 3 %. The status is 1 when
something got worse.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import figures_of, measure, running
from benchmarks.servers import BUILT, ROOT, SERVERS
from benchmarks.works import WORKS

BASE, HERE = "base", "here"
LEAST = 0.03  # of the median, below which a difference is not worth a word
DEFAULT_SERVERS = ("greenws-event", "greenws-lean", "greenws-blocking", "greenws-flask")
DEFAULT_WORKS = ("idle", "echo-100", "pipelined", "binary", "handshake", "fanout-1000")
Rounds = dict[str, dict[str, list[float]]]  # by name, then BASE and HERE


def main() -> None:
    """Builds, measures, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", help="a commit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.5, help="of the seconds of a full run")
    parser.add_argument("--work", action="append", choices=[work.key for work in WORKS])
    options = parser.parse_args()
    folders = {BASE: build_commit(options.base), HERE: _build(ROOT, BUILT / "trees" / "here")}
    rounds: Rounds = {}
    for number in range(options.rounds):
        for side in (BASE, HERE) if number % 2 == 0 else (HERE, BASE):
            print(f"round {number + 1} of {options.rounds}: {side}", file=sys.stderr)
            works = options.work or DEFAULT_WORKS
            for name, value in (*_serve(folders[side], works, options.share), *_run_codec(folders[side])):
                rounds.setdefault(name, {BASE: [], HERE: []})[side].append(value)
    print(write_table(rounds, options.base))
    sys.exit(any(verdict(sides) == "worse" for sides in rounds.values()))


def build_commit(commit: str) -> Path:
    """Builds a commit, once. Returns the folder that has its package."""
    found = subprocess.run(["git", "rev-parse", "--short", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True)
    if found.returncode:
        sys.exit(f"there is no commit {commit}")
    folder = BUILT / "trees" / found.stdout.decode().strip()
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory() as sources:
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", sources], input=archive.stdout, check=True)
        return _build(Path(sources), folder)


def _build(sources: Path, folder: Path) -> Path:
    print(f"building {folder.name}", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps", "--upgrade"]
    subprocess.run([*command, "--target", folder, sources], check=True)
    return folder


def _serve(folder: Path, works: list[str], share: float) -> Iterator[tuple[str, float]]:
    cores = sorted(os.sched_getaffinity(0))
    for server in SERVERS:
        mine = [work for work in WORKS if work.key in server.works and work.key in works]
        if server.key not in DEFAULT_SERVERS or not mine:
            continue
        with running(server, cores[0], (folder, ROOT)) as (pid, port):
            for work in mine:
                value = figures_of(measure(server, work, pid, port, cores[1], share), work)[work.figure]
                if value is not None:
                    yield f"{work.title}: {server.name}", value


def _run_codec(folder: Path) -> Iterator[tuple[str, float]]:
    figures = BUILT / "codec.json"
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", BUILT, "-p", "no:cacheprovider"]
    command += ["--benchmark-max-time=0.1", f"--benchmark-json={figures}", ROOT / "benchmarks" / "codec"]
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run(command, cwd=BUILT, env=environ, check=True, stdout=subprocess.DEVNULL)
    for found in json.loads(figures.read_text())["benchmarks"]:
        yield f"codec, ns for each frame: {found['name'].removeprefix('test_')}", found["extra_info"]["ns_per_frame"]


def verdict(sides: dict[str, list[float]]) -> str:
    """Returns ``better``, ``worse``, or nothing when the rounds do not agree. Less is better in all figures."""
    ratios = [here / base for here, base in zip(sides[HERE], sides[BASE], strict=True) if base]
    if len(ratios) < 3 or abs(statistics.median(ratios) - 1) < LEAST:
        return ""
    return "worse" if min(ratios) > 1 else "better" if max(ratios) < 1 else ""


def write_table(rounds: Rounds, base: str) -> str:
    """Returns the table in Markdown."""
    lines = [f"| what | {base} | here | ratio in each round | |", "|---" * 5 + "|"]
    for name, sides in rounds.items():
        ratios = [here / base for here, base in zip(sides[HERE], sides[BASE], strict=True) if base]
        medians = [f"{statistics.median(sides[side]):,.2f}" for side in (BASE, HERE)]
        span = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"| {name} | {medians[0]} | {medians[1]} | {span} | {verdict(sides)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
