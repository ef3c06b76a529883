"""What the first connection of a process costs it, beside later ones: ``python -m benchmarks.first``.

Each server is new. It serves one connection with one echo, a thousand one right after the other, and some that come as
the first does: after a pause, in which what it needs has left the processor's caches. Printed is its CPU time.
"""

from __future__ import annotations

import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.certificate import make_certificate

ROUNDS, RUSH, LONE = 7, 1000, 20
PAUSE = 0.05  # seconds before the first, and each of the last

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
files = dict(zip(("certfile", "keyfile"), sys.argv[2:]))
server = WSGIServer(("127.0.0.1", 0), app, log=None, **files)
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


def talk(port: int, context: ssl.SSLContext | None) -> None:
    """One connection, one echo."""
    sock = socket.create_connection(("127.0.0.1", port))
    with sock if context is None else context.wrap_socket(sock, server_hostname="127.0.0.1") as peer:
        peer.sendall(REQUEST)
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(4096)
        peer.sendall(b"\x81\x82\0\0\0\0hi")
        assert peer.recv(4096) == b"\x81\x02hi"


def measure(kind: str, files: tuple[str, ...], context: ssl.SSLContext | None) -> tuple[float, float, float]:
    """The CPU time of the first connection, and the medians of those that come like it, and of those in a rush."""
    command = [sys.executable, "-c", SERVER, kind, *files]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())

            def cost(pause: float) -> float:
                time.sleep(pause)
                before = cpu(process.pid)
                talk(port, context)
                return cpu(process.pid) - before

            first = cost(PAUSE)
            rush = [cost(0) for _ in range(RUSH)]
            lone = [cost(PAUSE) for _ in range(LONE)]
        finally:
            process.kill()
    return first, statistics.median(lone), statistics.median(rush[-100:])


def main() -> None:
    """Measures and prints: the kinds by turns, so that they meet the same machine."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(folder)
        secure = ((certificate.chain, certificate.key), ssl.create_default_context(cafile=certificate.root))
        for _ in range(ROUNDS):
            for name, (files, context) in (("", ((), None)), (", TLS", secure)):
                for kind in ("cold", "warm"):
                    found.setdefault(kind + name, []).append(measure(kind, files, context))
    for name, rounds in found.items():
        first, lone, rush = (statistics.median(values) for values in zip(*rounds, strict=True))
        ratios = statistics.quantiles((one / other for one, other, _ in rounds), n=4)
        print(f"{name}: the first {first:.0f} µs, later ones {lone:.0f} µs, in a rush {rush:.0f} µs")
        print("  the first by later ones: median {1:.2f}, quartiles {0:.2f} and {2:.2f}".format(*ratios))


if __name__ == "__main__":
    main()
