"""A server that is warm before it accepts, and says whether it is ready."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from flask import Flask
from gevent import socket
from gevent.event import Event
from werkzeug.test import create_environ, run_wsgi_app

from greenws import ConfigError, GreenWS
from greenws.client.report import WarmUp
from greenws.server import WSGIServer, readiness
from greenws.server.readiness import Readiness
from tests.server.conftest import upgrade_request

GET = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FIRST_DELAY", 0.001)


class Serving:
    """Servers of one test."""

    def __init__(self) -> None:
        self.servers: list[WSGIServer] = []

    def start(self, **options: Any) -> WSGIServer:
        app = Flask("site")
        ws = GreenWS(app, **options)

        @ws.route("/echo")
        def echo(conn: Any) -> None:
            for message in conn:
                conn.send(message)

        return self.start_another(app)

    def start_another(self, app: Flask) -> WSGIServer:
        server = WSGIServer(("127.0.0.1", 0), app, log=None, error_log=None)
        server.start()
        self.servers.append(server)
        return server


@pytest.fixture
def serving() -> Iterator[Serving]:
    made = Serving()
    yield made
    for server in made.servers:
        server.stop(1)


def ask(server: WSGIServer, request: bytes = GET) -> bytes:
    with socket.create_connection(server.address) as sock:
        sock.sendall(request)
        return bytes(sock.recv(65536)).partition(b"\r\n")[0]


class Pool:
    """Something to warm up that is done as often as told."""

    def __init__(self, *ready: int) -> None:
        self.ready = list(ready)
        self.calls = 0

    def warm_up(self) -> WarmUp:
        self.calls += 1
        numbers: dict[str, Any] = {"opened": 0, "failed": 0, "seconds": 0, "connect_p50": 0, "connect_p99": 0}
        return WarmUp(wanted=2, ready=self.ready.pop(0), last_error="refused", **numbers)


def test_nothing_is_accepted_before_everything_is_warm(serving: Serving) -> None:
    gate, called = Event(), []
    pool = Pool(2)
    server = serving.start(warm_up=[gate.wait, pool, lambda: called.append(1)], ready_path="/ready")
    asking = gevent.spawn(ask, server)
    gevent.idle()
    assert (pool.calls, called) == (1, [1])  # side by side
    assert not asking.ready()
    gate.set()
    assert asking.get() == b"HTTP/1.1 200 OK"
    assert ask(server, upgrade_request("/echo")) == b"HTTP/1.1 101 Switching Protocols"


def test_an_application_on_two_addresses_is_warmed_up_once(serving: Serving) -> None:
    gate, pool = Event(), Pool(2)
    first = serving.start(warm_up=[pool, gate.wait], ready_path="/ready")
    second = serving.start_another(first.application)
    asking = [gevent.spawn(ask, server) for server in (first, second)]
    gevent.idle()
    gate.set()
    assert [greenlet.get() for greenlet in asking] == [b"HTTP/1.1 200 OK"] * 2
    assert pool.calls == 1


def test_a_server_goes_on_with_the_warm_up_of_one_that_was_stopped(serving: Serving) -> None:
    gate = Event()
    first = serving.start(warm_up=[gate.wait], ready_path="/ready")
    second = serving.start_another(first.application)
    gevent.idle()
    first.stop(1)
    gate.set()
    assert ask(second) == b"HTTP/1.1 200 OK"


def test_without_a_warm_up_a_server_is_ready_at_once(serving: Serving) -> None:
    server = serving.start(ready_path="/ready")
    assert server.application.extensions["greenws"].is_ready
    assert ask(server) == b"HTTP/1.1 200 OK"


def test_a_process_can_be_warmed_up_without_anything_else(serving: Serving) -> None:
    server = serving.start(warm_up=[])
    assert ask(server, upgrade_request("/echo")) == b"HTTP/1.1 101 Switching Protocols"


def test_a_process_that_is_about_to_end_is_not_ready(serving: Serving) -> None:
    server = serving.start(ready_path="/ready")
    state = server.application.extensions["greenws"]
    state.registry.is_draining = True
    assert ask(server) == b"HTTP/1.1 503 SERVICE UNAVAILABLE"
    state.registry.is_draining = False
    assert ask(server) == b"HTTP/1.1 200 OK"


def test_there_is_no_such_path_unless_asked_for(serving: Serving) -> None:
    assert ask(serving.start()) == b"HTTP/1.1 404 NOT FOUND"


def test_a_request_that_names_no_path_is_not_asking_whether_we_are_ready() -> None:
    app = Flask("site")
    GreenWS(app)
    environ = create_environ("/")
    del environ["PATH_INFO"]
    assert run_wsgi_app(app, environ)[1] == "404 NOT FOUND"


def test_a_view_can_ask_whether_the_process_is_ready() -> None:
    app = Flask("site")
    ws = GreenWS(app)
    with app.app_context():
        assert ws.is_ready


def test_a_server_starts_without_what_it_does_not_require(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise OSError("no such upstream")

    server = serving.start(warm_up=[Pool(1), fail], ready_path="/ready")
    assert ask(server) == b"HTTP/1.1 200 OK"
    assert "1 of 2 connections ready" in caplog.text
    assert "no such upstream" in caplog.text
    assert "starts though it could not warm up" in caplog.text


def test_what_is_required_is_tried_until_it_succeeds(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    required, other = Pool(0, 1, 2), Pool(2)
    server = serving.start(warm_up=[required, other], require_warm_up=True, ready_path="/ready")
    assert ask(server) == b"HTTP/1.1 200 OK"
    assert required.calls == 3
    assert other.calls == 1
    assert caplog.text.count("is not ready") == 2


def test_a_server_that_stops_while_it_warms_up_leaves_nothing(serving: Serving) -> None:
    server = serving.start(warm_up=[Event().wait])
    gevent.idle()
    server.stop(1)
    assert not server.started


def test_another_server_warms_up_with_its_first_request_and_is_not_ready_before() -> None:
    gate = Event()
    app = Flask("site")
    GreenWS(app, warm_up=[gate.wait], ready_path="/ready")
    client = app.test_client()
    answer = client.get("/ready")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    gate.set()
    while client.get("/ready").status_code == 503:
        gevent.idle()


def test_workers_do_not_begin_at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []
    monkeypatch.setattr(readiness.gevent, "sleep", slept.append)
    for _ in range(20):
        Readiness([]).warm_up(spread=3.0)
    assert len(set(slept)) == 20
    assert 0 <= min(slept) < max(slept) <= 3


@pytest.mark.parametrize("options", [{"ready_path": "ready"}, {"ready_path": 1}, {"require_warm_up": 1}])
def test_settings_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        GreenWS(Flask("site"), **options)


def test_a_failure_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    pool = Pool(2)
    Readiness([pool]).warm_up()
    assert f"{pool!r} is warm: 2 of 2 connections ready" in caplog.text
