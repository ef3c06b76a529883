"""Upgrades in which nothing of the application runs, and all that makes the application be asked after all."""

from __future__ import annotations

import re
from functools import wraps

import gevent
import pytest
from flask import Flask, Request, Response
from flask.sessions import SecureCookieSessionInterface
from gevent import socket

from greenws import Endpoint, GreenWS
from greenws.flaskext import dispatch, steps
from greenws.server import WSGIServer, wsgi
from greenws.server.wsgi import WSGIHandler

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ACCEPT += b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
HELLO = b"\x81\x85\0\0\0\0hello"


class Echo(Endpoint):
    def on_message(self, conn, message):
        conn.send(f"{conn.path} {conn.remote_addr} {message}")


class Door(Echo):
    opened: list[str]

    def on_open(self, conn):
        self.opened.append(conn.path)


class Site:
    """A server on which each upgrade is counted that a greenlet was made for."""

    def __init__(self, monkeypatch, app, **options):
        self.asked = 0
        self.server = WSGIServer(("127.0.0.1", 0), app, **{"log": None, **options})
        make = wsgi.Upgrade

        def note(*args):
            self.asked += 1
            return make(*args)

        monkeypatch.setattr(wsgi, "Upgrade", note)
        self.server.start()

    def ask(self, path=b"/lean", *lines, early=b"", key=KEY, host=b"app.example"):
        """Returns the answer's head and what came behind it: with ``early`` bytes up to the echo of their message."""
        with socket.create_connection(self.server.address) as sock:
            head = b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            head += b"Sec-WebSocket-Version: 13\r\n" + key + b"".join(line + b"\r\n" for line in lines)
            sock.sendall(head + b"\r\n" + early)
            data = b""
            with gevent.Timeout(5):
                while b"\r\n\r\n" not in data or (early and not data.endswith(b"hello")):
                    more = sock.recv(1000)
                    if not more:
                        break
                    data += more
        answer, _, rest = data.partition(b"\r\n\r\n")
        return re.sub(rb"\r\nDate: [^\r]*", b"", answer) + b"\r\n", rest


@pytest.fixture
def app():
    app = Flask("application")
    ws = GreenWS(app, subprotocols=["chat"])
    ws.route("/lean", endpoint="lean", request_context=False)(Echo)
    ws.route("/room/<name>", endpoint="room", request_context=False)(Echo)
    ws.route("/flask", endpoint="flask")(Echo)
    Door.opened = []
    ws.route("/door", endpoint="door", request_context=False)(Door)
    ws.route("/%6c", endpoint="percent", request_context=False)(Echo)
    ws.route("/view", endpoint="view", request_context=False)(lambda conn: conn.receive())
    return app


@pytest.fixture
def serve(monkeypatch, app):
    """Starts a ``Site`` with the application, or another in its place."""
    sites = []

    def start(application=app, **options):
        sites.append(Site(monkeypatch, application, **options))
        return sites[-1]

    yield start
    for site in sites:
        site.server.stop(1)


def is_straight(site, *args, **options):
    """Whether the second of two equal requests opens a connection without asking the application."""
    first = site.ask(*args, **options)
    before = site.asked
    assert site.ask(*args, **options) == first
    assert first[0].startswith(b"HTTP/1.1 101"), first
    return site.asked == before


def test_the_application_is_asked_once_for_a_path(serve):
    site = serve()
    assert site.ask() == (ACCEPT, b"")
    assert site.asked == 1
    assert site.ask() == (ACCEPT, b"")
    assert site.asked == 1


@pytest.mark.parametrize("times", [1, 2])
def test_what_came_behind_the_head_is_handled(serve, times):
    site = serve()
    for _ in range(times):
        assert site.ask(early=HELLO) == (ACCEPT, b"\x81\x15/lean 127.0.0.1 hello")


def test_the_subprotocol_is_agreed_on(serve):
    site = serve()
    assert is_straight(site, b"/lean", b"Sec-WebSocket-Protocol: superchat, chat")
    assert site.ask(b"/lean", b"Sec-WebSocket-Protocol: chat")[0] == ACCEPT + b"Sec-WebSocket-Protocol: chat\r\n"


def test_a_query_is_not_the_path(serve):
    site = serve()
    assert is_straight(site, b"/lean")
    assert site.ask(b"/lean?a=b") == (ACCEPT, b"")
    assert site.asked == 1


@pytest.mark.parametrize("path", [b"/view", b"/room/lobby", b"/le%61n"])
def test_other_routes_ask_each_time(serve, path):
    assert not is_straight(serve(), path)


def test_so_does_a_route_through_flask_when_nothing_would_run_there(serve):
    assert is_straight(serve(), b"/flask", b"Cookie: other=1")


HOOKS = {
    "before_request": lambda app: app.before_request_funcs[None].append(lambda: None),
    "of a blueprint": lambda app: app.before_request_funcs["blueprint"].append(lambda: None),
    "after_request": lambda app: app.after_request_funcs[None].append(lambda response: response),
    "teardown_request": lambda app: app.teardown_request_funcs[None].append(lambda error: None),
    "teardown_appcontext": lambda app: app.teardown_appcontext_funcs.append(lambda error: None),
    "url_value_preprocessor": lambda app: app.url_value_preprocessors[None].append(lambda endpoint, values: None),
    "session_interface": lambda app: setattr(app, "session_interface", SecureCookieSessionInterface()),
    "request_class": lambda app: setattr(app, "request_class", Request),
    "preprocess_request": lambda app: setattr(app, "preprocess_request", lambda: None),
    "a subclass": lambda app: setattr(app, "__class__", type("Own", (Flask,), {})),
    "on_open of the instance": lambda app: vars(target_of(app)).update(on_open=lambda conn: None),
    "a decorator": lambda app: app.view_functions.update(flask=decorate(app.view_functions["flask"])),
}


def decorate(view):
    return wraps(view)(lambda: view())


def target_of(app):
    return app.view_functions["flask"].greenws_route.target


@pytest.mark.parametrize("hook", HOOKS)
def test_whatever_would_run_in_flask_is_asked_each_time(serve, app, hook):
    site = serve()
    assert is_straight(site, b"/flask")
    HOOKS[hook](app)
    assert not is_straight(site, b"/flask")


def test_whoever_listens_to_a_signal_is_told_each_time(serve, app):
    site = serve()
    assert is_straight(site, b"/flask")
    for signal in dispatch._SIGNALS:
        told = []
        with signal.connected_to(lambda sender, told=told, **extra: told.append(sender), app):
            assert not is_straight(site, b"/flask")
        assert told == [app, app]


def test_a_session_is_opened_each_time(serve):
    assert not is_straight(serve(), b"/flask", b"Cookie: other=1; session=abc")


def test_a_route_with_on_open_asks_each_time(serve):
    assert not is_straight(serve(), b"/door")
    assert Door.opened == ["/door"] * 2


def test_a_path_that_is_encoded_is_not_taken_for_one_that_reads_the_same(serve):
    site = serve()
    assert is_straight(site, b"/lean")
    assert not is_straight(site, b"/%256c"), "this is the path /%6c, which has a route"
    assert site.ask(b"/%6c")[0].startswith(b"HTTP/1.1 404"), "and this is /l, which has none"


def test_a_middleware_is_asked_each_time(serve, app):
    inner, paths = app.wsgi_app, []

    def middleware(environ, start_response):
        paths.append(environ["PATH_INFO"])
        return inner(environ, start_response)

    site = serve()
    assert is_straight(site)
    app.wsgi_app = middleware
    assert not is_straight(site)
    assert paths == ["/lean"] * 2


def test_a_wrapped_application_is_asked_each_time(serve, app):
    assert not is_straight(serve(lambda environ, start_response: app(environ, start_response)))


def test_an_application_with_a_call_of_its_own_is_asked_each_time(serve, app):
    class Own(Flask):
        def __call__(self, environ, start_response):
            return super().__call__(environ, start_response)

    app.__class__ = Own
    assert not is_straight(serve())


def test_a_step_of_flasks_class_that_somebody_replaces_is_asked_each_time(serve, monkeypatch):
    site = serve()
    assert is_straight(site, b"/flask")
    assert is_straight(site, b"/lean")
    for step in ("__call__", *(name for name, _ in steps._STEPS)):
        with monkeypatch.context() as patch:
            patch.setattr(Flask, step, replaced(step))
            assert not is_straight(site, b"/flask"), step
            assert is_straight(site, b"/lean") == (step != "__call__"), step
    assert is_straight(site, b"/flask")


def replaced(step):
    own = getattr(Flask, step)
    return lambda self, *args: own(self, *args)


def test_what_cannot_be_found_out_is_left_to_flask(serve, app):
    """Flask does without a name for its cookie."""
    site = serve()
    assert is_straight(site, b"/flask", b"Cookie: other=1")
    app.config["SESSION_COOKIE_NAME"] = None
    assert not is_straight(site, b"/flask", b"Cookie: other=1")


def test_flask_need_not_know_of_trusted_hosts(serve, app):
    """Before 3.1 it did not."""
    site = serve()
    assert is_straight(site)
    app.config.pop("TRUSTED_HOSTS", None)
    assert is_straight(site)


def test_a_handler_of_ones_own_is_asked_each_time(serve):
    class Handler(WSGIHandler):
        @classmethod
        def run_upgrade(cls, server, environ, start_response):
            return server.application(environ, start_response)

    assert not is_straight(serve(handler_class=Handler))


def test_an_access_log_has_a_line_for_each(serve):
    lines = []

    class Log:
        def write(self, text):
            lines.append(text)

    assert not is_straight(serve(log=Log()))
    assert ["GET /lean HTTP/1.1" in line and " 101 " in line for line in lines] == [True, True]


def test_a_host_that_is_not_trusted_is_refused_however_well_it_is_known(serve, app):
    if "TRUSTED_HOSTS" not in app.config:
        pytest.skip("this Flask has no TRUSTED_HOSTS")
    site = serve()
    assert is_straight(site)
    app.config["TRUSTED_HOSTS"] = ["other.example"]
    assert site.ask()[0].startswith(b"HTTP/1.1 400")


def test_a_route_that_is_replaced_is_not_used_any_more(serve, app):
    site = serve()
    assert is_straight(site)
    app.view_functions["lean"] = lambda: Response("gone", 410)
    assert site.ask()[0].startswith(b"HTTP/1.1 410")


@pytest.mark.parametrize(
    ("lines", "options", "status"),
    [
        ((), {"key": b""}, b"400"),
        ((b"Origin: https://evil.example",), {}, b"403"),
        ((b"Content-Length: 5",), {}, b"400"),
    ],
)
def test_a_refusal_is_the_one_that_the_application_words(serve, lines, options, status):
    site = serve()
    first = site.ask(b"/lean", *lines, **options)
    assert is_straight(site)
    asked = site.asked
    assert site.ask(b"/lean", *lines, **options) == first
    assert first[0].startswith(b"HTTP/1.1 " + status)
    assert site.asked == asked + 1
    assert len(site.server.registries) == 1


def test_at_max_connections_it_is_refused_and_counted(serve, app):
    site = serve()
    assert is_straight(site)
    registry = app.extensions["greenws"].registry
    with gevent.Timeout(5):
        while len(registry):
            gevent.sleep(0.001)
    registry.limit = 0
    assert site.ask()[0].startswith(b"HTTP/1.1 503")
    assert registry.limits["max_connections"] == 1


def test_limits_of_addresses_hold(monkeypatch):
    app = Flask("application")
    GreenWS(app, max_address_rate=0.1).route("/lean", endpoint="lean", request_context=False)(Echo)
    site = Site(monkeypatch, app)
    answers = [site.ask()[0][:12] for _ in range(3)]
    site.server.stop(1)
    assert answers == [b"HTTP/1.1 101", b"HTTP/1.1 429", b"HTTP/1.1 429"]


def test_what_goes_wrong_is_reported_on_the_way_through_the_application(serve, app, monkeypatch):
    site = serve()
    assert is_straight(site)
    registry = app.extensions["greenws"].registry
    broken = [True]

    def wait(address):
        if broken:
            broken.pop()
            raise ZeroDivisionError
        return 0

    monkeypatch.setattr(registry.addresses, "wait", wait)
    asked = site.asked
    assert site.ask() == (ACCEPT, b"")
    assert site.asked == asked + 1
