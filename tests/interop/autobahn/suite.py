"""wstest, the program of Autobahn|Testsuite, run in either role, and what it says of each case.

As a client it runs its cases against a server by itself. As a server it waits for a client that asks for them.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.interop.serving import ROOT

WSTEST = ROOT / ".cache" / "autobahn" / "wstest"
REPORTS = ROOT / ".cache" / "autobahn-reports"
RUN_TIMEOUT = 6 * 3600  # seconds: for a hang. All cases of one run take a quarter of an hour on a quiet machine
START_TIMEOUT, STOP_TIMEOUT = 180, 180  # seconds

Index = dict[str, dict[str, Any]]
Verdicts = dict[str, frozenset[str]]


class Incomplete(Exception):
    """The suite did not run all of its cases."""


@dataclass(frozen=True)
class Run:
    """One of our sides, in one of its styles, through some of the cases.

    Attributes:
        side: of ours: "server" or "client".
        style: in which we echo.
        name: of its folder of reports, below that of its side.
        cases: such as "1.1.1" or "9.*".
        left_out: the same, of those to leave out.
    """

    side: str
    style: str
    name: str
    cases: tuple[str, ...] = ("*",)
    left_out: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return REPORTS / self.side / self.name


def run_as_client(run: Run, url: str) -> Index:
    """Runs the cases against our server and returns what the suite says of each.

    Raises:
        Incomplete: with the end of the suite's log.
    """
    with _start(run, "fuzzingclient", {"servers": [{"agent": run.style, "url": url}]}) as (process, log):
        _wait(process, log, RUN_TIMEOUT)
        return _read_index(run, log)


@contextmanager
def run_as_server(run: Run, index: Index) -> Iterator[int]:
    """Serves the cases to our client on the port that it yields. At the end of the block it fills ``index``.

    Inside of the block the client lets the suite write its reports.

    Raises:
        Incomplete: with the end of the suite's log.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with _start(run, "fuzzingserver", {"url": f"ws://127.0.0.1:{port}"}) as (process, log):
        _wait_for_port(port, process, log)
        yield port
        process.terminate()
        _wait(process, log, STOP_TIMEOUT)
        index.update(_read_index(run, log))


@contextmanager
def _start(run: Run, mode: str, more: dict[str, Any]) -> Iterator[tuple[subprocess.Popen[bytes], IO[str]]]:
    shutil.rmtree(run.folder, ignore_errors=True)
    run.folder.mkdir(parents=True)
    spec = {"outdir": ".", "cases": run.cases, "exclude-cases": run.left_out, "exclude-agent-cases": {}, **more}
    (run.folder / "spec.json").write_text(json.dumps(spec))
    command = [str(WSTEST), "-m", mode, "-s", "spec.json", "--webport", "0"]
    with (
        (run.folder / "wstest.log").open("w+") as log,
        subprocess.Popen(command, cwd=run.folder, stdout=log, stderr=log) as process,
    ):
        try:
            yield process, log
        finally:
            process.kill()


def _wait(process: subprocess.Popen[bytes], log: IO[str], timeout: float) -> None:
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise Incomplete(f"the suite did not end\n{_end_of(log)}") from error
    if status:
        raise Incomplete(f"the suite ended with {status}\n{_end_of(log)}")


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: IO[str]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise Incomplete(f"the suite did not start\n{_end_of(log)}")


def _read_index(run: Run, log: IO[str]) -> Index:
    try:
        index: Index = json.loads((run.folder / "index.json").read_text())[run.style]
    except (OSError, KeyError) as error:
        raise Incomplete(f"{error!r}\n{_end_of(log)}") from error
    log.seek(0)
    announced = re.search(r"will run (\d+) test cases", log.read())
    if announced is None or int(announced[1]) != len(index):
        raise Incomplete(f"{len(index)} cases ran\n{_end_of(log)}")
    return index


def _end_of(log: IO[str]) -> str:
    log.seek(0)
    return log.read()[-2000:]


def read_expected(side: str) -> Verdicts:
    """Returns the verdicts allowed to the cases that need not be OK."""
    table = tomllib.loads(Path(__file__).with_name("expected.toml").read_text())
    entries = [entry for entry in table["expected"] if side in entry["sides"]]
    return {case: frozenset(entry["verdicts"]) for entry in entries for case in entry["cases"]}


def judge(index: Index, allowed: Verdicts) -> list[str]:
    """Returns the cases whose verdict nobody expects."""
    return [case for case, entry in index.items() if not verdicts_of(entry) <= allowed.get(case, {"OK"})]


def verdicts_of(entry: dict[str, Any]) -> set[str]:
    """Returns what the suite says to a case. OK, if it says that twice."""
    return {entry["behavior"], entry["behaviorClose"]} - {"OK"} or {"OK"}


def explain(run: Run, case: str, entry: dict[str, Any]) -> str:
    """Returns what a case was about and what came of it."""
    report = json.loads((run.folder / entry["reportfile"]).read_text())
    lines = [f"{run.side}, {run.style} {case}: {' and '.join(sorted(verdicts_of(entry)))}, which nobody expects"]
    lines += [f"  {name}: {report[name]}" for name in ("description", "expectation", "result", "resultClose")]
    lines.append(
        f"  received: {report['received']}, closed with {report['remoteCloseCode']} {report['remoteCloseReason']}"
    )
    return "\n".join(lines)
