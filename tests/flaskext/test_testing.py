"""The test client for users of the package."""

from __future__ import annotations

import gevent
import pytest
from flask import Flask, request
from gevent.event import Event

from greenws import Endpoint, GreenWS, HandshakeError
from greenws.config import Config
from greenws.flaskext.testing import TestClient, UpgradeRefused


@pytest.fixture
def log(ws):
    log = []

    @ws.route("/room/<name>")
    class Room(Endpoint):
        def on_open(self, conn, name):
            log.append((name, request.args.get("q"), request.host, request.cookies.get("c"), conn.remote_addr))

        def on_message(self, conn, message):
            conn.send(message)

        def on_close(self, conn, code, reason):
            log.append(code)

    return log


def test_it_sends_what_the_application_is_to_see(log, connect):
    with connect("/room/a?q=1", headers=[("Cookie", "c=2")], host="example.org", remote_addr="192.0.2.1"):
        pass
    assert log[0] == ("a", "1", "example.org", "2", "192.0.2.1")


def test_at_the_end_of_the_block_on_close_has_run(log, connect):
    with connect("/room/a") as peer:
        pass
    assert log[1:] == [1000]
    assert peer.closed
    del peer


def test_an_error_in_the_block_comes_out_and_the_connection_is_released(log, connect):
    with pytest.raises(ZeroDivisionError), connect("/room/a"):
        raise ZeroDivisionError
    gevent.idle()
    assert log[1:] == [1011]


def test_a_refusal_has_the_response(app, ws, connect):
    ws.route("/door")(lambda conn: ({"why": "so"}, 403, {"X-A": "1"}))
    with pytest.raises(UpgradeRefused, match="403") as caught, connect("/door"):
        pass
    assert isinstance(caught.value, HandshakeError)
    assert caught.value.status == 403
    assert caught.value.response.get_json() == {"why": "so"}
    assert caught.value.response.headers["X-A"] == "1"
    del caught


def test_several_clients_at_once(log, connect):
    with connect("/room/a") as first, connect("/room/b") as second:
        first.send("1")
        second.send("2")
        assert (second.receive(5), first.receive(5)) == ("2", "1")


def test_it_keeps_the_settings_it_is_given(app, log):
    client = TestClient(app, Config(ping_interval=None, max_message_size=3))
    with client.connect("/room/a") as peer:
        peer.send("1234")
        assert peer.wait_closed(5)
        assert peer.close_code == 1009


def test_a_peer_that_closed_by_itself_is_no_trouble(log, connect):
    with connect("/room/a") as peer:
        peer.close(4000)
    assert log[1:] == [4000]


@pytest.mark.slow
def test_an_application_that_does_not_answer_is_a_handshake_error():
    app = Flask("application")
    ws = GreenWS(app)
    go_on = Event()

    @ws.route("/")
    class Slow(Endpoint):
        def on_open(self, conn):
            go_on.wait(5)

    client = TestClient(app, Config(handshake_timeout=0.1, ping_interval=None))
    with pytest.raises(HandshakeError, match="in time"), client.connect("/"):
        pass
    go_on.set()
