"""``SocketIO`` beside its clients, which tests/interop has."""

from __future__ import annotations

from typing import Any

import flask_socketio
import gevent
import pytest
from flask import Flask
from gevent.event import Event

import greenws
from greenws import ConfigError
from greenws.compat.gevent_websocket import WebSocketHandler
from greenws.compat.socketio import SocketIO
from greenws.flaskext.testing import TestClient
from greenws.server import WSGIServer
from tests.compat.conftest import ADDRESS, QUIET, TIMEOUT, Serve

# Its greenlets outlive a connection: the one that looks for silent peers, and the next ping, which waits its interval.
BRIEF: dict[str, Any] = {"monitor_clients": False, "ping_interval": 0.01}
SOCKET = "/socket.io/?EIO=4&transport=websocket"


@pytest.fixture
def app() -> Flask:
    return Flask("socketio")


def service_of(app: Flask) -> Any:
    return app.wsgi_app.service  # type: ignore[attr-defined]


def test_it_is_one_of_flask_socketios(app: Flask) -> None:
    socketio = SocketIO(app)
    assert isinstance(socketio, flask_socketio.SocketIO)
    assert app.extensions["socketio"] is socketio
    assert socketio.async_mode == "gevent"


@pytest.mark.parametrize("mode", ["threading", "eventlet", "gevent_uwsgi"])
def test_another_async_mode_is_an_error(app: Flask, mode: str) -> None:
    with pytest.raises(ConfigError, match=f"not '{mode}'"):
        SocketIO(app, async_mode=mode)
    with pytest.raises(ConfigError, match=f"not '{mode}'"):
        SocketIO(async_mode=mode).init_app(app)


def test_a_process_that_only_emits_needs_no_application() -> None:
    socketio = SocketIO()
    socketio.init_app(None, async_mode="gevent")
    assert socketio.server is not None


def test_origins_and_sizes_are_those_of_socketio_until_ours_are_set(app: Flask) -> None:
    SocketIO(app, max_http_buffer_size=5000)
    config = service_of(app).config
    assert (config.origins, config.max_message_size) == ("*", 5000)
    other = Flask("other")
    other.config.update(GREENWS_ORIGINS=["https://a.example"], GREENWS_MAX_MESSAGE_SIZE=7)
    SocketIO(other)
    config = service_of(other).config
    assert (config.origins, config.max_message_size) == (("https://a.example",), 7)


def test_only_the_path_of_socketio_gets_sockets(app: Flask) -> None:
    SocketIO(app, path="/live", **BRIEF)
    ws = greenws.GreenWS(app)

    @ws.route("/own")
    def own(conn: greenws.Connection) -> None:
        conn.send("ours")

    client = TestClient(app)
    with client.connect("/own") as peer:
        assert peer.receive(TIMEOUT) == "ours"
    with client.connect(SOCKET.replace("socket.io", "live")) as peer:
        assert peer.receive(TIMEOUT).startswith("0{")
    gevent.sleep(0.02)


@pytest.mark.parametrize(("origin", "status"), [("https://a.example", 101), ("https://b.example", 400)])
def test_socketio_decides_about_origins(app: Flask, origin: str, status: int) -> None:
    SocketIO(app, cors_allowed_origins=["https://a.example"], **BRIEF)
    if status == 101:
        with TestClient(app).connect(SOCKET, origin=origin) as peer:
            assert peer.receive(TIMEOUT).startswith("0{")
        gevent.sleep(0.02)
        return
    with pytest.raises(greenws.HandshakeError) as refusal, TestClient(app).connect(SOCKET, origin=origin):
        pytest.fail("it was accepted")
    assert refusal.value.status == status
    refusal.value.__traceback__ = None


def test_run_serves_until_stop(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    app.add_url_rule("/", view_func=lambda: "a page")
    app.config["SERVER_NAME"] = "127.0.0.1:0"
    socketio = SocketIO(app, **BRIEF)
    begun = Event()

    def start(server: WSGIServer) -> None:
        begin(server)
        begun.set()

    begin = WSGIServer.start
    monkeypatch.setattr(WSGIServer, "start", start)
    running = gevent.spawn(socketio.run, app, port=0)
    assert begun.wait(TIMEOUT)
    server = socketio.wsgi_server
    assert type(server) is WSGIServer
    with greenws.connect(f"ws://127.0.0.1:{server.address[1]}{SOCKET}") as peer:
        assert peer.receive(TIMEOUT).startswith("0{")
        socketio.stop()
        assert peer.wait_closed(TIMEOUT)
        assert peer.close_code == 1001
    running.get(timeout=TIMEOUT)
    gevent.sleep(0.02)


def test_the_original_runs_unchanged_on_what_is_for_gevent_websocket(app: Flask, serve: Serve) -> None:
    flask_socketio.SocketIO(app, async_mode="gevent", **BRIEF)
    site = serve(WSGIServer(ADDRESS, app, handler_class=WebSocketHandler, **QUIET))
    conn = site.connect(SOCKET)
    assert str(conn.receive(TIMEOUT)).startswith("0{")
    conn.close()
    gevent.sleep(0.02)
