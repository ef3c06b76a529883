"""Servers for a pool to connect to: one that behaves, and one that does what the test says."""

from __future__ import annotations

import gc
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent.ssl
import pytest
from flask import Flask
from gevent.event import Event
from gevent.server import StreamServer

from greenws import Connection, ConnectionPool, GreenWS, PoolTimeout
from greenws.protocol.handshake import accept_key
from greenws.server import WSGIServer


class Upstream:
    """An echo server. ``conns`` are its sides of the connections, the newest last."""

    def __init__(self, **options: Any) -> None:
        self.conns: list[Connection] = []
        self.greeting: str | None = None
        self.before: Callable[[], object] | None = None
        self.handshakes = self.most_at_once = 0
        self._options = options
        self.app = Flask("upstream")
        ws = GreenWS(self.app, ping_interval=None)
        ws.route("/", request_context=False)(self._echo)
        self.start()

    def _echo(self, conn: Connection) -> None:
        self.handshakes += 1
        self.most_at_once = max(self.most_at_once, self.handshakes - len(self.conns))
        if self.before is not None:
            self.before()
        self.conns.append(conn)
        if self.greeting is not None:
            conn.send(self.greeting)
        for message in conn:
            conn.send(message)

    def start(self, port: int = 0) -> None:
        self.server = WSGIServer(("127.0.0.1", port), self.app, log=None, error_log=None, **self._options)
        self.server.start()
        scheme = "wss" if self._options else "ws"
        self.url = f"{scheme}://{'localhost' if self._options else '127.0.0.1'}:{self.server.address[1]}/"

    def stop(self) -> None:
        self.server.stop(1)
        self.conns.clear()
        gc.collect()  # an application and its requests refer to one another: the check for leaks would wait for them


class Puppet:
    """A TCP server that does nothing by itself. ``peers`` are its sockets; ``upgrades`` makes it answer handshakes."""

    def __init__(self, *, upgrades: bool = True, **options: Any) -> None:
        self.peers: list[Any] = []
        self.came = Event()
        self._upgrades = upgrades
        self._end = Event()
        self.server = StreamServer(("127.0.0.1", 0), self._serve, **options)
        self.server.start()
        self.port = self.server.server_port
        self.url = f"ws://127.0.0.1:{self.port}/"

    def _serve(self, sock: Any, address: Any) -> None:
        if self._upgrades:
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(4096)
            key = next(
                line.split()[1] for line in head.decode().split("\r\n") if line.lower().startswith("sec-websocket-key")
            )
            sock.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
            )
        self.peers.append(sock)
        self.came.set()
        self._end.wait()

    def stop(self) -> None:
        for sock in self.peers:
            sock.close()
        self._end.set()
        self.server.stop(1)


def make_certificate(folder: Path) -> tuple[str, str, ssl.SSLContext]:
    """A certificate for localhost and its key, as files, and a client's context that trusts it."""
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", cert, "-keyout", key]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key, ssl.create_default_context(cafile=cert)


def server_context(certfile: str, keyfile: str) -> ssl.SSLContext:
    """What a server of gevent needs to speak TLS."""
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certfile, keyfile)
    return context


def until(condition: Callable[[], object]) -> None:
    """Lets the hub run until something is so. The test's timeout ends it."""
    while not condition():
        gevent.sleep(0.001)


def echo(conn: Connection, message: str = "hi") -> None:
    conn.send(message)
    assert conn.receive(timeout=5) == message


def why_there_is_none(pool: ConnectionPool) -> str:
    """What a lease says after an attempt to connect has failed."""
    with pytest.raises(PoolTimeout):
        pool.lease(timeout=0)
    until(lambda: pool.stats.failed)
    with pytest.raises(PoolTimeout) as error:
        pool.lease(timeout=0)
    return str(error.value)
