"""What is known of a handshake by its head counts only while the application is told the same."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from greenws.config import Config
from greenws.errors import UnsupportedServer
from greenws.net.registry import Registry
from greenws.net.sender import Service
from greenws.protocol.handshake import CHECKED, check_request
from greenws.protocol.http import environ_key
from greenws.protocol.known_heads import RequestReader
from greenws.server.admission import admit
from greenws.server.environ import make_environ
from greenws.server.upgrade import Upgrade
from tests.server.conftest import ACCEPT, upgrade_request

FULL = {
    "Origin": "http://localhost",
    "Sec-WebSocket-Protocol": "chat, other",
    "Sec-WebSocket-Extensions": "permessage-deflate",
}
CHANGES = [
    ("origin", "http://evil.example", 403),
    ("host", "other.example", 403),
    ("host", "two hosts", 400),
    ("upgrade", "h2c", 426),
    ("upgrade", None, 426),
    ("connection", "close", 400),
    ("content-length", "5", 400),
    ("transfer-encoding", "chunked", 400),
    ("sec-websocket-version", "12", 426),
    ("sec-websocket-key", None, 400),
    ("sec-websocket-protocol", "one, one", 400),
    ("sec-websocket-extensions", "=", 400),
]


def ask(site, cookie):
    client = site.client()
    client.send(upgrade_request("/view", Cookie=cookie, **FULL))
    status, headers = client.head()
    client.close()
    return status, headers


@pytest.mark.parametrize(("name", "value", "status"), CHANGES)
def test_a_middleware_may_change_it(site, name, value, status):
    application, changes = site.app.wsgi_app, {}

    def middleware(environ, start_response):
        for key, changed in changes.items():
            environ.pop(key, None)
            if changed is not None:
                environ[key] = changed
        return application(environ, start_response)

    site.app.wsgi_app = middleware
    site.start()
    for cookie in ("a=1", "b=2"):
        assert ask(site, cookie)[0] == 101
    changes[environ_key(name)] = value
    assert ask(site, "c=3")[0] == status
    changes.clear()
    assert ask(site, "d=4")[0] == 101


def test_the_key_that_the_application_is_told_is_answered(site):
    application = site.app.wsgi_app
    site.app.wsgi_app = lambda environ, start_response: application(
        {**environ, "HTTP_SEC_WEBSOCKET_KEY": "AAAAAAAAAAAAAAAAAAAAAA=="}, start_response
    )
    site.start()
    for cookie in ("a=1", "b=2"):
        status, headers = ask(site, cookie)
        assert status == 101
        assert headers["sec-websocket-accept"].encode() != ACCEPT


def admitted(environ, head):
    environ = make_environ(dict(environ), head, ("127.0.0.1", 1))
    fd, peer = socket.socketpair()
    peer.close()
    upgrade = environ["greenws.upgrade"] = Upgrade(SimpleNamespace(upgrading=0), fd.detach(), head, b"", None, None)
    admission = admit(Service(Config(subprotocols=("known", "other")), Registry()), environ)
    admission.connection.abandon()
    upgrade.drop()
    return admission.connection.subprotocol


def test_what_is_known_is_not_found_out_again():
    head, _ = RequestReader().read(upgrade_request("/view", **FULL))
    assert admitted({"wsgi.url_scheme": "http"}, head) == "other"
    head.asked = head.asked._replace(subprotocols=("known",))
    assert admitted({"wsgi.url_scheme": "http"}, head) == "known"


def test_an_upgrade_that_is_not_ours_is_left_alone():
    head, _ = RequestReader().read(upgrade_request("/view", **FULL))
    environ = make_environ({"wsgi.url_scheme": "http", "greenws.upgrade": object()}, head, ("127.0.0.1", 1))
    with pytest.raises(UnsupportedServer):
        admit(Service(Config(), Registry()), environ)


def test_nothing_else_is_read_of_a_request():
    read = set()

    def get(name):
        read.add(name.lower())
        return {
            "upgrade": "websocket",
            "connection": "upgrade",
            "host": "localhost",
            "sec-websocket-version": "13",
            "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }.get(name.lower())

    check_request("GET", "HTTP/1.1", get)
    assert read == set(CHECKED)
