"""Upgrades on the running server: early frames, middleware, and never HTTP again."""

from __future__ import annotations

import time
from contextvars import ContextVar
from email.utils import parsedate_to_datetime

import gevent
import pytest
from flask import Response
from gevent.event import Event
from greenlet import getcurrent

from greenws import Endpoint
from greenws.net.pool import get_upgrade_pool
from greenws.server import WSGIServer, upgrade
from tests.server.conftest import ACCEPT, upgrade_request

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HELLO = b"\x81\x85\0\0\0\0hello"
CLOSE = b"\x88\x80\0\0\0\0"


@pytest.fixture(params=["/echo", "/view"])
def path(request):
    return request.param


def test_it_upgrades_and_echoes(site, path):
    client = site.start().client()
    client.send(upgrade_request(path))
    status, headers = client.head()
    assert status == 101
    assert headers["sec-websocket-accept"].encode() == ACCEPT
    client.send(HELLO)
    assert client.read(7) == b"\x81\x05hello"
    client.send(CLOSE)
    assert client.rest() == b"\x88\x00"


def test_frames_behind_the_handshake_are_handled_in_order(site, path):
    client = site.start().client()
    client.send(upgrade_request(path) + HELLO + b"\x82\x82\0\0\0\0hi" + CLOSE)
    assert client.head()[0] == 101
    assert client.rest() == b"\x81\x05hello\x82\x02hi\x88\x00"


def test_every_split_of_handshake_and_frame(site):
    site.start()
    data = upgrade_request() + HELLO + CLOSE
    for at in range(1, len(data), 7):
        client = site.client()
        client.send(data[:at])
        gevent.idle()
        client.send(data[at:])
        assert client.head()[0] == 101
        assert client.rest() == b"\x81\x05hello\x88\x00"


def test_a_kept_alive_connection_may_upgrade(site, path):
    client = site.start().client()
    for _ in range(2):
        client.send(GET)
        assert client.response()[2] == b"index"
    client.send(GET + upgrade_request(path) + HELLO)
    assert client.response()[2] == b"index"
    assert client.head()[0] == 101
    assert client.read(7) == b"\x81\x05hello"


@pytest.mark.parametrize("end", [CLOSE, b"\x83\x80\0\0\0\0", b""], ids=["closed", "failed", "open"])
def test_after_an_upgrade_a_connection_is_never_http_again(site, path, end):
    client = site.start().client()
    client.send(upgrade_request(path))
    assert client.head()[0] == 101
    client.send(end + GET + GET)
    assert b"HTTP" not in client.rest()


@pytest.mark.parametrize("status", ["200 OK", "302 FOUND", "401 UNAUTHORIZED", "503 SERVICE UNAVAILABLE"])
def test_a_middleware_may_answer_an_upgrade_itself(site, status):
    def middleware(environ, start_response):
        if environ["PATH_INFO"] == "/echo":
            start_response(status, [("X-From", "middleware"), ("Content-Length", "6")])
            return iter([b"no", b" ", b"way"])
        return site.app(environ, start_response)

    site.start(middleware)
    client = site.client()
    client.send(upgrade_request("/echo") + HELLO)
    got, headers, body = client.response()
    assert (got, headers["x-from"], body) == (int(status[:3]), "middleware", b"no way")
    assert headers["connection"] == "close"
    assert client.rest() == b""
    client = site.client()  # other routes go through it
    client.send(upgrade_request("/view") + HELLO)
    assert client.head()[0] == 101


def test_a_middleware_may_replace_the_answer_of_the_application(site):
    """As one that catches a 101 it does not know: the peer gets a response, the connection is abandoned."""
    inner = []

    def middleware(environ, start_response):
        list(site.app(environ, lambda status, headers, exc_info=None: inner.append(status)))
        start_response("500 Oops", [])
        return [b"oops"]

    site.start(middleware)
    assert site.ask(upgrade_request())[::2] == (500, b"oops")
    assert inner == ["101 Switching Protocols"]
    assert len(site.app.extensions["greenws"].registry) == 0


def test_a_middleware_may_add_headers_to_the_101_and_closes_its_iterable(site):
    closed = []

    class Body(list):
        def close(self):
            closed.append(True)

    def middleware(environ, start_response):
        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Request-Id", "7")], exc_info)

        return Body(site.app(environ, start))

    client = site.start(middleware).client()
    client.send(upgrade_request())
    assert client.head()[1]["x-request-id"] == "7"
    assert closed == [True]


@pytest.mark.parametrize(
    "application",
    [
        lambda environ, start_response: [b"no start_response"],
        lambda environ, start_response: start_response("600 Odd", []) and [],
        lambda environ, start_response: start_response("nonsense", []) and [],
        lambda environ, start_response: start_response("99999999999 Odd", []) and [],
        lambda environ, start_response: start_response("200 OK", [("X", "a\r\nInjected: 1")]) and [],
        lambda environ, start_response: start_response("101 Switching Protocols", []) and [],
        lambda environ, start_response: 1 / 0,
        lambda environ, start_response: None,
    ],
    ids=["none", "600", "nonsense", "too large", "injection", "101 by hand", "raises", "no iterable"],
)
def test_an_application_that_answers_an_upgrade_wrongly_gives_500(site, application, capsys):
    site.start(application)
    for _ in range(3):
        client = site.client()
        client.send(upgrade_request())
        status, headers, _ = client.response()
        assert status in (500, 600)
        assert "injected" not in headers
        assert client.rest() == b""
    capsys.readouterr()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Key": "x"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Content-Length": "5"}, 400),
        ({"Connection": "keep-alive"}, 400),
    ],
)
def test_an_upgrade_that_is_refused_closes_the_connection(site, path, headers, status):
    client = site.start().client()
    client.send(upgrade_request(path, **headers) + b"hello" + GET)
    assert client.response()[0] == status
    assert b"index" not in client.rest()


def test_x_forwarded_for_with_an_underscore_is_dropped(site):
    seen = []

    def application(environ, start_response):
        seen.append(environ.get("HTTP_X_FORWARDED_FOR"))
        start_response("403 Forbidden", [])
        return []

    site.start(application)
    site.ask(upgrade_request().replace(b"Upgrade: ", b"X_Forwarded_For: 1.2.3.4\r\nUpgrade: ", 1))
    assert seen == [None]


def test_stop_sends_1001_to_everybody_and_closes_the_rest(site, path):
    site.start()
    sockets = [site.client() for _ in range(5)]
    for client in sockets:
        client.send(upgrade_request(path))
        assert client.head()[0] == 101
    idle, half = site.client(), site.client()
    idle.send(GET)
    assert idle.response()[2] == b"index"
    half.send(b"GET / HT")
    gevent.idle()
    stopping = gevent.spawn(site.server.stop, 5)
    for client in sockets:
        assert client.read(4) == b"\x88\x02\x03\xe9"
        client.send(b"\x88\x82\0\0\0\0\x03\xe9")
        assert client.rest() == b""
    stopping.get(timeout=5)
    assert idle.rest() == b""
    assert half.rest() == b""
    with pytest.raises(OSError, match="refused"):
        site.client()


@pytest.mark.slow
def test_stop_does_not_wait_longer_than_its_timeout_for_silent_peers(site):
    client = site.start().client()
    client.send(upgrade_request())
    assert client.head()[0] == 101
    with gevent.Timeout(3):
        site.server.stop(0.1)
    assert client.rest().startswith(b"\x88\x02\x03\xe9")


def test_stop_tells_1001_to_an_upgrade_that_is_under_way(site):
    go_on = gevent.event.Event()
    site.app.before_request(lambda: go_on.wait(5) and None)
    site.start()
    client = site.client()
    client.send(upgrade_request())
    gevent.idle()
    stopping = gevent.spawn(site.server.stop, 2)
    gevent.idle()
    go_on.set()
    assert client.head()[0] == 101
    assert client.read(4) == b"\x88\x02\x03\xe9"
    client.send(b"\x88\x82\0\0\0\0\x03\xe9")
    assert client.rest() == b""
    stopping.get(timeout=5)


def test_stop_waits_for_upgrades_that_wait_their_turn(site, monkeypatch):
    go_on, inside = Event(), []

    def decide(environ, start_response):
        inside.append(environ)
        go_on.wait(10)
        return site.app(environ, start_response)

    site.start(decide)
    monkeypatch.setattr(get_upgrade_pool(), "size", 1)
    clients = [site.client() for _ in range(3)]
    for client in clients:
        client.send(upgrade_request())
    with gevent.Timeout(5):
        while site.server.upgrading < len(clients):
            gevent.idle()
    assert len(inside) == 1
    stopping = gevent.spawn(site.server.stop, 5)
    gevent.idle()
    go_on.set()
    for client in clients:
        assert client.head()[0] == 101
        assert client.read(4) == b"\x88\x02\x03\xe9"
        client.send(b"\x88\x82\0\0\0\0\x03\xe9")
        assert client.rest() == b""
    stopping.get(timeout=5)
    assert site.server.upgrading == 0


def test_an_application_can_be_served_again_after_stop(site):
    for _ in range(2):
        site.start()
        client = site.client()
        client.send(upgrade_request() + HELLO)
        assert client.head()[0] == 101
        assert client.read(7) == b"\x81\x05hello"
        client.close()
        site.server.stop(1)


def test_the_stop_of_one_server_leaves_the_other_of_the_same_application(site):
    site.start()
    other = WSGIServer(("127.0.0.1", 0), site.app, log=None, error_log=None)
    other.start()
    client = site.client()
    client.send(upgrade_request() + HELLO)
    assert client.head()[0] == 101
    assert client.read(7) == b"\x81\x05hello"
    other.stop(1)
    client.send(HELLO)
    assert client.read(7) == b"\x81\x05hello"
    client = site.client()
    client.send(upgrade_request())
    assert client.head()[0] == 101


def test_what_one_upgrade_sets_in_its_context_variables_is_gone_for_the_next(site):
    variable = ContextVar("variable", default="nothing")
    seen = []

    def middleware(environ, start_response):
        seen.append((getcurrent(), variable.get()))
        variable.set("something")
        return site.app(environ, start_response)

    site.start(middleware)
    for _ in range(2):
        client = site.client()
        client.send(upgrade_request())
        assert client.head()[0] == 101
    (first, _), (second, value) = seen
    assert first is second  # the greenlet is used again
    assert value == "nothing"


def test_so_many_upgrades_are_decided_at_once_and_the_others_wait_their_turn(site, monkeypatch):
    release, inside = Event(), []

    @site.ws.route("/slow")
    class Slow(Endpoint):
        def on_open(self, conn):
            inside.append(conn.id)
            release.wait(10)

    site.start()
    echoing = site.client()
    echoing.send(upgrade_request())
    assert echoing.head()[0] == 101
    monkeypatch.setattr(get_upgrade_pool(), "size", 2)
    clients = [site.client() for _ in range(5)]
    for client in clients:
        client.send(upgrade_request("/slow"))
    for _ in range(3):
        echoing.send(HELLO)
        assert echoing.read(7) == b"\x81\x05hello"
    assert len(inside) == 2
    release.set()
    assert [client.head()[0] for client in clients] == [101] * 5


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_an_upgrade_that_the_connection_header_does_not_name_is_none(site, connection):
    """RFC 9110 §7.8. So a page is a page: its body is read, and its answer need not end to be sent."""
    ended = Event()

    @site.app.get("/endless")
    def endless():
        def lines():
            try:
                while True:
                    yield "line\n"
                    gevent.sleep(0)
            finally:
                ended.set()

        return Response(lines())

    head = "Host: localhost\r\nUpgrade: websocket\r\n"
    client = site.start().client()
    client.send(f"POST /post HTTP/1.1\r\n{head}Content-Length: 5\r\nConnection: {connection}\r\n\r\nhello".encode())
    assert client.response()[::2] == (200, b"hello")
    client = site.client()
    client.send(f"GET /endless HTTP/1.1\r\n{head}Connection: {connection}\r\n\r\n".encode())
    assert client.head()[0] == 200
    client.close()
    assert ended.wait(5)
    assert site.server.upgrading == 0


@pytest.mark.parametrize(("size", "most_time"), [(1000, 0.0), (100_000, 10.0)], ids=["time", "size"])
def test_an_answer_that_goes_on_and_on_is_given_up(site, monkeypatch, capsys, size, most_time):
    ended = []

    def application(environ, start_response):
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * size
                gevent.sleep(0)
        finally:
            ended.append(True)

    monkeypatch.setattr(upgrade, "MAX_TIME", most_time)
    client = site.start(application).client()
    client.send(upgrade_request())
    assert client.response()[0] == 500
    assert ended == [True]
    assert "goes on and on" in capsys.readouterr().err


@pytest.mark.parametrize("status", ["204 NO CONTENT", "304 NOT MODIFIED"])
def test_an_answer_without_a_body_has_no_length(site, status):
    def application(environ, start_response):
        start_response(status, [("Date", "Fri, 27 Nov 2026 00:00:00 GMT")])
        return [b"nothing"]

    client = site.start(application).client()
    client.send(upgrade_request())
    code, headers = client.head()
    assert (code, "content-length" in headers, headers["date"]) == (
        int(status[:3]),
        False,
        "Fri, 27 Nov 2026 00:00:00 GMT",
    )
    assert client.rest() == b""


def test_a_101_announces_no_body(site):
    @site.app.after_request
    def after(response):
        response.headers["Content-Length"] = "0"
        response.headers["Transfer-Encoding"] = "chunked"
        return response

    client = site.start().client()
    client.send(upgrade_request())
    status, headers = client.head()
    assert status == 101
    assert headers.keys().isdisjoint({"content-length", "transfer-encoding"})


@pytest.mark.parametrize("data", [upgrade_request(Origin="http://evil.example"), b"nonsense\r\n\r\n"])
def test_a_refusal_says_when_it_was(site, data):
    _, headers, _ = site.start().ask(data)
    assert abs(parsedate_to_datetime(headers["date"]).timestamp() - time.time()) < 60
