"""A served application whose metrics are scraped as Prometheus does it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from flask import Flask
from gevent import socket
from prometheus_client.parser import text_string_to_metric_families

from greenws import Connection, Endpoint, GreenWS
from greenws.observe.figures import METRICS
from greenws.server import WSGIServer
from tests.hostile.peer import ask
from tests.leaks import no_leaks, pytest_runtest_makereport

__all__ = ["no_leaks", "pytest_runtest_makereport"]

DEADLINE = 5.0
LABELS = {metric.name: metric.labels for metric in METRICS}
SUFFIX = re.compile(r"_(bucket|sum|count)$")


def fetch(address: tuple[str, int], path: str = "/metrics") -> tuple[int, str]:
    """Asks for a page. Returns the status and the body."""
    with socket.create_connection(address, DEADLINE) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


class Scrape:
    """What one scrape has said: the value of a sample by its name and the values of its labels, in our order."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples: dict[tuple[str, ...], float] = {}
        for family in self.families.values():
            for sample in family.samples:
                labels = (*LABELS[SUFFIX.sub("", sample.name)], "le")
                assert set(sample.labels) <= set(labels)
                values = [sample.labels[label] for label in labels if label in sample.labels]
                self.samples[sample.name, *values] = sample.value

    def __getitem__(self, key: Any) -> float:
        return self.samples[key if isinstance(key, tuple) else (key,)]

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of one name, by the values of their labels."""
        return {key[1:]: value for key, value in self.samples.items() if key[0] == name}


class Served:
    """An application with a route of each style, and its metrics on a port of their own."""

    def __init__(self, **settings: Any) -> None:
        self.app = Flask("observed")
        self.ws = GreenWS(self.app, **{"ping_interval": None, "metrics": "127.0.0.1:0", **settings})
        self.ws.route("/event/<name>", endpoint="event")(Events)
        self.ws.route("/view/<name>", endpoint="view")(view)
        self.app.add_url_rule("/closed", view_func=lambda: ("", 403))
        self.server = WSGIServer(("127.0.0.1", 0), self.app, log=None)
        self.server.start()
        self._sockets: list[socket.socket] = []

    @property
    def metrics(self) -> Any:
        return self.app.extensions["greenws"].metrics

    @property
    def connections(self) -> list[Connection]:
        return list(self.app.extensions["greenws"].connections)

    def scrape(self) -> Scrape:
        status, text = fetch(self.metrics.address)
        assert status == 200
        return Scrape(text)

    def open(self, path: str = "/event/a", wire: bytes = b"") -> socket.socket:
        """Opens a WebSocket, and sends what is to follow. Returns when its 101 is here."""
        sock = self.send(ask(path) + wire)
        self.until(sock, b"\r\n\r\n")
        return sock

    def send(self, wire: bytes) -> socket.socket:
        sock = socket.create_connection(self.server.address, DEADLINE)
        self._sockets.append(sock)
        sock.sendall(wire)
        return sock

    def open_pair(self, path: str = "/event/a") -> socket.socket:
        """The same over a socket pair, whose buffers do not grow."""
        ours, theirs = socket.socketpair()
        self._sockets.append(ours)
        ours.sendall(ask(path))
        self.server.on_connect(theirs.detach(), "")
        self.until(ours, b"\r\n\r\n")
        return ours

    def until(self, sock: socket.socket, end: bytes) -> bytes:
        data = b""
        while end not in data:
            more = sock.recv(1 if end == b"\r\n\r\n" else 65536)
            assert more
            data += more
        return data

    def wait_until(self, question: Callable[[], Any]) -> None:
        with gevent.Timeout(DEADLINE):
            while not question():
                gevent.sleep(0.001)

    def stop(self) -> None:
        for sock in self._sockets:
            sock.close()
        self.server.stop(DEADLINE)


class Events(Endpoint):
    """Does what the message says."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        if message == "sleep":
            gevent.sleep(0.02)
        elif message == "flood":
            while True:
                conn.send(bytes(1 << 20))
        elif isinstance(message, str) and message.isdigit():
            conn.close(int(message))
            return
        conn.send(message)


def view(conn: Connection, name: str) -> None:
    for message in conn:
        if message == "sleep":
            gevent.sleep(0.02)
        conn.send(message)


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serves with these settings."""
    served: list[Served] = []

    def serve(**settings: Any) -> Served:
        served.append(Served(**settings))
        return served[-1]

    yield serve
    for one in served:
        one.stop()
