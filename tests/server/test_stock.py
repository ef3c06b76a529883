"""Upgrades on gevent's own WSGI server, in this process: whatever the application and a middleware answer."""

from __future__ import annotations

import gevent
import pytest
from flask import abort
from gevent import pywsgi

from greenws import Endpoint
from greenws.config import Config
from greenws.net.connection import Connection
from greenws.net.registry import Registry
from greenws.net.sender import Service
from greenws.server.stock import StockUpgrade, find_upgrade
from tests.server.conftest import ACCEPT, Site, upgrade_request

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HELLO = b"\x81\x85\0\0\0\0hello"
CLOSE = b"\x88\x80\0\0\0\0"


class StockSite(Site):
    """The same site on a server that knows nothing of us."""

    def _add_routes(self) -> None:
        super()._add_routes()

        @self.ws.route("/members")
        class Members(Endpoint):
            def on_open(self, conn):
                abort(403, "members only")

        @self.ws.route("/lean", request_context=False)
        def lean(conn):
            for message in conn:
                conn.send(message)

        @self.ws.route("/left", request_context=False)
        def left(conn):
            return "not today", 418

        @self.ws.route("/raises", request_context=False)
        def raises(conn):
            raise LookupError("on purpose")

        @self.ws.route("/closed")
        class Closed(Endpoint):
            def on_open(self, conn):
                conn.send("good")
                conn.close(4000, "bye")

    def start(self, application=None):
        self.errors: list[str] = []
        log = type("Log", (), {"write": lambda _, text: self.errors.append(text)})()
        self.lines: list[str] = []
        access = type("Log", (), {"write": lambda _, text: self.lines.append(text)})()
        self.server = pywsgi.WSGIServer(("127.0.0.1", 0), application or self.app, log=access, error_log=log)
        self.server.start()
        return self


@pytest.fixture
def site():
    made = StockSite()
    yield made
    made.end()
    assert made.errors == []


@pytest.fixture(params=["/echo", "/view", "/lean"])
def path(request):
    return request.param


def test_it_upgrades_and_echoes(site, path):
    client = site.start().client()
    client.send(upgrade_request(path))
    status, headers = client.head()
    assert status == 101
    assert headers["sec-websocket-accept"].encode() == ACCEPT
    assert not {"content-length", "transfer-encoding"} & set(headers)
    client.send(HELLO)
    assert client.read(7) == b"\x81\x05hello"
    client.send(CLOSE)
    assert client.rest() == b"\x88\x00"
    assert len(site.lines) == 1
    assert '" 101 ' in site.lines[0]


def test_every_split_of_handshake_and_frame(site, path):
    site.start()
    data = upgrade_request(path) + HELLO + CLOSE
    for at in range(1, len(data), 7):
        client = site.client()
        client.send(data[:at])
        gevent.idle()
        client.send(data[at:])
        assert client.head()[0] == 101
        assert client.rest() == b"\x81\x05hello\x88\x00"


def test_a_kept_alive_connection_may_upgrade(site, path):
    client = site.start().client()
    client.send(GET)
    assert client.response()[2] == b"index"
    client.send(GET + upgrade_request(path) + HELLO)
    assert client.response()[2] == b"index"
    assert client.head()[0] == 101
    assert client.read(7) == b"\x81\x05hello"


@pytest.mark.parametrize("end", [CLOSE, b"\x83\x80\0\0\0\0", b""], ids=["closed", "failed", "open"])
def test_after_an_upgrade_a_connection_is_never_http_again(site, path, end):
    client = site.start().client()
    client.send(upgrade_request(path) + end + GET + GET)
    assert client.head()[0] == 101
    assert b"HTTP" not in client.rest()


@pytest.mark.parametrize(("path", "status"), [("/members", 403), ("/left", 418), ("/raises", 500), ("/nowhere", 404)])
def test_a_refusal_is_an_http_response_and_the_connection_goes_on(site, path, status):
    site.app.logger.disabled = True
    client = site.start().client()
    for _ in range(2):
        client.send(upgrade_request(path))
        assert client.response()[0] == status
    client.send(upgrade_request("/view") + HELLO)
    assert client.head()[0] == 101
    assert client.read(7) == b"\x81\x05hello"
    assert len(site.app.extensions["greenws"].registry) == 1


def test_what_on_open_sends_and_closes_leaves_behind_the_101(site):
    client = site.start().client()
    client.send(upgrade_request("/closed"))
    assert client.head()[0] == 101
    assert client.read(13) == b"\x81\x04good\x88\x05\x0f\xa0bye"
    client.send(CLOSE)
    assert client.rest() == b""


def test_an_error_behind_the_agreement_is_a_500_and_abandons(site):
    @site.app.after_request
    def fail(response):
        raise LookupError("on purpose")

    site.app.logger.disabled = True
    status, _, _ = site.start().ask(upgrade_request())
    assert status == 500
    assert len(site.app.extensions["greenws"].registry) == 0


@pytest.mark.parametrize("buffers", [True, False])
def test_a_middleware_may_add_headers_and_use_up_the_body(site, buffers):
    def middleware(environ, start_response):
        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Request-Id", "7")], exc_info)

        result = site.app(environ, start)
        return list(result) if buffers else result

    client = site.start(middleware).client()
    client.send(upgrade_request() + HELLO)
    status, headers = client.head()
    assert (status, headers["x-request-id"]) == (101, "7")
    assert "content-length" not in headers
    assert client.read(7) == b"\x81\x05hello"


def test_a_middleware_may_replace_the_answer_of_the_application(site, path):
    def middleware(environ, start_response):
        if environ["PATH_INFO"] == path:
            list(site.app(environ, lambda status, headers, exc_info=None: None))
            start_response("502 Oops", [])
            return [b"oops"]
        return site.app(environ, start_response)

    client = site.start(middleware).client()
    for data, answer in ((upgrade_request(path), (502, b"oops")), (GET, (200, b"index"))):
        client.send(data)
        assert client.response()[::2] == answer
    gevent.idle()
    assert len(site.app.extensions["greenws"].registry) == 0


def test_a_server_that_gives_up_without_an_answer_abandons():
    service = Service(Config(), Registry(), "test")
    ours, theirs = gevent.socket.socketpair()
    with theirs:
        upgrade = StockUpgrade(ours, lambda: b"")
        upgrade.connection = Connection(service)
        assert len(service.registry) == 1
        ours.close()
        assert theirs.recv(1) == b""
    assert len(service.registry) == 0


def test_a_draining_application_takes_no_connection(site):
    @site.app.after_request
    def drain(response):
        site.app.extensions["greenws"].registry.is_draining = True
        return response

    client = site.start().client()
    client.send(upgrade_request())
    assert client.head()[0] == 101
    assert client.read(4) == b"\x88\x02\x03\xe9"
    client.send(CLOSE)
    assert client.rest() == b""
    assert site.ask(upgrade_request())[0] == 503


def test_an_interim_response_goes_out_before_the_101():
    ours, theirs = gevent.socket.socketpair()
    with ours, theirs:
        upgrade = StockUpgrade(ours, lambda: b"")
        for head in (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"):
            ours.sendall(head[:10])
            assert upgrade
            ours.sendall(head[10:])
            assert theirs.recv(100) == head
        assert not upgrade
        theirs.sendall(b"next")
        assert ours.recv(100) == b"next"


@pytest.mark.parametrize("environ", [{}, {"wsgi.input": None}, {"wsgi.input": b""}])
def test_other_servers_are_not_known(environ):
    assert find_upgrade(environ) is None
