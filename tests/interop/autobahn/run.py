"""Runs Autobahn|Testsuite against the echo routes: ``python -m tests.interop.autobahn.run [--short]``.

Each verdict must be OK or what expected.toml says. Set up by ``make autobahn``, which runs this.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from tests.interop.serving import ROOT, serve

WSTEST = ROOT / ".cache" / "autobahn" / "wstest"
REPORTS = ROOT / ".cache" / "autobahn-reports"
ROUTES = ("event", "blocking")
TIMEOUT = 1800  # seconds for one route
LIMITS = {
    "max_message_size": 16 * 1024 * 1024,  # 9.1.6, 9.2.6
    "max_fragments": 65_537,  # 9.3.1, 9.4.1: 4 MiB in fragments of 64, and an empty one
    "compression": "true",  # 12.*, 13.*
}

Verdicts = dict[str, frozenset[str]]


class Incomplete(Exception):
    """The suite did not run all of its cases."""


def read_expected() -> tuple[list[str], Verdicts]:
    """Returns the cases to leave out, and the verdicts allowed to those that need not be OK."""
    table = tomllib.loads(Path(__file__).with_name("expected.toml").read_text())
    left_out = [case for entry in table.get("left-out", []) for case in entry["cases"]]
    allowed = {case: frozenset(entry["verdicts"]) for entry in table["expected"] for case in entry["cases"]}
    return left_out, allowed


def run_suite(url: str, route: str, cases: list[str], left_out: list[str]) -> dict[str, dict[str, Any]]:
    """Runs the suite and returns its index, by case.

    Raises:
        Incomplete: with the end of the suite's log.
    """
    folder = REPORTS / route
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spec = {"outdir": ".", "servers": [{"agent": route, "url": url}], "cases": cases, "exclude-cases": left_out}
    (folder / "spec.json").write_text(json.dumps({**spec, "exclude-agent-cases": {}}))
    with (folder / "wstest.log").open("w+") as log:
        command = [WSTEST, "-m", "fuzzingclient", "-s", "spec.json"]
        try:
            subprocess.run(command, cwd=folder, stdout=log, stderr=log, timeout=TIMEOUT, check=True)
            index: dict[str, dict[str, Any]] = json.loads((folder / "index.json").read_text())[route]
        except (subprocess.SubprocessError, OSError, KeyError) as error:
            raise Incomplete(f"{error!r}\n{_end_of(log)}") from error
        log.seek(0)
        announced = re.search(r"will run (\d+) test cases", log.read())
        if announced is None or int(announced[1]) != len(index):
            raise Incomplete(f"{len(index)} cases ran\n{_end_of(log)}")
    return index


def _end_of(log: Any) -> str:
    log.seek(0)
    return str(log.read()[-2000:])


def judge(index: dict[str, dict[str, Any]], allowed: Verdicts) -> list[str]:
    """Returns the cases whose verdict nobody expects."""
    return [case for case, entry in index.items() if not verdicts_of(entry) <= allowed.get(case, {"OK"})]


def verdicts_of(entry: dict[str, Any]) -> set[str]:
    """Returns what the suite says to a case. OK, if it says that twice."""
    return {entry["behavior"], entry["behaviorClose"]} - {"OK"} or {"OK"}


def explain(route: str, case: str, entry: dict[str, Any]) -> str:
    """Returns what a case was about and what came of it."""
    report = json.loads((REPORTS / route / entry["reportfile"]).read_text())
    said = " and ".join(sorted(verdicts_of(entry)))
    lines = [f"{route} {case}: {said}, which expected.toml does not expect"]
    lines += [f"  {name}: {report[name]}" for name in ("description", "expectation", "result", "resultClose")]
    lines += [
        f"  received: {report['received']}, closed with {report['remoteCloseCode']} {report['remoteCloseReason']}"
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="without 9.*, 12.* and 13.*: many and large messages")
    parser.add_argument("--cases", nargs="+", default=["*"], help="only these, such as 12.1.* 13.3.1")
    arguments = parser.parse_args()
    left_out, allowed = read_expected()
    if arguments.short:
        left_out += ["9.*", "12.*", "13.*"]
    failed = 0
    for route in ROUTES:
        begin = time.monotonic()
        with serve("tests.interop.app:create_app", **LIMITS) as server:
            index = run_suite(server.url(f"/{route}"), route, arguments.cases, left_out)
            log = server.log()
        counts = Counter(" and ".join(sorted(verdicts_of(entry))) for entry in index.values())
        summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        print(f"{route}: {len(index)} cases in {time.monotonic() - begin:.0f} s: {summary}")
        unexpected = judge(index, allowed)
        for case in unexpected:
            print(explain(route, case, index[case]))
        if "Traceback" in log:
            print(log)
        failed += len(unexpected) + ("Traceback" in log)
    print(f"reports: {REPORTS.relative_to(ROOT)}/*/index.html")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
