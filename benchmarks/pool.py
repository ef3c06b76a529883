"""What a pool is worth: users who need an upstream for one question each, with and without one.

``python -m benchmarks.pool`` prints the tables of docs/pool.md and writes docs/measured/pool.json and pool.png.

The upstream is a process of its own that speaks TLS and takes 15 ms for each handshake. The users are greenlets that
ask at random times; what is measured is the time from wanting a connection to having the answer.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import gevent

import greenws
from benchmarks.certificate import Certificate, make_certificate
from greenws import Connection, GreenWSError, SocketOptions
from greenws.bench.usage import read_usage
from greenws.client.pool import ConnectionPool
from greenws.client.report import percentile
from greenws.net.transport import TLS
from greenws.server.tls import make_context

COST = 0.015  # seconds that the upstream takes for a handshake
FAR = 0.5  # and one for which time is all that a handshake costs: what its CPU time adds does not show
WARM, CONCURRENCY = 500, 50
WARM_UPS = 7  # of which the median counts
FOLDER = Path(__file__).parent.parent / "docs" / "measured"

PLAIN = SocketOptions(nodelay=False, tls_resumption=False)
TUNED = SocketOptions(keepalive_idle=30, user_timeout=10, send_buffer=32768, receive_buffer=32768)

UPSTREAM = """
import sys, gevent
from flask import Flask
from greenws import GreenWS
from greenws.server import WSGIServer
app = Flask("upstream")
ws = GreenWS(app, ping_interval=None)
@ws.route("/", request_context=False)
def echo(conn):
    gevent.sleep(float(sys.argv[1]))
    for message in conn:
        conn.send(message)
server = WSGIServer(("127.0.0.1", 0), app, log=None, certfile=sys.argv[2], keyfile=sys.argv[3])
server.start()
print(server.address[1], flush=True)
server.serve_forever()
"""


class Upstream(NamedTuple):
    """A process, where it is, and a context that trusts it."""

    pid: int
    url: str
    context: ssl.SSLContext

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        usage = read_usage((self.pid,))
        return usage.user + usage.system


@contextmanager
def run_upstream(certificate: Certificate, cost: float = COST) -> Iterator[Upstream]:
    """An upstream in a process of its own."""
    command = [sys.executable, "-c", UPSTREAM, str(cost), certificate.chain, certificate.key]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = f"wss://127.0.0.1:{int(process.stdout.readline())}/"
        yield Upstream(process.pid, url, ssl.create_default_context(cafile=certificate.root))
    finally:
        process.kill()
        process.wait()


def ask(conn: Connection) -> None:
    """One question and its answer."""
    conn.send("question")
    conn.receive(timeout=10)


def let_users_ask(users: int, rate: float, seconds: float, question: Callable[[], object]) -> list[float]:
    """Lets users ask, each at random times, ``rate`` times a second all together.

    Returns:
        The seconds that each answer took. A question without one is infinity.
    """
    times: list[float] = []
    until = time.monotonic() + seconds

    def use() -> None:
        gevent.sleep(random.uniform(0, min(seconds, users / rate)))
        while time.monotonic() < until:
            begin = time.perf_counter()
            try:
                question()
                times.append(time.perf_counter() - begin)
            except GreenWSError as error:
                print(error, file=sys.stderr)
                times.append(float("inf"))
            pause = random.uniform(0, 2 * users / rate)
            if time.monotonic() + pause >= until:
                return
            gevent.sleep(pause)

    greenlets = [gevent.spawn(use) for _ in range(users)]
    gevent.joinall(greenlets, raise_error=True)
    return times


def without_pool(upstream: Upstream) -> Callable[[], None]:
    """A connection for each question."""

    def question() -> None:
        conn = greenws.connect(upstream.url, ssl=upstream.context)
        ask(conn)
        conn.close()

    return question


def with_pool(pool: ConnectionPool) -> Callable[[], None]:
    """A lease for each question."""

    def question() -> None:
        with pool.lease() as conn:
            ask(conn)

    return question


def measure_warm_up(upstream: Upstream) -> dict[str, float]:
    """How long a warm-up takes, and the first leases.

    The ideal is that of connections which cost nothing but time: one after the other, by ``CONCURRENCY`` at once.
    """
    lone = []
    for _ in range(50):
        begin = time.perf_counter()
        greenws.connect(upstream.url, ssl=upstream.context).close()
        lone.append(time.perf_counter() - begin)
    rounds = [warm_up_once(upstream) for _ in range(WARM_UPS)]
    took, ours, theirs, first = zip(*rounds, strict=True)
    leases = [value for values in first for value in values]
    cost, client = statistics.median(lone), statistics.median(ours)
    ideal = cost * WARM / CONCURRENCY
    return {
        "one_connection_ms": cost * 1e3,
        "ideal_s": ideal,
        "warm_up_s": statistics.median(took),
        "warm_up_least_s": min(took),
        "warm_up_most_s": max(took),
        "by_ideal": statistics.median(took) / ideal,
        "client_cpu_ms_each": client * 1e3 / WARM,
        "upstream_cpu_ms_each": statistics.median(theirs) * 1e3 / WARM,
        "client_cpu_by_ideal": client / ideal,
        "first_lease_p50_ms": percentile(leases, 0.5) * 1e3,
        "first_lease_p99_ms": percentile(leases, 0.99) * 1e3,
    }


def warm_up_once(upstream: Upstream) -> tuple[float, float, float, list[float]]:
    """Returns the seconds that one warm-up took, those of CPU at both ends, and those of each first lease."""
    with ConnectionPool(upstream.url, ssl=upstream.context, max_size=WARM) as pool:
        ours, theirs = time.process_time(), upstream.cpu()
        report = pool.warm_up(WARM, concurrency=CONCURRENCY, timeout=60)
        ours, theirs = time.process_time() - ours, upstream.cpu() - theirs
        assert report.is_complete, report
        first = []
        leases = []
        for _ in range(WARM):
            begin = time.perf_counter()
            leases.append(pool.lease())
            first.append(time.perf_counter() - begin)
        for lease in leases:
            lease.release()
    return report.seconds, ours, theirs, first


def measure_openssl(certificate: Certificate) -> dict[str, float]:
    """What OpenSSL and Python's ssl module take of that: milliseconds of CPU of handshakes in memory, least of many."""
    contexts = (ssl.create_default_context(cafile=certificate.root), make_context(certificate.chain, certificate.key))
    session = None
    best = {}
    for name in ("full", "resumed"):
        rounds = []
        for _ in range(20):
            one = [handshake(*contexts, session) for _ in range(50)]
            rounds.append([sum(side) / len(one) for side in zip(*(times for _, times in one), strict=True)])
        for side, values in zip(("client", "upstream"), zip(*rounds, strict=True), strict=True):
            best[f"{name}_{side}_ms"] = min(values) * 1e3
        session = one[-1][0].session
    best["session_copy_client_ms"] = measure_copy(contexts[0], session)
    return best


def measure_copy(context: ssl.SSLContext, session: ssl.SSLSession | None) -> float:
    """Milliseconds of CPU for which Python copies a session into a connection, certificate and all; least of many."""
    took = []
    for offered in (None, session):
        rounds = []
        for _ in range(20):
            start = time.thread_time()
            for _ in range(50):
                TLS(context, False, "127.0.0.1", offered)
            rounds.append((time.thread_time() - start) / 50)
        took.append(min(rounds))
    return (took[1] - took[0]) * 1e3


def handshake(
    trusting: ssl.SSLContext, serving: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[TLS, tuple[float, float]]:
    """One handshake in memory, with the tickets behind it: the client's end of it, and the seconds at both ends."""
    start = time.thread_time()
    client = TLS(trusting, False, "127.0.0.1", session)
    ours, theirs, flight = time.thread_time() - start, 0.0, b""
    server = TLS(serving)
    for _ in range(3):
        start = time.thread_time()
        client.receive(flight)
        flight = client.send(b"")
        middle = time.thread_time()
        if flight:
            server.receive(flight)
            flight = server.send(b"")
        ours += middle - start
        theirs += time.thread_time() - middle
    assert client.is_resumed == (session is not None)
    return client, (ours, theirs)


def run(users: int, rate: float, seconds: float) -> dict[str, Any]:
    """Measures everything."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(folder)
        openssl = measure_openssl(certificate)
        with run_upstream(certificate, FAR) as upstream:
            far = measure_warm_up(upstream)
        with run_upstream(certificate) as upstream:
            warm_up = measure_warm_up(upstream)
            times["no pool"] = let_users_ask(users, rate, seconds, without_pool(upstream))
            for name, options in (("pool", PLAIN), ("pool and tuned sockets", TUNED)):
                with ConnectionPool(upstream.url, ssl=upstream.context, max_size=WARM, socket_options=options) as pool:
                    assert pool.warm_up(WARM, timeout=60).is_complete
                    times[name] = let_users_ask(users, rate, seconds, with_pool(pool))
                    assert pool.stats.opened == WARM, "the pool opened more while it was in use"
    return {
        "machine": f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores",
        "load": os.getloadavg()[0],
        "users": users,
        "rate": rate,
        "openssl": openssl,
        "warm_up": warm_up,
        "warm_up_far": far,
        "times_ms": {name: sorted(round(value * 1e3, 3) for value in values) for name, values in times.items()},
    }


def table(result: dict[str, Any]) -> str:
    """The table of docs/pool.md."""
    lines = ["| | questions | mean | p50 | p99 | mean, of no pool | p99, of no pool |", "|---|---|---|---|---|---|---|"]
    base: tuple[float, float] | None = None
    for name, times in result["times_ms"].items():
        mean, p99 = sum(times) / len(times), percentile(times, 0.99)
        base = base or (mean, p99)
        figures = f"{mean:.2f} ms | {percentile(times, 0.5):.2f} ms | {p99:.2f} ms"
        lines.append(f"| {name} | {len(times):,} | {figures} | 1/{base[0] / mean:.0f} | 1/{base[1] / p99:.0f} |")
    return "\n".join(lines)


def plot(result: dict[str, Any], file: Path) -> None:
    """Draws which share of the questions was answered within which time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for (name, times), style in zip(result["times_ms"].items(), ("-", "-", "--"), strict=True):
        shares = [(index + 1) / len(times) * 100 for index in range(len(times))]
        axes.plot(times, shares, style, linewidth=2, label=f"{name}: mean {sum(times) / len(times):.1f} ms")
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds from wanting a connection to having the answer")
    axes.set_ylabel("% of questions answered")
    axes.set_title(f"{result['users']:,} users, {result['rate']:g} questions a second, TLS, 15 ms for a handshake")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(visible=True, which="both", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3)
    figure.savefig(file, dpi=110)


def main() -> None:
    """Measures, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=20.0, help="questions a second, of all users together")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    result = run(options.users, options.rate, options.seconds)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "pool.json").write_text(json.dumps(result) + "\n")
    plot(result, FOLDER / "pool.png")
    print(table(result))
    for key in ("openssl", "warm_up", "warm_up_far"):
        print(f"\n{key}")
        for name, value in result[key].items():
            print(f"  {name}: {value:.3f}")


if __name__ == "__main__":
    main()
