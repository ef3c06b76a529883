"""Each limit of docs/limits.md with a metric is counted when it is hit, under its own name, and no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from flask import Flask
from gevent import socket
from gevent.event import Event

from greenws import Config, Connection, Endpoint, GreenWS
from greenws.net.reactor import get_reactor
from greenws.server import WSGIServer
from tests.hostile.peer import HI, ask
from tests.leaks import no_leaks, pytest_runtest_makereport
from tests.test_docs import rows
from tests.wire import BEGIN_TEXT, CLOSE, MORE, PING, frame, header

__all__ = ["no_leaks", "pytest_runtest_makereport"]

SOON = 0.2  # seconds
DEADLINE = 5.0
METRIC = 'greenws_limits_total{limit="%s"}'
TABLE = {name: cells[3].strip("`") for name, cells in rows("docs/limits.md", "setting").items()}
COUNTED = [name for name, metric in TABLE.items() if metric != "none"]


class Site:
    """A server with an application whose handlers wait until ``go``."""

    def __init__(self, **settings: Any) -> None:
        self.go = Event()
        self.app = Flask("limits")
        self.ws = GreenWS(self.app, **{"ping_interval": None, **settings})
        site = self

        class Waiting(Endpoint):
            def on_message(self, conn: Connection, message: str | bytes) -> None:
                site.go.wait(DEADLINE)

        class Sending(Endpoint):
            def on_message(self, conn: Connection, message: str | bytes) -> None:
                while True:
                    conn.send(bytes(1 << 20))

        self.ws.route("/waiting")(Waiting)
        self.ws.route("/sending")(Sending)
        self.ws.route("/view", endpoint="view")(lambda conn: conn.receive_stream())
        self.server = WSGIServer(("127.0.0.1", 0), self.app, log=None)
        self.server.start()
        self._sockets: list[socket.socket] = []

    @property
    def limits(self) -> Counter[str]:
        with self.app.app_context():
            return self.ws.limits

    def send(self, data: bytes) -> socket.socket:
        """Sends it over a connection of its own."""
        sock = socket.create_connection(self.server.address, DEADLINE)
        self._sockets.append(sock)
        sock.sendall(data)
        return sock

    def wait_until(self, question: Callable[[], Any]) -> None:
        with gevent.Timeout(DEADLINE):
            while not question():
                gevent.sleep(0.001)

    def stop(self) -> None:
        self.go.set()
        for sock in self._sockets:
            sock.close()
        self.server.stop(DEADLINE)


@pytest.fixture
def start() -> Iterator[Callable[..., Site]]:
    """Starts a server with these settings."""
    sites: list[Site] = []

    def start(**settings: Any) -> Site:
        sites.append(Site(**settings))
        return sites[-1]

    yield start
    for site in sites:
        site.stop()


UP = ask("/waiting")
CONTROL = frame(PING) * 4  # in two seconds at most, so that one of them has two

# The settings, what a peer sends, and what else is counted.
HITS: dict[str, tuple[dict[str, Any], bytes, tuple[str, ...]]] = {
    "origins": ({}, ask("/waiting", b"Origin: https://evil.example"), ()),
    "max_message_size": ({"max_message_size": 10}, UP + header(BEGIN_TEXT, 11) + bytes(4), ()),
    "max_stream_size": (
        {"max_message_size": 10, "max_stream_size": 20},
        ask("/view") + header(BEGIN_TEXT, 21) + bytes(4),
        (),
    ),
    "max_fragments": ({"max_fragments": 2}, UP + frame(BEGIN_TEXT) + frame(MORE) * 2, ()),
    "max_control_rate": ({"max_control_rate": 1}, UP + CONTROL, ()),
    "max_line_size": ({"max_line_size": 100}, b"GET /" + b"x" * 100, ()),
    "max_headers": ({"max_headers": 10}, ask("/waiting", *[b"X-A: a"] * 6), ()),
    "max_head_size": ({"max_head_size": 500}, ask("/waiting", b"X-A: " + b"a" * 500), ()),
    "handshake_timeout": ({"handshake_timeout": SOON}, UP[:-1], ()),
    "message_timeout": ({"message_timeout": SOON}, UP + HI[:-1], ()),
    "idle_timeout": ({"idle_timeout": SOON}, UP, ()),
    "close_timeout": ({"close_timeout": SOON, "idle_timeout": SOON}, UP, ("idle_timeout",)),
    "ping_timeout": ({"ping_interval": SOON, "ping_timeout": SOON}, UP, ()),
    "inbox_size": ({"inbox_size": 2}, UP + HI * 9, ()),
    "high_water_mark": ({}, ask("/sending") + HI, ()),
    "write_timeout": ({"write_timeout": SOON}, ask("/sending") + HI, ("high_water_mark",)),
}
BY_MANY = ("max_connections", "max_address_connections", "max_address_rate", "pool_size")


@pytest.mark.slow
@pytest.mark.parametrize("name", HITS)
def test_a_limit_that_is_hit_is_counted(start: Callable[..., Site], name: str) -> None:
    settings, wire, others = HITS[name]
    site = start(**settings)
    site.send(wire)
    site.wait_until(lambda: site.limits[name])
    gevent.sleep(0)
    assert +site.limits == Counter((name, *others))


def test_a_connection_too_many_is_counted_each_time(start: Callable[..., Site]) -> None:
    site = start(max_connections=1)
    assert site.send(UP).recv(12) == b"HTTP/1.1 101"
    for count in (1, 2):
        assert site.send(UP).recv(12) == b"HTTP/1.1 503"
        assert site.limits == Counter(max_connections=count)


@pytest.mark.parametrize(("name", "value"), [("max_address_connections", 1), ("max_address_rate", 0.1)])
def test_an_address_that_wants_too_much_is_counted(start: Callable[..., Site], name: str, value: float) -> None:
    site = start(**{name: value})
    assert site.send(UP).recv(12) == b"HTTP/1.1 101"
    assert site.send(UP).recv(12) == b"HTTP/1.1 429"
    assert site.limits == Counter((name,))


def test_a_message_that_waits_for_a_place_in_the_pool_is_counted(
    start: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = start()
    peers = [site.send(UP) for _ in range(2)]
    for peer in peers:
        assert peer.recv(12) == b"HTTP/1.1 101"
    monkeypatch.setattr(get_reactor().pool, "size", 1)  # it is the whole process's, so it may have been enlarged
    for peer in peers:
        peer.sendall(HI)
    site.wait_until(lambda: site.limits)
    assert site.limits == Counter(pool_size=1)


def test_nothing_is_counted_where_no_limit_is_hit(start: Callable[..., Site]) -> None:
    site = start()
    for wire in (UP + HI + frame(CLOSE), UP + frame(MORE), b"\x16\x03\x01", ask("/nowhere"), ask("/waiting")[:40]):
        with site.send(wire) as sock:
            sock.shutdown(socket.SHUT_WR)
            site.go.set()
            while sock.recv(4096):
                pass
    assert site.limits == Counter()


def test_silence_between_two_requests_is_no_handshake_that_took_too_long(
    start: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greenws.server.wsgi.KEEP_ALIVE", SOON)
    site = start(handshake_timeout=DEADLINE)
    with site.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as sock:
        while sock.recv(4096):
            pass
    assert site.limits == Counter()
    assert site.server.limits is site.limits


def test_servers_of_one_application_count_together_and_those_of_two_apart(start: Callable[..., Site]) -> None:
    site, other = start(max_line_size=100), start(max_line_size=100)
    second = WSGIServer(("127.0.0.1", 0), site.app, log=None)
    second.start()
    try:
        for server in (site.server, second):
            with socket.create_connection(server.address, DEADLINE) as sock:
                sock.sendall(b"x" * 200)
                assert sock.recv(12) == b"HTTP/1.1 414"
    finally:
        second.stop()
    assert (site.limits, other.limits) == (Counter(max_line_size=2), Counter())


def test_a_server_without_an_application_of_ours_has_a_counter_of_its_own() -> None:
    server = WSGIServer(("127.0.0.1", 0), lambda environ, start_response: [], log=None, config=Config(max_line_size=10))
    server.start()
    try:
        with socket.create_connection(server.address, DEADLINE) as sock:
            sock.sendall(b"x" * 11)
            assert sock.recv(12) == b"HTTP/1.1 414"
    finally:
        server.stop()
    assert server.limits == Counter(max_line_size=1)


# ---- the table


def test_every_limit_that_has_a_metric_is_hit_here() -> None:
    assert set(COUNTED) == {*HITS, *BY_MANY}


@pytest.mark.parametrize("name", COUNTED)
def test_the_metric_has_the_name_of_the_setting(name: str) -> None:
    assert TABLE[name] == METRIC % name
