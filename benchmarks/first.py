"""What the first connection of a process costs it, beside the thousandth: ``python benchmarks/first.py``.

Each server is new, and serves a thousand connections one after the other, each with one echo. Printed is the CPU time
of the server.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
from pathlib import Path

ROUNDS, CONNECTIONS = 7, 1000

SERVER = """
import gevent.monkey
gevent.monkey.patch_all()
import sys
from flask import Flask
from greenws import Endpoint, GreenWS
from greenws.server import WSGIServer
app = Flask("first")
ws = GreenWS(app, ping_interval=None, warm_up=[] if sys.argv[1] == "warm" else None)
@ws.route("/")
class Echo(Endpoint):
    def on_message(self, conn, message):
        conn.send(message)
server = WSGIServer(("127.0.0.1", 0), app, log=None)
server.start()
while server._acceptor is None:
    gevent.sleep(0.01)
print(server.address[1], flush=True)
server.serve_forever()
"""
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def cpu(pid: int) -> float:
    """The CPU time of a process so far, in microseconds (proc(5))."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1000


def talk(port: int) -> None:
    """One connection, one echo."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(REQUEST)
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        sock.sendall(b"\x81\x82\0\0\0\0hi")
        assert sock.recv(4096) == b"\x81\x02hi"


def measure(kind: str) -> tuple[float, float]:
    """The CPU time of the first connection, and the median of the last hundred."""
    command = [sys.executable, "-c", SERVER, kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            used = []
            for _ in range(CONNECTIONS):
                before = cpu(process.pid)
                talk(port)
                used.append(cpu(process.pid) - before)
        finally:
            process.kill()
    return used[0], statistics.median(used[-100:])


def main() -> None:
    """Measures and prints."""
    for kind in ("cold", "warm"):
        rounds = [measure(kind) for _ in range(ROUNDS)]
        first, later = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"{kind}: the first {first:.0f} µs, the thousandth {later:.0f} µs, medians of {ROUNDS} processes")


if __name__ == "__main__":
    main()
