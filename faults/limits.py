"""What is scarce: descriptors, places, patience."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

from faults.control import Control
from faults.peers import REQUEST, Crowd, percentile
from faults.servers import cpu_time, memory, serve

FEW = 1024


def full() -> Iterator[tuple[str, str, bool]]:
    """F8: as many connections as the descriptors allow, and more."""
    with serve(descriptors=FEW) as server:
        control = Control(server.port)
        crowd = Crowd(server.port).connect(FEW)
        answers = server.time_health(20)
        control.stop()
        yield "connected and refused", f"{crowd.open} and {dict(crowd.ends)}", set(crowd.ends) == {"503"}
        yield "/health meanwhile", f"{1000 * max(answers):.0f} ms at most", True
        yield "control", control.verdict, not control.error
        crowd.close()


def exhausted(seconds: float = 5.0) -> Iterator[tuple[str, str, bool]]:
    """F8: no descriptor is left, by clients that connect and say nothing."""
    with serve(descriptors=FEW, FLASK_GREENWS_HANDSHAKE_TIMEOUT="60") as server:
        control, (worker,) = Control(server.port), server.workers
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(FEW + 100)]
        time.sleep(1)
        before, begin, lines = cpu_time(worker), time.monotonic(), server.log().count("cannot accept")
        time.sleep(seconds)
        share = (cpu_time(worker) - before) / (time.monotonic() - begin)
        said = server.log().count("cannot accept") - lines
        yield "CPU", f"{100 * share:.1f} %, with the control's echoes", share <= 0.05
        yield "log lines in a second", f"{said / seconds:.1f}", said <= seconds + 1
        for sock in idle:
            sock.close()
        begin = time.monotonic()
        server.health()
        took = time.monotonic() - begin
        control.stop()
        yield "control", control.verdict, not control.error
        yield "answers again after", f"{took:.2f} s", took <= 1


def storm(count: int = 10_000) -> Iterator[tuple[str, str, bool]]:
    """F4: so many reconnect at once."""
    with serve() as server:
        control = Control(server.port)
        begin = time.monotonic()
        crowd = Crowd(server.port).connect(count, at_once=True)
        took = time.monotonic() - begin
        control.stop()
        yield (
            "connected",
            f"{crowd.open:,} in {took:.1f} s; others {dict(crowd.ends)}",
            crowd.open == count and took <= 20,
        )
        p99 = percentile(crowd.handshakes, 0.99)
        yield "handshake p99", f"{p99:.1f} s, from connect on; all begin at once", p99 <= 2
        yield "control", control.verdict, not control.error and percentile(control.times, 0.99) <= 0.1
        crowd.close()


def slowloris(count: int = 5000) -> Iterator[tuple[str, str, bool]]:
    """F9: half heads, then a byte a second."""
    with serve() as server:
        (worker,) = server.workers
        server.health()
        before = memory(worker)
        begin = time.monotonic()
        peers = []
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", server.port))
            sock.sendall(REQUEST[:40])
            peers.append((time.monotonic(), sock))
        opened = time.monotonic() - begin
        cost = (memory(worker) - before) / count
        handshakes = []
        while time.monotonic() < begin + 4:
            handshakes += Crowd(server.port).connect(20).handshakes
            for _, sock in peers[::50]:
                sock.send(b"x")
        answers, ages = [], []
        for at, sock in peers:
            sock.settimeout(10)
            answers.append(sock.recv(100)[9:12])
            ages.append(time.monotonic() - at)
            sock.close()
        timed_out = answers.count(b"408")
        yield "opened and answered 408", f"{count:,} in {opened:.1f} s and {timed_out:,}", timed_out == count
        yield "the first after", f"{ages[0]:.1f} s", 4.9 <= ages[0] <= 6.5
        yield "memory of each", f"{cost:.2f} KiB", cost <= 8
        p99 = percentile(handshakes, 0.99)
        yield "other handshakes p99", f"{1000 * p99:.0f} ms of {len(handshakes)}", p99 <= 0.1


def stock(count: int = 10_000) -> Iterator[tuple[str, str, bool]]:
    """Stock gunicorn: many more connections than ``--worker-connections``."""
    with serve("--worker-connections=50", kind="gevent") as server:
        control = Control(server.port)
        crowd = Crowd(server.port).connect(count)
        answers = server.time_health(50)
        control.stop()
        yield "connected", f"{crowd.open:,}; others {dict(crowd.ends)}", crowd.open == count
        p99 = percentile(answers, 0.99)
        yield "/health meanwhile", f"{1000 * percentile(answers, 0.5):.0f} ms, p99 {1000 * p99:.0f} ms", p99 <= 0.05
        yield "control", control.verdict, not control.error
        yield "errors in its log", str(server.log().count("ERROR")), "ERROR" not in server.log()
        crowd.close()
