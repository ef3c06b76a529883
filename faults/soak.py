"""An hour like any other: people come, talk and go."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import islice
from statistics import linear_regression

from faults.__main__ import report
from faults.control import Control
from faults.peers import CLOSE, TEXT, Crowd, masked, percentile
from faults.servers import Server, cpu_time, descriptors, memory, serve

EVERY = 10  # seconds between two looks at the server
COMING, TALKING = 20, 500  # in each second: connections opened and closed, and messages


def soak(minutes: float, count: int = 5000) -> Iterator[tuple[str, str, bool]]:
    """S2: so many connections, twenty of them new in each second."""
    with serve() as server:
        (worker,) = server.workers
        crowd = Crowd(server.port).connect(count)
        control, began, used = Control(server.port), time.monotonic(), cpu_time(worker)
        looks = list(_live(crowd, server, began + 60 * minutes))
        lived = time.monotonic() - began
        share = (cpu_time(worker) - used) / lived
        control.stop()
        settled = [look for look in looks if look[0] > began + 10 * lived / 60] or looks
        slope = 3600 * linear_regression([at for at, _, _ in settled], [pss for _, pss, _ in settled]).slope / 1024
        sixth = len(control.times) // 6
        first, last = percentile(control.times[:sixth], 0.99), percentile(control.times[-sixth:], 0.99)
        handles = [fds for _, _, fds in settled]
        yield (
            "came and went",
            f"{len(crowd.handshakes) - count:,} in {lived / 60:.0f} minutes; {dict(crowd.ends)}",
            (not set(crowd.ends) - {"1000"}),
        )
        yield "memory", f"{looks[0][1]} KiB, then {looks[-1][1]}; {slope:+.2f} MiB an hour", slope <= 1
        yield "descriptors", f"{min(handles)} to {max(handles)}", max(handles) <= count + 200
        yield "control", control.verdict, not control.error
        yield "its p99, first and last sixth", f"{1000 * first:.1f} and {1000 * last:.1f} ms", last <= 1.1 * first
        yield "CPU of one core", f"{100 * share:.1f} %, control included", True
        yield "tracebacks", str(server.log().count("Traceback")), "Traceback" not in server.log()
        crowd.close()


def _live(crowd: Crowd, server: Server, until: float) -> Iterator[tuple[float, int, int]]:
    """Lets the crowd live, a second at a time. Yields an instant, the server's memory in KiB and its descriptors."""
    (worker,) = server.workers
    look = time.monotonic()
    while (now := time.monotonic()) < until:
        crowd.connect(COMING)
        peers = list(crowd.peers.values())  # the oldest first
        for peer in peers[:COMING]:
            peer.sock.send(masked(CLOSE, b"\x03\xe8"))
        start = int(now) * TALKING % max(1, len(peers) - COMING)
        for peer in islice(peers, COMING + start, COMING + start + TALKING):
            peer.sock.send(masked(TEXT, b"x" * 64))
        crowd.run(now + 1 - time.monotonic())
        if now >= look:
            look += EVERY
            yield now, memory(worker), descriptors(worker)


if __name__ == "__main__":
    sys.exit(report(soak(float(sys.argv[1]))))
