"""Peers that read nothing, talk too much, all wake at once, or meet a handler that fails."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress

from faults.control import Control
from faults.peers import PING, REQUEST, TEXT, Crowd, masked, percentile
from faults.servers import cpu_time, descriptors, memory, serve


def slow_readers(count: int = 2000, slow: int = 100, rounds: int = 200) -> Iterator[tuple[str, str, bool]]:
    """F10: some of many never read a broadcast of 16 KiB each time."""
    with serve(FLASK_GREENWS_HIGH_WATER_MARK=str(1 << 20)) as server:
        (worker,) = server.workers
        crowd = Crowd(server.port, "/news").connect(count - slow)
        deaf = Crowd(server.port, "/news", receive_buffer=4096).connect(slow)
        before, begin = memory(worker), time.monotonic()
        control = Control(server.port)
        first = next(iter(crowd.peers.values()))
        first.sock.send(masked(TEXT, f"{rounds} 16384".encode()))
        most = 0
        while crowd.messages < rounds * (count - slow) and time.monotonic() < begin + 120:
            crowd.run(0.25)
            most = max(most, memory(worker) - before)
        took = time.monotonic() - begin
        control.stop()
        yield "readers got", f"{crowd.messages:,} in {took:.1f} s", crowd.messages >= rounds * (count - slow)
        yield "memory", f"{most / 1024:.0f} MiB more at most", most <= slow * 1.25 * 1024 + 50 * 1024
        yield "left of the slow", f"{server.health()['connections'] - crowd.open}", True
        yield "control", control.verdict, not control.error
        crowd.close()
        deaf.close()


def ping_flood(peers: int = 10, seconds: float = 5.0) -> Iterator[tuple[str, str, bool]]:
    """F11: pings as fast as they go, of peers that read nothing."""
    with serve(FLASK_GREENWS_MAX_CONTROL_RATE="1000000") as server:
        (worker,) = server.workers
        control = Control(server.port)
        socks = []
        for _ in range(peers):
            sock = socket.create_connection(("127.0.0.1", server.port))
            sock.sendall(REQUEST % b"/echo")
            sock.recv(65536)
            sock.setblocking(False)
            socks.append(sock)
        flood = masked(PING, b"x" * 100) * 100
        with suppress(BlockingIOError):
            while True:
                socks[0].send(flood)  # what a process makes once, such as its buffer, is not theirs
        time.sleep(0.5)
        before, begin, most, sent = memory(worker), time.monotonic(), 0, 0
        while time.monotonic() < begin + seconds:
            for sock in socks:
                try:
                    sent += sock.send(flood)
                except OSError:
                    continue
            most = max(most, memory(worker) - before)
        control.stop()
        for sock in socks:
            sock.close()
        yield "pings", f"{sent // 106:,}, the limit of a second lifted", True
        yield "memory", f"{most / peers:.0f} KiB more for each at most", most / peers <= 64
        yield "control", control.verdict, not control.error


def heartbeats(count: int = 10_000) -> Iterator[tuple[str, str, bool]]:
    """F12: all connected within seconds, then silent."""
    with serve(FLASK_GREENWS_PING_INTERVAL="10") as server:
        (worker,) = server.workers
        crowd = Crowd(server.port).connect(count)
        crowd.run(10)
        control, before, begin = Control(server.port), cpu_time(worker), time.monotonic()
        crowd.pings.clear()
        crowd.run(20)
        share = (cpu_time(worker) - before) / (time.monotonic() - begin)
        control.stop()
        bins = [0] * 200
        for at in crowd.pings:
            bins[min(199, int((at - begin) * 10))] += 1
        mean = sum(bins) / len(bins)
        yield "pings", f"{len(crowd.pings):,} in 20 s", abs(len(crowd.pings) - 2 * count) < count / 5
        yield "in 100 ms", f"{mean:.0f} on average, {max(bins)} at most", max(bins) <= 2 * mean
        yield "CPU of one core", f"{100 * share:.0f} %, control included", True
        yield "lost", str(dict(crowd.ends)), not crowd.ends
        yield "control", control.verdict, not control.error
        crowd.close()


def failing_handlers(count: int = 300) -> Iterator[tuple[str, str, bool]]:
    """F17: handlers that raise, that are killed, that never return."""
    with serve() as server:
        (worker,) = server.workers
        control, fds = Control(server.port), descriptors(worker)
        for what in ("raise", "kill", "never"):
            crowd = Crowd(server.port, "/fail").connect(count)
            crowd.send(masked(TEXT, what.encode()))
            crowd.run(15, lambda crowd=crowd: not crowd.peers)
            ends = dict(crowd.ends)
            wanted = {} if what == "never" else {"1011": count}
            yield f"{what}: ended", str(ends or "none"), ends == wanted
            crowd.close()
        time.sleep(1)
        yield "log lines of those that raised", str(server.log().count("Exception on WebSocket")), True
        yield "descriptors", f"{fds} then {descriptors(worker)}", descriptors(worker) <= fds + 1
        control.stop()
        yield "control", control.verdict, not control.error


def balance(*options: str, count: int = 10_000) -> Iterator[tuple[str, str, bool]]:
    """F16: how connections spread over two workers."""
    with serve("--workers=2", *options) as server:
        while len(server.workers) < 2:
            time.sleep(0.05)
        time.sleep(2)
        workers = server.workers
        before = [cpu_time(pid) for pid in workers]
        begin = time.monotonic()
        time.sleep(3)
        idle = max(cpu_time(pid) - was for pid, was in zip(workers, before, strict=True)) / (time.monotonic() - begin)
        empty = [descriptors(pid) for pid in workers]
        crowd = Crowd(server.port).connect(count)
        shares = [descriptors(pid) - was for pid, was in zip(workers, empty, strict=True)]
        smaller = min(shares) / max(1, sum(shares))
        yield "split", f"{100 * smaller:.0f} to {100 - 100 * smaller:.0f} %", smaller >= 0.4
        yield "CPU while idle", f"{100 * idle:.1f} %", idle <= 0.02
        p99 = percentile(crowd.handshakes, 0.99)
        yield "connected", f"{crowd.open:,}; handshake p99 {1000 * p99:.0f} ms", crowd.open == count
        crowd.close()
