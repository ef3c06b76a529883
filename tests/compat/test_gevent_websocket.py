"""Applications written for gevent-websocket, in each of the ways in which they get their sockets."""

from __future__ import annotations

import json
import logging
import socket
import ssl
from collections.abc import Iterable
from typing import Any, ClassVar

import gevent
import gevent.ssl
import geventwebsocket.handler
import geventwebsocket.server
import geventwebsocket.websocket
import pytest
from flask import Flask, request
from gevent import pywsgi
from gevent.event import Event
from gevent.queue import Queue

import greenws
from greenws import Config, GreenWS, HandshakeError
from greenws.compat import gevent_websocket as module
from greenws.compat.gevent_websocket import (
    Resource,
    WebSocketApplication,
    WebSocketError,
    WebSocketHandler,
    WebSocketMiddleware,
    WebSocketServer,
)
from greenws.compat.upgrading import PATIENCE
from greenws.server import WSGIServer
from tests.compat.conftest import ADDRESS, QUIET, TIMEOUT, Serve, end_of
from tests.server.test_tls import certificate

__all__ = ["certificate"]

# ---- its examples, written anew


def echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes] | None:
    """An echo, or a page for who does not ask for a socket."""
    ws = environ.get("wsgi.websocket")
    if ws is None:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"a page"]
    try:
        while True:
            message = ws.receive()
            ws.send(message)
    except WebSocketError:
        return None


def plot(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Pushes and never receives."""
    ws = environ["wsgi.websocket"]
    for number in range(3):
        gevent.sleep(0.01)
        ws.send(f"0 {number} {number * number}\n")
    return []


class Chat(WebSocketApplication):
    """A chat: everybody hears everybody, by way of the server's clients."""

    names: ClassVar[list[Any]] = []

    def on_open(self) -> None:
        self.names.append(self.ws.handler.active_client.address)

    def on_message(self, message: str | None) -> None:
        if message is None:
            return
        data = json.loads(message)
        client = self.ws.handler.active_client
        client.name = data.get("name", getattr(client, "name", None))
        if "text" in data:
            for other in self.ws.handler.server.clients.values():
                other.ws.send(json.dumps({"from": client.name, "text": data["text"]}))

    def on_close(self, reason: Any) -> None:
        self.names.remove(self.ws.handler.active_client.address)


def page(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the chat's page"]


class Soup(WebSocketApplication):
    """Speaks a subprotocol."""

    @classmethod
    def protocol_name(cls) -> str:
        return "soup"

    def on_message(self, message: str | None) -> None:
        if message is not None:
            self.ws.send(str(self.ws.protocol))


CHAT = [("^/chat", Chat), ("^/soup", Soup), ("/", page)]


def test_echoes_until_the_peer_closes(serve: Serve, way: str) -> None:
    site = serve(echo, way)
    conn = site.connect()
    for message in ("hello", "", "Grüße 🌱", b"\x00\xff", b""):
        conn.send(message)
        assert conn.receive(TIMEOUT) == message
    conn.close(4000, "enough")
    assert end_of(conn) == (4000, "enough")


def test_plain_requests_are_as_before(serve: Serve, way: str) -> None:
    assert serve(echo, way).get() == (200, b"a page")


def test_pushes_to_a_peer_that_says_nothing(serve: Serve, way: str) -> None:
    conn = serve(plot, way).connect()
    assert list(conn) == ["0 0 0\n", "0 1 1\n", "0 2 4\n"]
    assert end_of(conn) == (1000, "")


def test_chats_by_way_of_the_clients_of_the_server(serve: Serve, way: str) -> None:
    site = serve(Resource(CHAT), way)
    assert site.get() == (200, b"the chat's page")
    ada, bob = site.connect("/chat"), site.connect("/chat")
    ada.send('{"name": "Ada"}')
    bob.send('{"name": "Bob", "text": "hi"}')
    for conn in (ada, bob):
        assert json.loads(conn.receive(TIMEOUT)) == {"from": "Bob", "text": "hi"}
    assert len(Chat.names) == 2
    bob.close()
    assert end_of(bob)[0] == 1000
    ada.send('{"text": "gone?"}')
    assert json.loads(ada.receive(TIMEOUT)) == {"from": "Ada", "text": "gone?"}
    assert len(Chat.names) == 1
    ada.close()
    ada.wait_closed(TIMEOUT)
    gevent.idle()
    assert not Chat.names


@pytest.mark.parametrize(("offered", "agreed"), [(["soup"], "soup"), (["tea", "soup"], "soup"), (["soups"], None)])
def test_agrees_on_the_subprotocol_of_the_application(
    serve: Serve, way: str, offered: list[str], agreed: str | None
) -> None:
    conn = serve(Resource(CHAT), way).connect("/soup", subprotocols=offered)
    assert conn.subprotocol == agreed
    conn.send("which?")
    assert conn.receive(TIMEOUT) == ", ".join(offered)  # `protocol` is what was asked for, there as here


def test_flask_beside_a_resource(serve: Serve, way: str) -> None:
    app = Flask("page")
    app.add_url_rule("/", view_func=lambda: "from Flask")
    site = serve(Resource([("^/chat", Chat), ("/.*", app)]), way)
    assert site.get() == (200, b"from Flask")
    conn = site.connect("/chat")
    conn.send('{"name": "Ada", "text": "alone"}')
    assert json.loads(conn.receive(TIMEOUT))["text"] == "alone"


def test_a_flask_view_takes_the_socket_from_its_environ(serve: Serve, way: str) -> None:
    app = Flask("view")

    @app.route("/<name>")
    def page(name: str) -> str:
        return "a page"

    @app.route("/<name>", websocket=True)
    def view(name: str) -> str:
        ws = request.environ["wsgi.websocket"]
        while (message := ws.receive()) is not None:
            ws.send(f"{name}: {message}")
        return ""

    site = serve(app, way)
    conn = site.connect("/ada")
    conn.send("hi")
    assert conn.receive(TIMEOUT) == "ada: hi"
    assert site.get("/ada") == (200, b"a page")
    with pytest.raises(HandshakeError) as refusal:
        site.connect("/no/such/page")
    assert refusal.value.status == 404


# ---- what an application may rely on


def test_the_classes_are_kinds_of_the_original_ones() -> None:
    assert issubclass(WebSocketHandler, geventwebsocket.handler.WebSocketHandler)
    assert issubclass(WebSocketServer, geventwebsocket.server.WebSocketServer)
    assert issubclass(module.WebSocket, geventwebsocket.websocket.WebSocket)
    assert WebSocketApplication is geventwebsocket.WebSocketApplication
    assert Resource is geventwebsocket.Resource
    assert WebSocketError is geventwebsocket.WebSocketError


def test_the_environ_and_the_socket_know_the_request(serve: Serve, way: str) -> None:
    found: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> None:
        ws = environ["wsgi.websocket"]
        found.update(version=environ["wsgi.websocket_version"], socket=ws, environ=ws.environ is environ)
        found.update(read={name: getattr(ws, name) for name in ("path", "origin", "protocol", "version")})
        handler = ws.handler
        found.update(kind=isinstance(handler, WebSocketHandler), handler=handler.environ is environ)
        found.update(ws=handler.websocket is ws, logger=ws.logger is handler.server.logger)
        found.update(address=handler.client_address, application=handler.server.application)
        assert ws.receive() == "done?"
        found.update(clients=dict(handler.server.clients))

    site = serve(app, way)
    host = f"127.0.0.1:{site.server.address[1]}"
    conn = site.connect("/p/q?x=1", origin=f"http://{host}")
    conn.send("done?")
    assert end_of(conn) == (1000, "")
    assert found["version"] == "13"
    assert found["read"] == {"path": "/p/q", "origin": f"http://{host}", "protocol": None, "version": "13"}
    assert [found[name] for name in ("environ", "handler", "kind", "ws", "logger")] == [True] * 5
    assert found["application"] is app
    assert found["address"][0] == "127.0.0.1"
    assert [client.ws for client in found["clients"].values()] == [found["socket"]]
    assert list(found["clients"]) == [found["address"]]


def test_clients_are_forgotten_when_the_application_returns(serve: Serve) -> None:
    site = serve(echo, "server")
    conn = site.connect()
    conn.send("hi")
    conn.receive(TIMEOUT)
    assert len(site.server.clients) == 1
    conn.close()
    conn.wait_closed(TIMEOUT)
    gevent.idle()
    assert site.server.clients == {}


def test_who_never_uses_the_socket_leaves_no_client(serve: Serve) -> None:
    site = serve(lambda environ, start_response: [], "server")
    assert end_of(site.connect()) == (1000, "")
    assert site.server.clients == {}


def test_clients_over_a_unix_socket_are_told_apart(tmp_path: Any) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.listen()
    server = WebSocketServer(gevent.socket.socket(fileno=listener.detach(), family=socket.AF_UNIX), echo, **QUIET)
    server.start()
    peers = []
    for _ in range(2):
        sock = gevent.socket.socket(socket.AF_UNIX)
        sock.connect(str(tmp_path / "socket"))
        sock.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert sock.recv(65536).startswith(b"HTTP/1.1 101")
        peers.append(sock)
    assert len(server.clients) == 2
    for sock in peers:
        sock.close()
    server.stop(1)
    assert server.clients == {}


def test_a_pre_start_hook_leaves_a_request_to_the_application(serve: Serve, way: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"without" if "wsgi.websocket" not in environ else b"with"]

    site = serve(app, way)
    target = site.server if "handler" in way or way == "server" else site.server.application
    target.pre_start_hook = lambda handler: handler.environ["PATH_INFO"] == "/plain"
    for path, body in (("/plain", b"without"), ("/other", b"with")):
        with pytest.raises(HandshakeError) as refusal:
            site.connect(path)
        assert refusal.value.body == body
    assert site.get() == (200, b"without")


def test_a_socket_that_somebody_else_has_given_stays(serve: Serve) -> None:
    site = serve(WebSocketServer(ADDRESS, WebSocketMiddleware(echo), **QUIET))
    conn = site.connect()
    conn.send("once")
    assert conn.receive(TIMEOUT) == "once"
    assert len(site.server.clients) == 1


def test_routes_of_greenws_work_beside_it(serve: Serve, way: str) -> None:
    app = Flask("both")
    ws = GreenWS(app)

    @ws.route("/new")
    def new(conn: greenws.Connection) -> None:
        for message in conn:
            conn.send(f"new {message}")

    @app.route("/old", websocket=True)
    def old() -> str:
        socket = request.environ["wsgi.websocket"]
        while (message := socket.receive()) is not None:
            socket.send(f"old {message}")
        return ""

    site = serve(app, way)
    for path in ("new", "old"):
        conn = site.connect(f"/{path}")
        conn.send("hi")
        assert conn.receive(TIMEOUT) == f"{path} hi"


# ---- what it has that gevent-websocket has not


def test_the_application_may_refuse_before_it_uses_the_socket(serve: Serve, way: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("401 Unauthorized", [("WWW-Authenticate", "Basic")])
        write(b"who ")
        return [b"are you?"]

    with pytest.raises(HandshakeError) as refusal:
        serve(app, way).connect()
    assert (refusal.value.status, refusal.value.body) == (401, b"who are you?")
    assert dict(refusal.value.headers)["WWW-Authenticate"] == "Basic"


def test_who_waits_for_something_else_is_open_all_the_same(serve: Serve, way: str) -> None:
    go = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        go.wait()
        environ["wsgi.websocket"].send("now")
        start_response("401 Unauthorized", [])
        return []

    conn = serve(app, way).connect()
    go.set()
    assert conn.receive(TIMEOUT) == "now"
    assert end_of(conn) == (1008, "")


def test_another_origin_is_refused(serve: Serve, way: str) -> None:
    with pytest.raises(HandshakeError) as refusal:
        serve(echo, way).connect(origin="https://elsewhere.example")
    assert refusal.value.status == 403


@pytest.mark.parametrize("make", [WebSocketServer, pywsgi.WSGIServer, WSGIServer])
def test_limits_are_those_of_the_settings_and_counted(serve: Serve, make: Any) -> None:
    config = Config(max_message_size=10, max_connections=1, origins="*")

    class Handler(WebSocketHandler):
        pass

    Handler.config = config
    options = {} if make is pywsgi.WSGIServer else {"config": config}
    site = serve(make(ADDRESS, echo, handler_class=Handler, **options, **QUIET))
    conn = site.connect(origin="https://elsewhere.example")
    with pytest.raises(HandshakeError) as refusal:
        site.connect()
    assert refusal.value.status == 503
    assert refusal.value.body == b"no further connections at the moment\n"
    conn.send("x" * 11)
    assert end_of(conn)[0] == 1009
    registry = site.server.websockets.service.registry
    assert registry.limits == {"max_connections": 1, "max_message_size": 1}


def test_a_frame_without_a_mask_is_refused(serve: Serve, way: str) -> None:
    heard: Queue[Any] = Queue()

    def app(environ: dict[str, Any], start_response: Any) -> None:
        heard.put(environ["wsgi.websocket"].receive())

    site = serve(app, way)
    with gevent.socket.create_connection(site.server.address) as sock:
        sock.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x02hi"
        )
        data = b""
        while b"\x03\xea" not in data:  # 1002
            more = sock.recv(65536)
            assert more
            data += more
    assert heard.get(timeout=TIMEOUT) is None


def test_frames_of_many_greenlets_do_not_mix(serve: Serve, way: str) -> None:
    messages = [str(number) * 100_000 for number in range(10)]

    def app(environ: dict[str, Any], start_response: Any) -> None:
        ws = environ["wsgi.websocket"]
        gevent.joinall([gevent.spawn(ws.send, message) for message in messages], raise_error=True)

    assert sorted(serve(app, way).connect()) == messages


def test_an_error_behind_the_101_closes_with_1011_and_is_logged(
    serve: Serve, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> None:
        environ["wsgi.websocket"].send("before")
        raise RuntimeError("on purpose")

    conn = serve(app, way).connect("/failing")
    assert conn.receive(TIMEOUT) == "before"
    assert end_of(conn)[0] == 1011
    [record] = caplog.records
    assert (record.name, record.getMessage()) == ("greenws.compat", "Exception on WebSocket '/failing'")
    caplog.clear()
    record.exc_info = None


def test_an_answer_that_says_error_behind_the_101_closes_with_1011(serve: Serve, way: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["wsgi.websocket"].send("before")
        start_response("500 Internal Server Error", [])
        return [b"nobody gets this"]

    conn = serve(app, way).connect()
    assert conn.receive(TIMEOUT) == "before"
    assert end_of(conn)[0] == 1011


def test_a_dead_peer_is_no_error(serve: Serve, way: str, caplog: pytest.LogCaptureFixture) -> None:
    ended = Event()

    def app(environ: dict[str, Any], start_response: Any) -> None:
        ws = environ["wsgi.websocket"]
        try:
            while True:
                ws.send("are you there?")
                gevent.sleep(0.001)
        finally:
            ended.set()

    with caplog.at_level(logging.ERROR):
        serve(app, way).connect().abort()
        assert ended.wait(TIMEOUT)
        gevent.idle()
    assert not caplog.records


def test_a_server_that_stops_tells_the_application_and_the_peer(serve: Serve) -> None:
    left: Queue[Any] = Queue()

    def app(environ: dict[str, Any], start_response: Any) -> None:
        left.put(environ["wsgi.websocket"].receive())

    site = serve(app, "server")
    conn = site.connect()
    gevent.sleep(PATIENCE / 10)
    site.server.stop(TIMEOUT)
    assert end_of(conn)[0] == 1001
    assert left.get(timeout=TIMEOUT) is None


def test_the_server_speaks_tls(certificate: tuple[str, str]) -> None:
    certfile, keyfile = certificate
    server = WebSocketServer(ADDRESS, echo, certfile=certfile, keyfile=keyfile, **QUIET)
    server.start()
    trust = ssl.create_default_context(cafile=certfile)
    with greenws.connect(f"wss://localhost:{server.address[1]}/", ssl=trust) as conn:
        conn.send("hi")
        assert conn.receive(TIMEOUT) == "hi"
    server.stop(1)


def test_over_tls_of_gevents_own_server_the_answer_names_what_works(certificate: tuple[str, str]) -> None:
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = pywsgi.WSGIServer(ADDRESS, echo, handler_class=WebSocketHandler, ssl_context=context, **QUIET)
    server.start()
    trust = ssl.create_default_context(cafile=certificate[0])
    with pytest.raises(HandshakeError) as refusal:
        greenws.connect(f"wss://localhost:{server.address[1]}/", ssl=trust)
    assert refusal.value.status == 501
    assert b"greenws run" in refusal.value.body
    refusal.value.__traceback__ = None
    server.stop(1)
