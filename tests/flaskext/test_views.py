"""Blocking style: a view has its connection to itself; the upgrade goes on when it first uses it."""

from __future__ import annotations

import gevent
import pytest
from flask import abort, request, session
from gevent.event import Event

from greenws import ConnectionClosed, GreenWS, StateError


def end_of(peer):
    """The code and reason with which a connection ends."""
    with pytest.raises(ConnectionClosed) as caught:
        peer.receive(5)
    return caught.value.code, caught.value.reason


@pytest.fixture(params=["flask", "lean"])
def route(request, ws):
    """Decorates a view at /view, with and without a Flask request."""
    return lambda view: ws.route("/view", endpoint="view", request_context=request.param == "flask")(view)


def test_it_echoes_until_the_peer_closes(route, connect):
    log = []

    @route
    def view(conn):
        for message in conn:
            conn.send(message)
        log.append(conn.close_code)

    with connect("/view") as peer:
        for message in ("text", b"bytes", ""):
            peer.send(message)
            assert peer.receive(5) == message
    gevent.idle()
    assert log == [1000]


def test_a_view_that_returns_closes_with_1000(route, connect):
    @route
    def view(conn):
        conn.send(conn.receive())
        return "ignored"

    with connect("/view") as peer:
        peer.send("only one")
        assert peer.receive(5) == "only one"
        assert end_of(peer) == (1000, "")


def test_a_view_that_only_sends(route, connect):
    @route
    def view(conn):
        for number in range(100):
            conn.send(str(number))

    with connect("/view") as peer:
        assert [peer.receive(5) for _ in range(100)] == [str(number) for number in range(100)]
        assert end_of(peer) == (1000, "")


def test_a_view_that_sends_more_than_the_high_water_mark_at_once(route, connect):
    message = "x" * 500_000

    @route
    def view(conn):
        for _ in range(10):
            conn.send(message)

    with connect("/view") as peer:
        assert [len(peer.receive(5)) for _ in range(10)] == [500_000] * 10
        assert end_of(peer) == (1000, "")


def test_a_view_that_does_nothing_accepts_and_closes(route, connect):
    route(lambda conn: None)
    with connect("/view") as peer:
        assert end_of(peer) == (1000, "")


def test_a_view_that_returns_a_response_instead_of_receiving_refuses(route, refusal):
    route(lambda conn: ("sorry", 402, {"X-Why": "so"}))
    response = refusal("/view")
    assert (response.status_code, response.get_data(), response.headers["X-Why"]) == (402, b"sorry", "so")


def test_abort_before_the_first_use_refuses(route, refusal):
    route(lambda conn: abort(403))
    assert refusal("/view").status_code == 403


def test_the_first_use_may_be_each_of_its_methods(ws, connect):
    @ws.route("/<use>")
    def view(conn, use):
        if use == "spawn":
            conn.spawn(conn.send, use)
            conn.receive()
        elif use == "ping":
            assert conn.ping(5) >= 0
            conn.send(use)
        elif use == "send_json":
            conn.send_json(use)
        else:
            for message in [conn.receive()] if use == "receive" else conn:
                conn.send(message)
                break

    for use in ("spawn", "receive", "iterate", "send_json", "ping"):
        with connect(f"/{use}") as peer:
            if use in ("receive", "iterate"):
                peer.send(use)
            assert peer.receive(5).strip('"') == use


def test_to_wait_for_the_end_is_a_use(route, connect):
    @route
    def view(conn):
        conn.wait_closed(0)
        return "too late to refuse", 403

    with connect("/view") as peer:
        assert end_of(peer) == (1000, "")


def test_a_view_that_does_something_else_lets_its_peer_in_after_handshake_timeout(app):
    may_go_on = Event()

    @GreenWS(app, handshake_timeout=0.1).route("/view")
    def view(conn):
        may_go_on.wait(5)
        conn.send("late")

    with app.extensions["greenws"].test_client().connect("/view") as peer:
        may_go_on.set()
        assert peer.receive(5) == "late"


def test_request_and_session_work_until_the_first_use(app, ws, connect):
    @ws.route("/view/<name>")
    def view(conn, name):
        session["name"] = name
        conn.name = f"{name} {request.args['q']} {request.headers['X-Device']}"
        for message in conn:
            conn.send(f"{conn.name} {message}")

    with connect("/view/ann?q=1", headers={"X-Device": "d7"}) as peer:
        peer.send("x")
        assert peer.receive(5) == "ann 1 d7 x"


def test_an_error_before_the_first_use_is_500(route, refusal, reports):
    @route
    def view(conn):
        raise ZeroDivisionError("before")

    assert refusal("/view").status_code == 500
    assert reports.sent == ["ZeroDivisionError('before')"]
    assert len(reports.logged) == 1


@pytest.mark.parametrize("when", ["after a send", "after a receive"])
def test_an_error_after_the_first_use_is_1011_and_reported_once(route, connect, reports, when):
    @route
    def view(conn):
        conn.send("hello") if when == "after a send" else conn.receive()
        raise ZeroDivisionError(when)

    with connect("/view") as peer:
        if when == "after a send":
            assert peer.receive(5) == "hello"
        else:
            peer.send("hello")
        assert end_of(peer) == (1011, "internal error")
    assert reports.sent == [f"ZeroDivisionError('{when}')"]
    assert reports.logged == [f"ERROR Exception on WebSocket '/view' ZeroDivisionError('{when}')"]


def test_a_view_that_receives_once_and_then_pushes_ends_with_its_peer(route, connect, reports):
    @route
    def view(conn):
        topic = conn.receive()
        while True:
            conn.send(topic)
            gevent.idle()

    with connect("/view") as peer:
        peer.send("news")
        assert [peer.receive(5) for _ in range(3)] == ["news"] * 3
        peer.close()
        assert peer.wait_closed(2), "the closing handshake is left to its timeout"
    gevent.idle()
    assert reports.logged == []


def test_a_close_of_the_peer_that_is_not_normal_is_no_error_of_the_view(route, connect, reports):
    log = []

    @route
    def view(conn):
        try:
            for message in conn:
                conn.send(message)
        except ConnectionClosed as error:
            log.append((error.code, error.reason))
            raise

    with connect("/view") as peer:
        peer.send("x")
        peer.receive(5)
        peer.close(4000, "because")
        assert peer.wait_closed(5)
    gevent.idle()
    assert log == [(4000, "because")]
    assert reports.logged == reports.sent == []


def test_a_killed_view_closes_with_1011_and_is_reported(route, connect, reports):
    views = []

    @route
    def view(conn):
        views.append(gevent.getcurrent())
        conn.send("here")
        Event().wait()

    with connect("/view") as peer:
        assert peer.receive(5) == "here"
        gevent.kill(views.pop())
        assert end_of(peer) == (1011, "internal error")
    assert len(reports.logged) == len(reports.sent) == 1


def test_a_timeout_in_a_view_is_an_error_of_the_view(route, connect, reports):
    @route
    def view(conn):
        with gevent.Timeout(0.001):
            conn.receive()

    with connect("/view") as peer:
        assert end_of(peer) == (1011, "internal error")
    assert len(reports.logged) == 1


def test_a_greenlet_of_the_view_may_receive_while_the_view_sends(app, ws, connect):
    """Also with a teardown function: its context is the view's own affair, not that of the greenlet that receives."""
    app.teardown_appcontext(lambda error: None)

    @ws.route("/view")
    def view(conn):
        def read():
            for message in conn:
                conn.send(f"read {message}")

        reader = conn.spawn(read)
        conn.send("hello")
        reader.join()

    with connect("/view") as peer:
        assert peer.receive(5) == "hello"
        for message in ("a", "b"):
            peer.send(message)
            assert peer.receive(5) == f"read {message}"


def test_spawned_greenlets_end_with_the_view(route, connect):
    log = []

    @route
    def view(conn):
        def wait():
            try:
                Event().wait()
            finally:
                log.append("ended")

        conn.spawn(wait)
        conn.receive()

    with connect("/view") as peer:
        peer.send("x")
        assert end_of(peer) == (1000, "")
    gevent.idle()
    assert log == ["ended"]


def test_a_second_greenlet_that_receives_is_told_so(route, connect):
    @route
    def view(conn):
        other = gevent.spawn(conn.receive)
        gevent.sleep(0)
        try:
            conn.receive()
        except StateError as error:
            conn.send(str(error))
        other.join()

    with connect("/view") as peer:
        assert "another greenlet" in peer.receive(5)
        peer.send("for the other")
        assert end_of(peer) == (1000, "")


def test_after_request_that_refuses_ends_a_view_that_waits(app, ws, refusal):
    ended = []

    @ws.route("/view")
    def view(conn):
        try:
            conn.receive()
        except ConnectionClosed as error:
            ended.append(error.code)

    app.after_request(lambda response: app.make_response(("no", 409)))
    assert refusal("/view").status_code == 409
    gevent.idle()
    assert ended == [1006]
