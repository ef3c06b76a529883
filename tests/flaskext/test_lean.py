"""Routes without a Flask request: the rule is matched, the origin checked, an app context is there, and no more."""

from __future__ import annotations

from functools import partial

import pytest
from flask import Flask, Response, abort, current_app, has_request_context
from werkzeug.routing import BaseConverter

from greenws import ConnectionClosed, Endpoint, GreenWS
from greenws.flaskext.testing import UpgradeRefused


@pytest.fixture(params=["event", "blocking"])
def opened(request, ws):
    """A lean route at /door/<name> in each style; what its opening is to do is put into the list."""
    actions = []

    def act(conn):
        return next((answer for action in actions if (answer := action(conn)) is not None), None)

    if request.param == "event":

        @ws.route("/door/<name>", request_context=False)
        class Door(Endpoint):
            def on_open(self, conn, name):
                conn.name = name
                return act(conn)

            def on_message(self, conn, message):
                conn.send(f"{conn.name} {current_app.name} {has_request_context()} {message}")

    else:

        @ws.route("/door/<name>", request_context=False)
        def door(conn, name):
            if (answer := act(conn)) is not None:
                return answer
            for message in conn:
                conn.send(f"{name} {current_app.name} {has_request_context()} {message}")
            return None

    return actions


def test_there_is_an_app_and_no_request(app, opened, connect):
    asked = []
    app.before_request(lambda: asked.append("before") or None)
    app.after_request(lambda response: asked.append("after") or response)
    opened.append(lambda conn: asked.append((current_app.name, has_request_context())))
    with connect("/door/front?a=1") as peer:
        peer.send("x")
        assert peer.receive(5) == "front application False x"
    assert asked == [("application", False)]


def test_opening_may_refuse(opened, refusal):
    opened[:] = [lambda conn: abort(403)]
    assert refusal("/door/front").status_code == 403
    opened[:] = [lambda conn: ({"why": "so"}, 409)]
    response = refusal("/door/front")
    assert (response.status_code, response.get_json()) == (409, {"why": "so"})


def test_opening_may_send_and_close(opened, connect):
    opened.append(lambda conn: conn.send("hello"))
    opened.append(lambda conn: conn.close(4000, "bye"))
    with connect("/door/front") as peer:
        assert peer.receive(5) == "hello"
        with pytest.raises(ConnectionClosed) as caught:
            peer.receive(5)
        assert caught.value.code == 4000
        del caught


def test_an_error_while_opening_is_500_and_reported_once(opened, refusal, reports, capsys):
    def fail(conn):
        raise ZeroDivisionError("while opening")

    opened.append(fail)
    assert refusal("/door/front").status_code == 500
    assert reports.sent == ["ZeroDivisionError('while opening')"]
    assert reports.logged == ["ERROR Exception on WebSocket '/door/front' ZeroDivisionError('while opening')"]
    assert "Traceback" not in capsys.readouterr().err


def test_the_app_context_of_the_opening_is_torn_down(app, opened, connect):
    log = []
    app.teardown_appcontext(log.append)
    with connect("/door/front") as peer:
        assert peer.ping() >= 0
        assert log == [None]


@pytest.mark.parametrize("way", ["middleware", "subclass"])
def test_who_stood_in_front_of_flask_before_is_not_passed_by(way):
    asked = []

    def guard(inner, environ, start_response):
        asked.append(environ["REMOTE_ADDR"])
        if environ["REMOTE_ADDR"] != "127.0.0.1":
            return Response("no", 401)(environ, start_response)
        return inner(environ, start_response)

    class Guarded(Flask):
        def wsgi_app(self, environ, start_response):
            return guard(super().wsgi_app, environ, start_response)

    app = Flask("application") if way == "middleware" else Guarded("application")
    if way == "middleware":
        app.wsgi_app = partial(guard, app.wsgi_app)
    GreenWS(app).route("/lean", endpoint="lean", request_context=False)(Endpoint)
    client = app.extensions["greenws"].test_client()
    for _ in range(2):
        with client.connect("/lean"):
            pass
        with pytest.raises(UpgradeRefused) as caught, client.connect("/lean", remote_addr="10.0.0.1"):
            pass
        assert caught.value.response.status_code == 401
        del caught
    assert asked == ["127.0.0.1", "10.0.0.1"] * 2


def test_a_converter_that_wants_an_app_context_has_one(app, ws, opened, connect):
    class Named(BaseConverter):
        def to_python(self, value):
            return f"{current_app.name} {value}"

    app.url_map.converters["named"] = Named

    @ws.route("/room/<named:name>")
    def room(conn, name):
        conn.send(name)

    ws.route("/lean/<named:name>", endpoint="lean", request_context=False)(room)
    for path in ("/room/1", "/lean/1"):
        with connect(path) as peer:
            assert peer.receive(5) == "application 1"


def test_unknown_addresses_and_other_routes_are_left_to_flask(app, ws, opened, refusal):
    app.errorhandler(404)(lambda error: ("our own page", 404))
    assert refusal("/nowhere").get_data() == b"our own page"


def test_server_name_decides_as_it_does_for_pages(recwarn):
    """Without subdomain matching Flask serves every host, whatever SERVER_NAME is."""
    app = Flask("application")
    app.config["SERVER_NAME"] = "example.org"
    ws = GreenWS(app)
    asked = []
    app.before_request(lambda: asked.append("before") or None)

    @ws.route("/", request_context=False)
    class Echo(Endpoint):
        def on_message(self, conn, message):
            conn.send(message)

    for host in ("example.org", "localhost", "other.example:8000"):
        with app.extensions["greenws"].test_client().connect("/", host=host) as peer:
            peer.send("x")
            assert peer.receive(5) == "x"
    assert asked == []
    assert not recwarn.list


@pytest.mark.parametrize("lean", [False, True])
def test_trusted_hosts_hold(lean, app, ws, connect, refusal):
    """DNS rebinding: an origin that equals a forged host is no protection without this."""
    if "TRUSTED_HOSTS" not in app.config:
        pytest.skip("this Flask has no TRUSTED_HOSTS")
    app.config["TRUSTED_HOSTS"] = ["example.org"]
    ws.route("/", request_context=not lean)(lambda conn: conn.send("hello"))
    with connect("/", host="example.org") as peer:
        assert peer.receive(5) == "hello"
    assert refusal("/", host="evil.example", origin="http://evil.example").status_code == 400


def test_the_host_decides_however_often_the_others_have_asked(app, ws, connect):
    app.config["SERVER_NAME"] = "example.test"
    app.url_map.host_matching = True

    @ws.route("/door", request_context=False, endpoint="one", host="one.test")
    def one(conn):
        conn.send("one")

    @ws.route("/door", request_context=False, endpoint="two", host="two.test")
    def two(conn):
        conn.send("two")

    for _ in range(2):
        for host in ("one", "two"):
            with connect("/door", host=f"{host}.test") as peer:
                assert peer.receive(5) == host
    with pytest.raises(UpgradeRefused) as refused, connect("/door", host="three.test"):
        pass
    assert refused.value.status == 404


def test_a_host_that_is_not_trusted_is_refused_also_behind_one_that_is(app, opened, connect):
    app.config["TRUSTED_HOSTS"] = ["localhost"]
    opened.append(lambda conn: None)
    with connect("/door/front", host="localhost"):
        pass
    with pytest.raises(UpgradeRefused) as refused, connect("/door/front", host="evil.test"):
        pass
    assert refused.value.status == 400


def test_only_so_many_hosts_are_kept(app, opened, connect, monkeypatch):
    monkeypatch.setattr("greenws.flaskext.routing.MAX_ADAPTERS", 3)
    for number in range(8):
        with connect("/door/front", host=f"host{number}.test"):
            assert len(app.extensions["greenws"]._routing._kept) <= 3


def test_a_path_beyond_ascii_is_matched_as_utf_8(app, opened, connect):
    with connect("/door/caf%C3%A9") as peer:
        peer.send("x")
        assert peer.receive(5) == "café application False x"
