"""The waits that are no settings: for the next request, and for a refused peer to read why."""

from __future__ import annotations

import gevent
import pytest

from greenws.server import arrival, wsgi
from tests.server.conftest import upgrade_request

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATIENCE = 0.2
DEADLINE = 5  # seconds


@pytest.fixture
def site(site):
    return site.start()


def talk_on(client):
    while True:
        client.send(b"x")
        gevent.idle()


@pytest.mark.slow
def test_an_idle_http_connection_is_closed(site, monkeypatch):
    monkeypatch.setattr(wsgi, "KEEP_ALIVE", PATIENCE)
    client = site.client()
    client.send(GET)
    assert client.response()[2] == b"index"
    with gevent.Timeout(DEADLINE):
        assert client.rest() == b""


@pytest.mark.slow
@pytest.mark.parametrize("head", [b"GET / HTTP/3.0\r\n\r\n", upgrade_request(Host="a b")])
def test_a_refused_peer_that_talks_on_is_cut_off(site, monkeypatch, head):
    monkeypatch.setattr(arrival, "LINGER", PATIENCE)
    client = site.client()
    client.send(head)
    assert client.response()[0] in (400, 505)
    with gevent.Timeout(DEADLINE), pytest.raises(ConnectionError):
        talk_on(client)
