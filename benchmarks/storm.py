"""What happens when a server restarts under ten thousand clients that use ``greenws.reconnect``.

``python benchmarks/storm.py`` kills the server, starts its successor, and prints how many attempts came in each second
and when everybody was back. ``--gap 3`` leaves so many seconds between the two.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from typing import Any

SERVER = """
import gevent, resource, sys
from flask import Flask
from greenws import Endpoint, GreenWS, SocketOptions
from greenws.server import WSGIServer
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
app = Flask("server")
ws = GreenWS(app)
@ws.route("/", request_context=False)
class Quiet(Endpoint):
    pass
server = WSGIServer(("127.0.0.1", int(sys.argv[1])), app, log=None, socket_options=SocketOptions(reuse_port=True))
server.start()
print(server.address[1], flush=True)
server.serve_forever()
"""

CLIENTS = """
import gevent, json, resource, sys, time
import greenws
from greenws.client.connect import Dialer
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
url, count = sys.argv[1], int(sys.argv[2])
attempts, back = [], []
dial = Dialer.connect
def counted(self):
    attempts.append(time.monotonic())
    return dial(self)
Dialer.connect = counted
def stay():
    for conn in greenws.reconnect(url, on_message=print):
        back.append(time.monotonic())
def begin():
    for number in range(count):
        gevent.spawn(stay)
        if number % 50 == 0:
            gevent.sleep(0.05)
gevent.spawn(begin)
while len(back) < count:
    gevent.sleep(0.1)
print("connected", flush=True)
attempts.clear()
gevent.get_hub().threadpool.apply(sys.stdin.readline)
print(json.dumps([attempts, back[count:]]), flush=True)
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Starts a program in a process of its own."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def read(process: subprocess.Popen[str]) -> str:
    """The next line of a process."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def run(clients: int, processes: int, gap: float, wait: float) -> dict[str, Any]:
    """Kills a server under its clients. Returns the attempts of each second, and when the last client was back."""
    started = []
    try:
        server = start(SERVER, 0)
        started.append(server)
        port = int(read(server))
        groups = [start(CLIENTS, f"ws://127.0.0.1:{port}/", clients // processes) for _ in range(processes)]
        started += groups
        assert [read(group) for group in groups] == ["connected"] * processes
        if not gap:
            started.append(start(SERVER, port))
            read(started[-1])
        died = time.monotonic()
        server.kill()
        if gap:
            time.sleep(gap)
            started.append(start(SERVER, port))
            read(started[-1])
        up = time.monotonic()
        time.sleep(wait)
        attempts, back = [], []
        for group in groups:
            assert group.stdin is not None
            group.stdin.write("\n")
            group.stdin.flush()
            theirs = json.loads(read(group))
            attempts += theirs[0]
            back += theirs[1]
    finally:
        for process in started:
            process.kill()
            process.wait()
    return result(attempts, back, died, up, clients)


def result(attempts: list[float], back: list[float], died: float, up: float, clients: int) -> dict[str, Any]:
    """What the moments of all attempts say."""
    last = max(back, default=died)
    seconds = Counter(int(moment - died) for moment in attempts if moment <= last)
    length = max(1, int(last - died) + 1)
    mean = sum(seconds.values()) / length
    return {
        "back": len(back),
        "clients": clients,
        "all_back_after_s": round(last - up, 1) if len(back) >= clients else None,
        "attempts": sum(seconds.values()),
        "attempts_by_second": [seconds[second] for second in range(length)],
        "most_by_mean": round(max(seconds.values(), default=0) / mean, 2) if mean else None,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--gap", type=float, default=0.0, help="seconds without a server")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds until it is looked who is back")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (20_000, 20_000))
    for name, value in run(options.clients, options.processes, options.gap, options.wait).items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
