"""Metrics of applications that were written for other libraries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gevent
import pytest
from flask import Flask
from gevent import pywsgi

from greenws import Config, ConfigError, Endpoint, GreenWS
from greenws.compat.flask_sock import Sock
from greenws.compat.gevent_websocket import WebSocketHandler, WebSocketMiddleware, WebSocketServer
from greenws.compat.socketio import SocketIO
from greenws.server import WSGIServer
from tests.compat.conftest import ADDRESS, QUIET, TIMEOUT, Serve, Site
from tests.compat.test_socketio import BRIEF, SOCKET
from tests.observe.conftest import Scrape, fetch

PLACE = "127.0.0.1:0"
OPEN, RECEIVED, HANDSHAKES = "greenws_connections_open", "greenws_messages_received_total", "greenws_handshakes_total"


def scrape(address: Any, path: str = "/metrics") -> Scrape:
    status, text = fetch(address, path)
    assert status == 200
    return Scrape(text)


def talk(site: Site, path: str = "/") -> None:
    conn = site.connect(path)
    conn.send("hello")
    assert conn.receive(TIMEOUT) == "hello"


def echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Written for gevent-websocket."""
    ws = environ.get("wsgi.websocket")
    if ws is None:
        start_response("200 OK", [])
        return [b"plain"]
    while (message := ws.receive()) is not None:
        ws.send(message)
    return []


def sock_app(place: str | None = PLACE) -> Flask:
    app = Flask("sock")
    app.config["GREENWS_METRICS"] = place
    sock = Sock(app)

    @sock.route("/echo")
    def echo(ws: Any) -> None:
        while True:
            ws.send(ws.receive())

    return app


def metrics_of(app: Any) -> Any:
    return app.extensions["greenws.metrics"]


def test_flask_sock_is_measured_where_the_configuration_says(serve: Serve) -> None:
    app = sock_app()
    site = serve(WSGIServer(ADDRESS, app, **QUIET))
    address = metrics_of(app).address
    assert scrape(address)[OPEN, "flask-sock"] == 0
    talk(site, "/echo")
    found = scrape(address)
    assert (found[OPEN, "flask-sock"], found[RECEIVED, "flask-sock"], found["greenws_greenlets", "view"]) == (1, 1, 1)
    assert found.of(HANDSHAKES) == {("101",): 1}


def test_without_the_setting_nothing_is_measured() -> None:
    assert "greenws.metrics" not in sock_app(None).extensions


def test_what_the_server_refuses_is_counted_without_a_greenws_too(serve: Serve) -> None:
    app = sock_app()
    site = serve(WSGIServer(ADDRESS, app, config=Config(max_headers=1), **QUIET))
    with gevent.socket.create_connection(site.server.address) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 431"
    found = scrape(metrics_of(app).address)
    assert found.of("greenws_refused_heads_total") == {("431",): 1}
    assert found["greenws_limits_total", "max_headers"] == 1


@pytest.mark.parametrize("is_sock_first", [True, False])
@pytest.mark.parametrize("is_key", [True, False])
def test_all_extensions_of_an_application_are_measured_in_one_place(
    serve: Serve, *, is_sock_first: bool, is_key: bool
) -> None:
    app = Flask("both")
    if is_key:
        app.config["GREENWS_METRICS"] = PLACE
    made: dict[str, Any] = {}
    makers = {"sock": lambda: Sock(app), "greenws": lambda: GreenWS(app, **({} if is_key else {"metrics": PLACE}))}
    for name in makers if is_sock_first else reversed(makers):
        made[name] = makers[name]()

    @made["sock"].route("/sock")
    def sock_view(ws: Any) -> None:
        ws.send(ws.receive())
        ws.receive()

    @made["greenws"].route("/endpoint")
    class View(Endpoint):
        def on_message(self, conn: Any, message: Any) -> None:
            conn.send(message)

    site = serve(WSGIServer(ADDRESS, app, **QUIET))
    talk(site, "/sock")
    talk(site, "/endpoint")
    found = scrape(metrics_of(app).address)
    assert found.of(OPEN) == {("flask-sock",): 1, ("/endpoint",): 1}
    assert found.of(HANDSHAKES) == {("101",): 2}  # by whichever extension stands outside, and only by it
    assert sum(found.of("greenws_worker_connections").values()) == 2
    assert found["greenws_handler_seconds_count", "flask-sock"] == 1  # whoever has the setting


def test_flask_socketio_is_measured_where_the_configuration_says(serve: Serve) -> None:
    app = Flask("socketio")
    app.config["GREENWS_METRICS"] = PLACE
    SocketIO(app, **BRIEF)
    site = serve(WSGIServer(ADDRESS, app, **QUIET))
    conn = site.connect(SOCKET)
    assert str(conn.receive(TIMEOUT)).startswith("0{")
    assert scrape(metrics_of(app).address)["greenws_connections_total", "flask-socketio"] == 1
    conn.close()
    gevent.sleep(0.02)  # the next ping, which Socket.IO waits for


WAYS = {
    "server": lambda config: WebSocketServer(ADDRESS, echo, config=config, **QUIET),
    "handler": lambda config: WSGIServer(ADDRESS, echo, handler_class=WebSocketHandler, config=config, **QUIET),
    "middleware": lambda config: WSGIServer(ADDRESS, WebSocketMiddleware(echo, config), **QUIET),
}


def found_by(server: Any) -> Any:
    return server.handler_class.find_metrics(server)


@pytest.mark.parametrize("way", WAYS)
def test_gevent_websocket_is_measured_where_the_config_says(serve: Serve, way: str) -> None:
    site = serve(WAYS[way](Config(metrics=PLACE)))
    address = found_by(site.server).address
    assert scrape(address)[OPEN, "gevent-websocket"] == 0
    talk(site)
    assert scrape(address)[OPEN, "gevent-websocket"] == 1
    assert site.get()[1] == b"plain"
    site.server.stop(1)
    with pytest.raises(OSError, match="refused"):
        fetch(address)


def test_a_middleware_answers_on_a_path_of_the_application(serve: Serve) -> None:
    site = serve(WAYS["middleware"](Config(metrics="/metrics")))
    talk(site)
    assert scrape(site.server.address)[OPEN, "gevent-websocket"] == 1
    assert site.get()[1] == b"plain"


@pytest.mark.parametrize("way", ["server", "handler"])
def test_a_server_has_no_path_to_answer_on(way: str) -> None:
    server = WAYS[way](Config(metrics="/metrics"))
    with pytest.raises(ConfigError, match="an address, like"):
        server.start()
    assert not server.started


def test_on_gevents_own_server_it_begins_with_the_first_request(serve: Serve) -> None:
    middleware = WebSocketMiddleware(echo, Config(metrics="/metrics"))
    site = serve(pywsgi.WSGIServer(ADDRESS, middleware, **QUIET))
    talk(site)
    assert scrape(site.server.address)[RECEIVED, "gevent-websocket"] == 1
    metrics_of(middleware).end(None)


def test_a_server_for_flask_is_measured_with_the_application(serve: Serve) -> None:
    app = Flask("wrapped")
    GreenWS(app, metrics=PLACE)
    app.add_url_rule("/chat", view_func=lambda: "", websocket=True)
    app.wsgi_app = lambda environ, start_response, inner=app.wsgi_app: (
        echo(environ, start_response) if environ["PATH_INFO"] == "/chat" else inner(environ, start_response)
    )
    site = serve(WebSocketServer(ADDRESS, app, **QUIET))
    talk(site, "/chat")
    address = metrics_of(app).address
    assert scrape(address)[OPEN, "gevent-websocket"] == 1
    site.end()
    with pytest.raises(OSError, match="refused"):
        fetch(address)
