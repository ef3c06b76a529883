"""GreenWS and its peers side by side: ``python -m benchmarks.run``.

In each round each server runs alone on one core, does its works, and makes room for the next. Rounds alternate, so what
disturbs the machine for a while disturbs all.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import Unusable, figures_of, measure, running
from benchmarks.results import Results, describe_machine
from benchmarks.servers import BUILT, SERVERS, Server, missing
from benchmarks.table import write_tables
from benchmarks.works import WORKS, Work

QUICK = ("greenws-event", "greenws-lean", "greenws-blocking", "greenws-flask", "picows", "gin")
QUICK_WORKS = ("idle", "storm", "echo-100", "pipelined", "binary", "handshake", "handshake-user", "fanout-10000")


def main() -> None:
    """Measures, prints tables, and keeps JSON and Markdown."""
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("The server and its load need a core each, and there is one.")
    chosen = options.work or (QUICK_WORKS if options.quick else [work.key for work in WORKS])
    works = [work for work in WORKS if work.key in chosen]
    wanted = options.server or (QUICK if options.quick else [server.key for server in SERVERS])
    results = Results(machine=describe_machine(), titles={work.key: work.title for work in works})
    servers = []
    for server in SERVERS:
        if server.key in wanted:
            reason = missing(server)
            if reason is None:
                servers.append(server)
                results.names[server.key] = server.name
            else:
                results.left_out[server.name] = reason
                print(f"{server.name} is left out: {reason}", file=sys.stderr)
    for number in range(options.rounds):
        for place in range(len(servers)):
            server = servers[(place + number) % len(servers)]  # who comes first changes, too
            print(f"round {number + 1} of {options.rounds}: {server.name}", file=sys.stderr)
            _take_turn(results, server, works, cores, options.share)
    results.save(options.out / "results.json")
    table = write_tables(results)
    (options.out / "results.md").write_text(table)
    print(table)


def _take_turn(results: Results, server: Server, works: list[Work], cores: list[int], share: float) -> None:
    done: dict[str, dict[str, Any]] = {}
    try:
        with running(server, cores[0]) as (pid, port):
            for work in works:
                if work.key in server.works:
                    if work.options not in done:
                        done[work.options] = measure(server, work, pid, port, cores[1], share)
                    results.add(work.key, server.key, figures_of(done[work.options], work))
    except Unusable as error:
        for work in works:
            if work.key in server.works and work.options not in done:
                results.add(work.key, server.key, None)
        results.left_out[f"{server.name}, in one round"] = str(error)
        print(f"  {error}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few servers, three short rounds")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--share", type=float, help="of the seconds of a full run")
    parser.add_argument("--server", action="append", choices=[server.key for server in SERVERS])
    parser.add_argument("--work", action="append", choices=[work.key for work in WORKS])
    parser.add_argument("--out", type=Path, default=BUILT)
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.share = options.share or (0.5 if options.quick else 1.0)
    return options


if __name__ == "__main__":
    main()
