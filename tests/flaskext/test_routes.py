"""Routes: werkzeug's rules, blueprints, options of a route, and what those get who do not upgrade."""

from __future__ import annotations

from enum import StrEnum

import pytest
from flask import Blueprint, Flask, url_for
from flask.cli import FlaskGroup

from greenws import ConfigError, Endpoint, GreenWS


class Echo(Endpoint):
    def on_message(self, conn, message):
        conn.send(message)


def echo(conn, **values):
    for message in conn:
        conn.send(f"{message} {sorted(values.items())}")


def ask(connect, path, **options):
    with connect(path, **options) as peer:
        peer.send("x")
        return peer.receive(5)


def test_converters_give_values(ws, connect, refusal):
    ws.route("/a/<int:number>/<path:rest>")(echo)
    assert ask(connect, "/a/7/b/c%20d") == "x [('number', 7), ('rest', 'b/c d')]"
    assert refusal("/a/seven/b").status_code == 404


def test_defaults_and_two_rules_for_one_view(ws, connect):
    ws.route("/", endpoint="first", defaults={"page": 1})(echo)
    ws.route("/page/<int:page>", endpoint="second")(echo)
    assert ask(connect, "/page/2") == "x [('page', 2)]"
    assert ask(connect, "/") == "x [('page', 1)]"


def test_url_for_knows_the_routes(app, ws):
    ws.route("/room/<name>")(Echo)
    ws.route("/plain", endpoint="named")(echo)
    with app.test_request_context("/", base_url="https://example.org/"):
        assert url_for("Echo", name="a b") in ("/room/a%20b", "wss://example.org/room/a%20b")
        assert url_for("named", _external=True) == "wss://example.org/plain"


def test_a_page_and_a_websocket_may_share_an_address(app, ws, connect):
    ws.route("/chat")(echo)

    @app.get("/chat", endpoint="page")
    def page():
        return "the page"

    assert app.test_client().get("/chat").get_data() == b"the page"
    assert ask(connect, "/chat") == "x []"


def test_strict_slashes_redirect_an_upgrade_as_they_do_a_page(ws, refusal, connect):
    ws.route("/room/")(echo)
    ws.route("/loose/", endpoint="loose", strict_slashes=False)(echo)
    response = refusal("/room")
    assert response.status_code == 308
    assert response.headers["Location"].endswith("/room/")
    assert ask(connect, "/loose") == "x []"


@pytest.mark.parametrize("lean", [False, True])
def test_subdomains(lean):
    app = Flask("application", subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.org"
    ws = GreenWS(app)
    ws.route("/", subdomain="<device>", request_context=not lean)(echo)
    connect = app.extensions["greenws"].test_client().connect
    assert ask(connect, "/", host="d7.example.org") == "x [('device', 'd7')]"


def test_blueprints(app, ws, connect):
    bp = Blueprint("devices", __name__, url_prefix="/devices")
    ws.route("/<name>/feed", bp=bp)(echo)
    ws.route("/<name>/events", bp=bp)(Echo)
    seen = []
    bp.before_request(lambda: seen.append("before") or None)
    app.register_blueprint(bp)
    assert ask(connect, "/devices/d7/feed") == "x [('name', 'd7')]"
    assert ask(connect, "/devices/d7/events") == "x"
    assert seen == ["before", "before"]
    with app.test_request_context():
        assert url_for("devices.echo", name="d7").endswith("/devices/d7/feed")


def test_one_blueprint_twice_under_other_names(app, ws, connect):
    bp = Blueprint("devices", __name__)
    ws.route("/<name>/feed", bp=bp)(echo)
    app.register_blueprint(bp, url_prefix="/a")
    app.register_blueprint(bp, url_prefix="/b", name="others")
    assert ask(connect, "/a/1/feed") == "x [('name', '1')]"
    assert ask(connect, "/b/2/feed") == "x [('name', '2')]"


def test_flask_routes_lists_them(app, ws):
    ws.route("/echo")(echo)
    ws.route("/room/<name>")(Echo)
    output = app.test_cli_runner().invoke(FlaskGroup(create_app=lambda: app), ["routes"]).output
    lines = [line.split() for line in output.splitlines()]
    assert ["echo", "GET", "/echo"] in lines
    assert ["Echo", "GET", "/room/<name>"] in lines


@pytest.mark.parametrize("request_context", [True, False])
@pytest.mark.parametrize(
    ("method", "status"), [("GET", 426), ("POST", 405), ("PUT", 405), ("DELETE", 405), ("HEAD", 405), ("OPTIONS", 405)]
)
def test_a_plain_request_is_told_what_to_do(app, ws, request_context, method, status):
    ws.route("/echo", request_context=request_context)(echo)
    response = app.test_client().open("/echo", method=method)
    assert response.status_code == status
    if status == 426:
        assert response.headers["Upgrade"].lower() == "websocket"
        assert "upgrade" in response.headers["Connection"].lower()
        assert b"WebSocket" in response.get_data()
    else:
        assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize("request_context", [True, False])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-WebSocket-Version": "12"}, 426),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Connection": "close"}, 400),
        ({"Content-Length": "5"}, 400),
        ({"Transfer-Encoding": "chunked"}, 400),
        ({"Sec-WebSocket-Protocol": "a b"}, 400),
    ],
)
def test_an_upgrade_that_breaks_the_rules_is_refused(app, ws, request_context, headers, status):
    ws.route("/echo", request_context=request_context)(echo)
    valid = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    response = app.test_client().get(
        "/echo", headers={**valid, **headers}, data=b"12345" if "Content-Length" in headers else None
    )
    assert response.status_code == status
    if "Sec-WebSocket-Version" in headers:
        assert response.headers["Sec-WebSocket-Version"] == "13"


@pytest.mark.parametrize("request_context", [True, False])
def test_a_server_that_cannot_hand_over_gives_501_with_the_command(app, ws, request_context):
    ws.route("/echo", request_context=request_context)(echo)
    response = app.test_client().get(
        "/echo",
        headers={
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        },
    )
    assert response.status_code == 501
    assert "greenws run" in response.get_data(as_text=True)


def test_an_upgrade_of_an_ordinary_page_is_refused_and_the_page_still_works(app, ws, refusal):
    app.get("/page", endpoint="page")(lambda: "page")
    assert refusal("/page").status_code == 400
    assert refusal("/nowhere").status_code == 404
    assert app.test_client().get("/page").get_data() == b"page"


def test_subprotocols_may_be_an_enumeration(ws, connect):
    class Version(StrEnum):
        ONE = "v1"

    ws.route("/", subprotocols=Version)(lambda conn: conn.send(conn.subprotocol))
    with connect("/", subprotocols=["v1"]) as peer:
        assert peer.receive(5) == "v1"


def test_the_servers_favourite_subprotocol_is_chosen(ws, connect):
    ws.route("/", subprotocols=["v2", "v1"])(lambda conn: conn.send(str(conn.subprotocol)))
    for offered, chosen in ((["v1", "v2"], "v2"), (["v0", "v1"], "v1"), (["v0"], None), ([], None)):
        with connect("/", subprotocols=offered) as peer:
            assert peer.receive(5) == str(chosen)
            assert peer.subprotocol == chosen


@pytest.mark.parametrize("request_context", [True, False])
@pytest.mark.parametrize(
    ("origins", "origin", "accepted"),
    [
        (None, None, True),
        (None, "http://localhost", True),
        (None, "http://evil.example", False),
        (None, "null", False),
        (None, "http://localhost.evil.example", False),
        (None, "http://localhost:81", False),
        ("*", "http://evil.example", True),
        (["https://app.example"], "https://app.example", True),
        (["https://app.example"], "http://app.example", False),
        (["https://app.example"], "https://app.example:444", False),
        (["https://app.example"], "http://localhost", False),
    ],
)
def test_the_origin_must_be_the_host_or_in_the_list(ws, connect, refusal, request_context, origins, origin, accepted):
    ws.route("/", origins=origins, request_context=request_context)(echo)
    if accepted:
        assert ask(connect, "/", origin=origin) == "x []"
    else:
        assert refusal("/", origin=origin).status_code == 403


def test_each_route_has_its_own_largest_message(ws, connect):
    ws.route("/small", endpoint="small", max_message_size=10)(Echo)
    ws.route("/large", endpoint="large", max_message_size=1_000_000)(Echo)
    with connect("/large") as peer:
        peer.send("x" * 1_000_000)
        assert len(peer.receive(5)) == 1_000_000
    with connect("/small") as peer:
        peer.send("x" * 10)
        assert len(peer.receive(5)) == 10
        peer.send("x" * 11)
        assert peer.wait_closed(5)
        assert peer.close_code == 1009


def test_a_class_that_is_no_endpoint_is_a_type_error(ws):
    with pytest.raises(TypeError, match="Endpoint"):
        ws.route("/")(type("Plain", (), {}))


@pytest.mark.parametrize(
    "options", [{"max_message_size": 0}, {"max_message_size": "1"}, {"origins": "https://a"}, {"subprotocols": [1]}]
)
def test_a_setting_that_cannot_work_fails_where_it_is_written(ws, options):
    with pytest.raises(ConfigError):
        ws.route("/", **options)


def test_a_setting_of_the_application_is_none_of_a_route(ws):
    with pytest.raises(ConfigError, match=r"GreenWS\(app, idle_timeout=…\)"):
        ws.route("/", idle_timeout=3)


def test_the_decorator_returns_what_it_was_given(ws):
    assert ws.route("/a")(echo) is echo
    assert ws.route("/b")(Echo) is Echo
