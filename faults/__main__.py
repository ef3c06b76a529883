"""``python -m faults [NAME …]``: runs the faults and prints what was measured. Takes half an hour.

They need Linux, 20,000 descriptors, and some of them root.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

from faults import ends, floods, limits, network, pressure

Fault = Callable[[], Iterator[tuple[str, str, bool]]]

FAULTS: dict[str, Fault] = {
    "kill": ends.kill,
    "drain": ends.drain,
    "drain-stock": partial(ends.drain, kind="gevent"),
    "reloads": ends.reloads,
    "reloads-reuse-port": partial(ends.reloads, "--reuse-port"),
    "storm": limits.storm,
    "full": limits.full,
    "exhausted": limits.exhausted,
    "slowloris": limits.slowloris,
    "stock": limits.stock,
    "slow-readers": floods.slow_readers,
    "ping-flood": floods.ping_flood,
    "heartbeats": floods.heartbeats,
    "balance": floods.balance,
    "balance-reuse-port": partial(floods.balance, "--reuse-port"),
    "failing-handlers": floods.failing_handlers,
    "dead-peers": network.dead_peers,
    "loss-5": partial(network.lossy, 5),
    "loss-20": partial(network.lossy, 20),
    "frozen": pressure.frozen,
    "little-memory": pressure.little_memory,
}


def main(names: list[str]) -> int:
    """Runs those that are named, or all. Each has a process of its own, whose end ends what it has started."""
    failed = False
    for name in names or FAULTS:
        failed |= subprocess.run([sys.executable, "-m", "faults", "--only", name], check=False).returncode != 0
    return int(failed)


def run(name: str) -> int:
    """Runs one in this process, and prints a row for each figure."""
    fault = FAULTS[name]
    print(f"\n{name} - {getattr(fault, 'func', fault).__doc__}", flush=True)
    return report(fault())


def report(rows: Iterator[tuple[str, str, bool]]) -> int:
    """Prints a row for each figure; the status of the process."""
    failed = False
    for what, figure, is_good in rows:
        print(f"  {'ok  ' if is_good else 'MISS'}  {what:42} {figure}", flush=True)
        failed |= not is_good
    return int(failed)


if __name__ == "__main__":
    sys.exit(run(sys.argv[2]) if sys.argv[1:2] == ["--only"] else main(sys.argv[1:]))
