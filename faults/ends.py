"""Processes that end: in good order, at a reload, and killed."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from faults.control import Control
from faults.peers import CLOSE, Crowd, masked, percentile
from faults.servers import Server, descriptors, serve


def drain(kind: str = "green", count: int = 10_000, number: int = signal.SIGTERM) -> Iterator[tuple[str, str, bool]]:
    """F2: TERM with so many connections."""
    with tempfile.TemporaryDirectory() as folder, serve(kind=kind, CLOSED_FILE=f"{folder}/closed") as server:
        crowd = Crowd(server.port).connect(count)
        yield "connected", f"{crowd.open:,}", crowd.open == count
        refused = [0.0]
        begin = time.monotonic()
        server.process.send_signal(number)
        watch = threading.Thread(target=_watch_listener, args=(server, begin, refused))
        watch.start()
        crowd.run(20, lambda: not crowd.peers)
        last = time.monotonic() - begin
        while server.process.poll() is None and time.monotonic() < begin + 35:
            time.sleep(0.01)
        end = time.monotonic() - begin
        watch.join()
        told = crowd.ends["1001"]
        yield "told 1001", f"{told:,} in {last:.1f} s; all {dict(crowd.ends)}", told == count
        yield "closed with 1006", str(crowd.ends["1006"]), not crowd.ends["1006"]
        yield "most in 100 ms", str(_most(crowd.closes, 0.1)), True
        yield "listener closed after", f"{1000 * refused[0]:.0f} ms", refused[0] <= 0.1
        yield "exit after", f"{end:.1f} s, status {server.process.poll()}", end <= 10 and server.process.poll() == 0
        handled = sum(int(file.read_text()) for file in Path(folder).iterdir())
        yield "on_close ran", f"{handled:,}", handled == count
        yield _tracebacks(server)


def _tracebacks(server: Server) -> tuple[str, str, bool]:
    *_, last = server.log().rpartition("Traceback")
    count = server.log().count("Traceback")
    return "tracebacks", f"{count}, the last: {last[-300:]!r}" if count else "0", not count


def _watch_listener(server: Server, begin: float, refused: list[float]) -> None:
    while not server.refuses() and time.monotonic() < begin + 40:
        time.sleep(0.005)
    refused[0] = time.monotonic() - begin


def _most(instants: list[float], window: float) -> int:
    most, first = 0, 0
    for last, instant in enumerate(instants):
        while instants[first] < instant - window:
            first += 1
        most = max(most, last - first + 1)
    return most


def reloads(*options: str, count: int = 50, kind: str = "green") -> Iterator[tuple[str, str, bool]]:
    """F3: HUP again and again, under load."""
    with serve("--workers=2", *options, kind=kind) as server:
        crowd, parked, done = Crowd(server.port), Crowd(server.port), threading.Event()
        while len(server.workers) < 2:
            time.sleep(0.05)
        load = threading.Thread(target=_come_and_go, args=(crowd, done))
        load.start()
        before = descriptors(server.process.pid), len(os.listdir(f"/proc/{server.process.pid}/task"))
        parked.connect(200)
        for _ in range(count):
            old = set(server.workers)
            server.process.send_signal(signal.SIGHUP)
            until = time.monotonic() + 30
            while (old & set(server.workers) or len(server.workers) < 2) and time.monotonic() < until:
                parked.run(0.05)
                parked.connect(200 - len(parked.peers))
        after = descriptors(server.process.pid), len(os.listdir(f"/proc/{server.process.pid}/task"))
        done.set()
        load.join()
        parked.close()
        upgrades = len(crowd.handshakes) + len(parked.handshakes)
        ends = crowd.ends + parked.ends
        lost = {how: n for how, n in ends.items() if how not in ("1000", "1012")}
        yield (
            "upgrades",
            f"{upgrades:,}; handshake p99 {1000 * percentile(crowd.handshakes, 0.99):.0f} ms",
            upgrades > 1000,
        )
        yield "ended otherwise than 1012 or 1000", str(lost), not lost
        yield "descriptors and threads of the arbiter", f"{before} then {after}", before == after
        yield _tracebacks(server)


def _come_and_go(crowd: Crowd, done: threading.Event) -> None:
    while not done.is_set():
        crowd.connect(20)
        crowd.send(masked(CLOSE, b"\x03\xe8"))
        crowd.run(5, lambda: not crowd.peers)


def kill(count: int = 5000) -> Iterator[tuple[str, str, bool]]:
    """F1: kill -9 for one of two workers."""
    with serve("--workers=2") as server:
        crowd = Crowd(server.port).connect(2 * count)
        victim = server.workers[0]
        control = Control(server.port)
        while server.health()["pid"] == victim:
            pass
        controls = [control, *(Control(server.port) for _ in range(7))]
        others = descriptors(server.workers[1])
        begin = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        served = 0.0
        while len(server.workers) < 2 or victim in server.workers:
            crowd.run(0.01)
        served = time.monotonic() - begin
        crowd.run(3)
        lost = crowd.ends["1006"]
        kept = crowd.open
        yield "killed and kept", f"{lost:,} and {kept:,}", lost + kept == 2 * count
        yield "descriptors of the other", f"{others} then {descriptors(server.workers[0])}", True
        yield "respawned after", f"{served:.1f} s", served <= 2
        back = Crowd(server.port).connect(lost)
        yield "back", f"{back.open:,} in {time.monotonic() - begin:.1f} s", back.open == lost
        for one in controls:
            one.stop()
        alive = [control for control in controls if not control.error]
        yield "control on the other worker", alive[0].verdict if alive else "none", bool(alive)
        crowd.close()
        back.close()
