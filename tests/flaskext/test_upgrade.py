"""The phases of an upgrade: before it, at it, and how each may refuse."""

from __future__ import annotations

import gevent
import pytest
from flask import Response, abort, flash, g, jsonify, make_response, redirect, request, session

from greenws import ConnectionClosed, Endpoint
from tests.flaskext.conftest import handshake


@pytest.fixture(params=["event", "blocking"])
def style(request):
    return request.param


@pytest.fixture
def opened(ws, style):
    """A route at /door in each style; what its opening is to do is put into the list."""
    actions = []

    def act(conn):
        return next((answer for action in actions if (answer := action(conn)) is not None), None)

    if style == "event":

        @ws.route("/door")
        class Door(Endpoint):
            def on_open(self, conn):
                return act(conn)

            def on_message(self, conn, message):
                conn.send(message)

    else:

        @ws.route("/door")
        def door(conn):
            if (answer := act(conn)) is not None:
                return answer
            for message in conn:
                conn.send(message)
            return None

    return actions


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (lambda: ("no", 403), 403, b"no"),
        (lambda: redirect("/login"), 302, None),
        (lambda: jsonify(error="token"), 200, b'{"error":"token"}\n'),
        (lambda: Response(iter([b"a", b"b"]), 401, {"WWW-Authenticate": "Basic"}), 401, b"ab"),
        (lambda: Response(status=204), 204, b""),
        (lambda: abort(429), 429, None),
    ],
    ids=["tuple", "redirect", "json", "streamed", "empty", "abort"],
)
def test_before_request_refuses_with_any_response(app, opened, refusal, answer, status, body):
    opened.append(lambda conn: pytest.fail("the route was asked"))
    app.before_request(lambda: answer())
    response = refusal("/door")
    assert response.status_code == status
    assert body is None or response.get_data() == body


def test_a_refusal_keeps_its_headers_and_cookies(app, opened, refusal):
    @app.before_request
    def refuse():
        response = make_response("no", 401)
        response.headers["WWW-Authenticate"] = "Bearer"
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    headers = refusal("/door").headers
    assert headers["WWW-Authenticate"] == "Bearer"
    assert [value.partition(";")[0] for value in headers.getlist("Set-Cookie")] == ["a=1", "b=2"]
    assert headers["Connection"] == "close"


def test_after_request_runs_for_a_refusal_too(app, opened, refusal):
    opened.append(lambda conn: abort(403))

    @app.after_request
    def mark(response):
        response.headers["X-Mark"] = str(response.status_code)
        return response

    assert refusal("/door").headers["X-Mark"] == "403"


def test_opening_refuses_by_abort(opened, refusal, connect):
    opened.append(lambda conn: abort(403, "not you"))
    response = refusal("/door")
    assert response.status_code == 403
    assert b"not you" in response.get_data()
    opened.clear()
    with connect("/door") as peer:  # one refusal does nothing to the next
        peer.send("hi")
        assert peer.receive() == "hi"


@pytest.mark.parametrize("answer", ["sorry", ("sorry", 402), ({"sorry": True}, 409, {"X-Why": "so"}), b"", ""])
def test_opening_refuses_by_a_response(app, opened, refusal, answer):
    with app.test_request_context():
        expected = app.make_response(answer)
    opened.append(lambda conn: answer)
    response = refusal("/door")
    assert (response.status_code, response.get_data()) == (expected.status_code, expected.get_data())
    assert response.headers.get("X-Why") == expected.headers.get("X-Why")


def test_error_handlers_of_the_application_answer_for_a_refusal(app, opened, refusal):
    class NoRoomError(Exception):
        pass

    @app.errorhandler(NoRoomError)
    def no_room(error):
        return {"full": True}, 423

    @app.errorhandler(403)
    def forbidden(error):
        return "our own page", 403

    def fail(conn):
        raise NoRoomError

    opened.append(fail)
    assert refusal("/door").status_code == 423
    opened[:] = [lambda conn: abort(403)]
    assert refusal("/door").get_data() == b"our own page"


def test_an_error_while_opening_is_answered_500_and_reported_once(app, opened, refusal, reports):
    def fail(conn):
        raise ZeroDivisionError("while opening")

    opened.append(fail)
    assert refusal("/door").status_code == 500
    assert reports.sent == ["ZeroDivisionError('while opening')"]
    assert reports.logged == ["ERROR Exception on /door [GET] ZeroDivisionError('while opening')"]


def test_a_timeout_while_opening_is_answered_500(opened, refusal, capsys):
    """``gevent.Timeout`` is no Exception, so Flask lets it pass."""

    def fail(conn):
        raise gevent.Timeout(1)

    opened.append(fail)
    assert refusal("/door").status_code == 500
    assert "Timeout" in capsys.readouterr().err


def test_the_request_is_there_while_opening(app, opened, connect):
    seen = {}

    def look(conn):
        seen.update(
            path=request.path,
            query=request.args["q"],
            header=request.headers["X-Device"],
            cookie=request.cookies["token"],
            address=(request.remote_addr, conn.remote_addr),
            conn_path=conn.path,
            url=request.url,
            g=g.user,
        )

    opened.append(look)

    @app.before_request
    def load():
        g.user = "ann"

    with connect("/door?q=1", headers={"X-Device": "7", "Cookie": "token=t"}, remote_addr="192.0.2.9") as peer:
        peer.send("x")
        peer.receive()
    assert seen == {
        "path": "/door",
        "query": "1",
        "header": "7",
        "cookie": "t",
        "address": ("192.0.2.9", "192.0.2.9"),
        "conn_path": "/door",
        "url": "http://localhost/door?q=1",
        "g": "ann",
    }


def test_headers_cookies_and_session_leave_with_the_101(app, opened):
    opened.append(lambda conn: session.update(user="ann"))

    @app.after_request
    def add(response):
        response.headers["X-Served-By"] = "greenws"
        response.set_cookie("seen", "yes")
        return response

    head, _ = handshake(app, "/door")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert "X-Served-By: greenws" in lines
    cookies = [line.partition(": ")[2] for line in lines if line.startswith("Set-Cookie: ")]
    assert [cookie.partition("=")[0] for cookie in cookies] == ["seen", "session"] or [
        cookie.partition("=")[0] for cookie in cookies
    ] == ["session", "seen"]
    session_cookie = next(cookie.partition(";")[0] for cookie in cookies if cookie.startswith("session="))
    opened[:] = [lambda conn: (session["user"], 418)]
    app.after_request_funcs.clear()
    head, body = handshake(app, "/door", f"Cookie: {session_cookie}\r\n")
    assert head.startswith(b"HTTP/1.1 418 ")
    assert body == b"ann"


def test_the_101_has_only_headers_that_belong_to_it(opened, app):
    head, _ = handshake(app, "/door")
    names = sorted(line.partition(":")[0].lower() for line in head.decode().split("\r\n")[1:])
    assert names == ["connection", "sec-websocket-accept", "upgrade"]


def test_what_opening_sends_follows_the_101_at_once(app, opened):
    opened.append(lambda conn: conn.send("first"))
    opened.append(lambda conn: conn.send(b"second"))
    head, rest = handshake(app, "/door")
    assert head.startswith(b"HTTP/1.1 101")
    assert rest.startswith(b"\x81\x05first\x82\x06second")


@pytest.mark.parametrize(
    "change",
    [
        lambda response: setattr(response, "status_code", 200),
        lambda response: response.set_data("something"),
        lambda response: setattr(response, "status", "403 FORBIDDEN"),
    ],
    ids=["status 200", "body", "status 403"],
)
def test_after_request_that_changes_the_101_gives_a_clear_500(app, opened, refusal, change, capsys):
    @app.after_request
    def spoil(response):
        change(response)
        return response

    response = refusal("/door")
    assert response.status_code == 500
    assert "after_request function changed the status or body" in capsys.readouterr().err


def test_after_request_may_put_a_refusal_in_the_place_of_the_101(app, opened, refusal):
    app.after_request(lambda response: make_response("changed my mind", 409))
    response = refusal("/door")
    assert (response.status_code, response.get_data()) == (409, b"changed my mind")


def test_flashed_messages_survive_an_upgrade(app, opened, refusal):
    opened.append(lambda conn: flash("hello"))
    opened.append(lambda conn: ("", 400) if "_flashes" in session else ("lost", 500))
    response = refusal("/door")
    assert response.status_code == 400
    assert "session=" in response.headers["Set-Cookie"]


def test_teardown_of_the_request_runs_once_per_upgrade(app, opened, connect):
    ended = []
    app.teardown_request(lambda error: ended.append(error))
    with connect("/door") as peer:
        peer.send("a")
        assert peer.receive() == "a"
        assert ended == [None]
        peer.send("b")
        assert peer.receive() == "b"
    assert ended == [None]


def test_closing_while_opening_sends_the_101_and_then_the_close(app, opened, connect):
    opened.append(lambda conn: conn.close(4001, "who are you"))
    with connect("/door") as peer:
        with pytest.raises(ConnectionClosed) as caught:
            peer.receive()
        assert (caught.value.code, caught.value.reason) == (4001, "who are you")
        del caught
