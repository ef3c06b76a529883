"""Flask-Sock's interface: its own examples, written anew, and each of its words."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import flask_sock
import gevent
import pytest
import simple_websocket
from flask import Blueprint, Flask, Response, abort, g, request, session
from gevent.queue import Queue
from werkzeug.middleware.proxy_fix import ProxyFix

from greenws import ConfigError, Connection, GreenWS, HandshakeError, OperationTimeout
from greenws.compat import flask_sock as module
from greenws.compat.flask_sock import ConnectionClosed, Sock, WebSocket
from greenws.flaskext.testing import TestClient
from tests.compat.conftest import TIMEOUT, end_of

Connect = Callable[..., AbstractContextManager[Connection]]


@pytest.fixture
def app() -> Flask:
    app = Flask("sock")
    app.secret_key = "a key for tests"
    return app


@pytest.fixture
def sock(app: Flask) -> Sock:
    return Sock(app)


@pytest.fixture
def connect(app: Flask) -> Connect:
    return lambda *args, **options: TestClient(app).connect(*args, **options)


# ---- its interface


def names_of(call: Any) -> list[str]:
    return list(inspect.signature(call).parameters)


def test_the_interface_is_that_of_flask_sock() -> None:
    for name in ("__init__", "init_app", "route"):
        ours, theirs = (inspect.signature(getattr(kind, name)).parameters for kind in (Sock, flask_sock.Sock))
        assert [(item.name, item.default, item.kind) for item in ours.values()] == [
            (item.name, item.default, item.kind) for item in theirs.values()
        ]
    for name in ("send", "receive", "close"):
        assert names_of(getattr(WebSocket, name)) == names_of(getattr(simple_websocket.Server, name))
    assert names_of(ConnectionClosed) == names_of(simple_websocket.ConnectionClosed)


def test_an_app_that_catches_simple_websockets_error_catches_ours() -> None:
    with pytest.raises(simple_websocket.ConnectionClosed) as closed:
        raise ConnectionClosed(1001, "bye")
    assert (closed.value.reason, closed.value.message) == (1001, "bye")
    assert str(closed.value) == "Connection closed: 1001 bye"


def test_it_is_an_error_of_its_own_where_simple_websocket_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util
    import sys

    monkeypatch.setitem(sys.modules, "simple_websocket", None)
    spec = importlib.util.spec_from_file_location("without", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    without = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(without)
    assert without.ConnectionClosed.__mro__[1] is RuntimeError
    assert without.ConnectionClosed(1000).reason == 1000


# ---- its examples


def test_echoes(sock: Sock, connect: Connect) -> None:
    @sock.route("/echo")
    def echo(ws: WebSocket) -> None:
        while True:
            ws.send(ws.receive())

    with connect("/echo") as peer:
        for message in ("hello", "Grüße 🌱", b"\x00\xff"):
            peer.send(message)
            assert peer.receive(TIMEOUT) == message


def test_routes_have_values_endpoints_and_methods(app: Flask, sock: Sock, connect: Connect) -> None:
    @sock.route("/<room>/<int:number>", endpoint="place")
    def view(ws: WebSocket, room: str, number: int) -> None:
        ws.send(f"{room} {number + 1} {request.endpoint}")

    with connect("/tea/7") as peer:
        assert peer.receive(TIMEOUT) == "tea 8 place"
        assert end_of(peer) == (1000, "")
    assert app.test_client().get("/tea/7").status_code == 400
    with app.test_request_context():
        assert app.url_for("place", room="tea", number=7) == "ws://localhost/tea/7"


def test_a_factory_registers_routes_that_were_there_before(connect: Any) -> None:
    sock = Sock()

    @sock.route("/echo")
    def echo(ws: WebSocket) -> None:
        ws.send(ws.receive())

    for _ in range(2):
        app = Flask("made")
        sock.init_app(app)
        with TestClient(app).connect("/echo") as peer:
            peer.send("hi")
            assert peer.receive(TIMEOUT) == "hi"


def test_routes_of_blueprints(app: Flask, connect: Connect) -> None:
    blueprint = Blueprint("api", "api", url_prefix="/api")
    sock = Sock()

    @sock.route("/who", bp=blueprint)
    def who(ws: WebSocket) -> None:
        ws.send(str(request.endpoint))

    app.register_blueprint(blueprint)
    sock.init_app(app)
    Sock(app)  # a second one does no harm
    with connect("/api/who") as peer:
        assert peer.receive(TIMEOUT) == "api.who"


def test_the_decorated_function_stays_what_it_was(sock: Sock) -> None:
    def echo(ws: WebSocket) -> None: ...

    assert sock.route("/echo")(echo) is echo


# ---- the connection


def test_receive_gives_none_when_its_time_is_over(sock: Sock, connect: Connect) -> None:
    @sock.route("/")
    def view(ws: WebSocket) -> None:
        ws.send(str([ws.receive(timeout=0), ws.receive(timeout=0.01)]))
        ws.send(ws.receive(timeout=TIMEOUT))

    with connect("/") as peer:
        assert peer.receive(TIMEOUT) == "[None, None]"
        peer.send("at last")
        assert peer.receive(TIMEOUT) == "at last"


@pytest.mark.parametrize(
    ("data", "message"), [("text", "text"), (b"b", b"b"), (bytearray(b"b"), b"b"), (5, "5"), (None, "None")]
)
def test_sends_what_is_no_bytes_as_text(sock: Sock, connect: Connect, data: Any, message: str | bytes) -> None:
    sock.route("/")(lambda ws: ws.send(data))
    with connect("/") as peer:
        assert peer.receive(TIMEOUT) == message


@pytest.mark.parametrize(
    ("close", "reason", "message"),
    [
        (lambda peer: peer.close(4001, "bye"), 4001, "bye"),
        (lambda peer: peer.close(), 1000, None),
        (lambda peer: peer.abort(), 1006, None),
    ],
)
def test_who_has_left_is_told_by_an_error(
    sock: Sock, connect: Connect, close: Any, reason: int, message: str | None
) -> None:
    found: Queue[Any] = Queue()

    @sock.route("/")
    def view(ws: WebSocket) -> None:
        found.put((ws.connected, ws.close_reason, ws.close_message))
        try:
            ws.receive()
        except ConnectionClosed as end:
            found.put((end.reason, end.message, ws.connected, ws.close_reason, ws.close_message))
        for call in (lambda: ws.send("x"), ws.receive, ws.close):
            with pytest.raises(ConnectionClosed) as error:
                call()
            found.put(error.value.reason)
            error.value.__traceback__ = None

    with connect("/") as peer:
        assert found.get(timeout=TIMEOUT) == (True, 1005, None)
        close(peer)
        assert found.get(timeout=TIMEOUT) == (reason, message, False, reason, message)
        assert [found.get(timeout=TIMEOUT) for _ in range(3)] == [reason] * 3


@pytest.mark.parametrize(
    ("args", "end"),
    [((), (1000, "")), ((4001,), (4001, "")), ((4001, "bye"), (4001, "bye")), ((None, "x"), (1000, "x"))],
)
def test_close_says_reason_and_message(sock: Sock, connect: Connect, args: Any, end: Any) -> None:
    sock.route("/")(lambda ws: ws.close(*args))
    with connect("/") as peer:
        assert end_of(peer) == end


def test_the_end_of_a_route_that_never_used_its_connection_is_an_ordinary_one(sock: Sock, connect: Connect) -> None:
    sock.route("/")(lambda ws: None)
    with connect("/") as peer:
        assert end_of(peer) == (1000, "")


def test_an_error_is_flasks_and_closes_with_1011(
    app: Flask, sock: Sock, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    @sock.route("/")
    def view(ws: WebSocket) -> None:
        ws.send("before")
        raise RuntimeError("on purpose")

    app.errorhandler(500)(lambda error: (f"{error.original_exception}", 500))
    with connect("/") as peer:
        assert peer.receive(TIMEOUT) == "before"
        assert end_of(peer)[0] == 1011
    [record] = caplog.records
    assert record.name == "sock"
    record.exc_info = None


def test_a_peer_that_has_left_is_no_error(sock: Sock, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    @sock.route("/")
    def view(ws: WebSocket) -> None:
        while True:
            ws.send("x")
            gevent.sleep(0.001)

    with caplog.at_level(logging.ERROR), connect("/") as peer:
        peer.receive(TIMEOUT)
        peer.abort()
    gevent.sleep(0.01)
    assert not caplog.records


# ---- Flask around it


def test_the_request_lasts_as_long_as_the_connection(app: Flask, sock: Sock, connect: Connect) -> None:
    happened: list[str] = []

    @app.before_request
    def before() -> None:
        g.user = session.get("user", "Ada")

    app.teardown_request(lambda error: happened.append("request torn down"))
    app.teardown_appcontext(lambda error: happened.append("context torn down"))

    @sock.route("/")
    def view(ws: WebSocket) -> None:
        while True:
            ws.receive()
            ws.send(f"{g.user} at {request.path}, {len(happened)} torn down")

    with connect("/") as peer:
        for _ in range(2):
            peer.send("who?")
            assert peer.receive(TIMEOUT) == "Ada at /, 0 torn down"
    assert happened == ["request torn down", "context torn down"]


def test_a_route_may_refuse_before_it_uses_its_connection(app: Flask, sock: Sock, connect: Connect) -> None:
    @sock.route("/")
    def view(ws: WebSocket) -> None:
        if not request.args.get("key"):
            abort(Response("no key", 403))
        ws.send("in")

    with pytest.raises(HandshakeError) as refusal, connect("/"):
        pytest.fail("it was accepted")
    assert (refusal.value.status, refusal.value.body) == (403, b"no key")
    refusal.value.__traceback__ = None
    with connect("/?key=1") as peer:
        assert peer.receive(TIMEOUT) == "in"


def test_pages_and_unknown_paths_are_flasks(app: Flask, sock: Sock, connect: Connect) -> None:
    app.add_url_rule("/page", "page", lambda: "a page")
    sock.route("/echo")(lambda ws: ws.send("hi"))
    assert app.test_client().get("/page").text == "a page"
    with pytest.raises(HandshakeError) as refusal, connect("/unknown"):
        pytest.fail("it was accepted")
    assert refusal.value.status == 404
    refusal.value.__traceback__ = None


def test_another_origin_is_refused_unless_it_is_allowed(app: Flask, sock: Sock, connect: Connect) -> None:
    sock.route("/")(lambda ws: ws.send("hi"))
    with pytest.raises(HandshakeError) as refusal, connect("/", origin="https://elsewhere.example"):
        pytest.fail("it was accepted")
    assert refusal.value.status == 403
    refusal.value.__traceback__ = None
    other = Flask("open")
    other.config["GREENWS_ORIGINS"] = ["https://elsewhere.example"]
    Sock(other).route("/")(lambda ws: ws.send("hi"))
    with TestClient(other).connect("/", origin="https://elsewhere.example") as peer:
        assert peer.receive(TIMEOUT) == "hi"


@pytest.mark.parametrize("first", [True, False])
def test_a_proxy_says_who_the_peer_is(app: Flask, first: bool) -> None:
    app.config["GREENWS_MAX_ADDRESS_CONNECTIONS"] = 1
    if first:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    sock = Sock(app)
    if not first:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]

    @sock.route("/")
    def view(ws: WebSocket) -> None:
        ws.send(str(request.remote_addr))
        ws.receive()

    client = TestClient(app)
    with (
        client.connect("/", headers={"X-Forwarded-For": "1.1.1.1"}) as one,
        client.connect("/", headers={"X-Forwarded-For": "2.2.2.2"}) as two,
    ):
        assert [one.receive(TIMEOUT), two.receive(TIMEOUT)] == ["1.1.1.1", "2.2.2.2"]
        with (
            pytest.raises(HandshakeError) as refusal,
            client.connect("/", headers={"X-Forwarded-For": "2.2.2.2"}),
        ):
            pytest.fail("it was accepted")
        assert refusal.value.status == 429
        refusal.value.__traceback__ = None


@pytest.mark.parametrize("sock_first", [True, False])
def test_routes_of_greenws_work_beside_it(app: Flask, sock_first: bool) -> None:
    extensions: list[Any] = [Sock, GreenWS]
    made = {kind: kind(app) for kind in (extensions if sock_first else extensions[::-1])}
    made[Sock].route("/old")(lambda ws: ws.send("old"))
    made[GreenWS].route("/new", endpoint="new")(lambda conn: conn.send("new"))
    made[GreenWS].route("/lean", endpoint="lean", request_context=False)(lambda conn: conn.send("lean"))
    for path in ("old", "new", "lean"):
        with TestClient(app).connect(f"/{path}") as peer:
            assert peer.receive(TIMEOUT) == path


# ---- SOCK_SERVER_OPTIONS


def test_the_options_are_read_at_the_first_connection(app: Flask, sock: Sock, connect: Connect) -> None:
    app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25, "max_message_size": 10, "receive_bytes": 4096}
    sock.route("/")(lambda ws: ws.send(ws.receive()))
    with connect("/") as peer:
        peer.send("x" * 11)
        assert end_of(peer)[0] == 1009
    service = app.extensions["greenws.sock"].service
    assert (service.config.ping_interval, service.config.max_message_size) == (25, 10)
    assert service.registry.limits == {"max_message_size": 1}


def test_without_a_ping_interval_there_are_no_pings(app: Flask, sock: Sock, connect: Connect) -> None:
    app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": None}
    sock.route("/")(lambda ws: ws.send("hi"))
    with connect("/") as peer:
        peer.receive(TIMEOUT)
    assert app.extensions["greenws.sock"].service.rhythm is None


@pytest.mark.parametrize("options", [{"ping_intervall": 25}, {"max_message_size": None}, {"ping_interval": -1}])
def test_an_option_that_cannot_work_is_an_error(options: dict[str, Any], app: Flask, sock: Sock) -> None:
    app.config["SOCK_SERVER_OPTIONS"] = options
    with pytest.raises(ConfigError) as error:
        _ = app.extensions["greenws.sock"].service
    error.value.__traceback__ = None


@pytest.mark.parametrize(
    ("supported", "offered", "agreed"),
    [
        (["a", "b"], ["b", "a"], "b"),
        ("a", ["b", "a"], "a"),
        (["a"], ["c"], None),
        (["a"], [], None),
        (None, ["a"], None),
    ],
)
def test_the_peers_favourite_subprotocol_wins(
    app: Flask, sock: Sock, connect: Connect, supported: Any, offered: list[str], agreed: str | None
) -> None:
    app.config["SOCK_SERVER_OPTIONS"] = {"subprotocols": supported}
    sock.route("/")(lambda ws: ws.send(str(ws.subprotocol)))
    with connect("/", subprotocols=offered) as peer:
        assert peer.subprotocol == agreed
        assert peer.receive(TIMEOUT) == str(agreed)


def test_the_view_waits_no_longer_than_its_patience_for_the_101(sock: Sock, connect: Connect) -> None:
    go = gevent.event.Event()

    @sock.route("/")
    def view(ws: WebSocket) -> None:
        go.wait(TIMEOUT)
        ws.send("late")

    with connect("/") as peer:
        with pytest.raises(OperationTimeout):
            peer.receive(0.01)
        go.set()
        assert peer.receive(TIMEOUT) == "late"
