"""Limits for each address: 429, and whose address it is behind a proxy."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from greenws import Endpoint, GreenWS
from greenws.flaskext.testing import UpgradeRefused


def make_app(**options):
    app = Flask("site")
    ws = GreenWS(app, **options)
    add_routes(ws)
    return app


def add_routes(ws):
    for path, lean in (("/full", False), ("/lean", True)):

        @ws.route(path, endpoint=path[1:], request_context=not lean)
        class Tell(Endpoint):
            def on_open(self, conn):
                conn.send(f"{conn.remote_addr} {request.remote_addr if request else ''}".strip())


@pytest.fixture(params=["/full", "/lean"])
def path(request):
    return request.param


def client_of(app):
    return app.extensions["greenws"].test_client()


def test_one_connection_too_many_of_an_address_is_refused_with_429(path):
    client = client_of(make_app(max_address_connections=2))
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(client.connect(path, remote_addr="192.0.2.1"))
        with pytest.raises(UpgradeRefused) as refusal, client.connect(path, remote_addr="192.0.2.1"):
            pass
        assert refusal.value.status == 429
        assert int(refusal.value.response.headers["Retry-After"]) > 0
        stack.enter_context(client.connect(path, remote_addr="192.0.2.2"))
    with client.connect(path, remote_addr="192.0.2.1"):
        pass


def test_an_address_that_connects_too_fast_is_refused_with_429(path):
    client = client_of(make_app(max_address_rate=0.1))
    with client.connect(path, remote_addr="2001:db8::1"):
        pass
    with pytest.raises(UpgradeRefused) as refusal, client.connect(path, remote_addr="2001:db8::2"):
        pass
    assert refusal.value.status == 429
    assert 1 <= int(refusal.value.response.headers["Retry-After"]) <= 10
    with client.connect(path, remote_addr="2001:db8:0:1::1"):
        pass


def test_who_is_refused_by_its_origin_has_used_its_turn_too():
    client = client_of(make_app(max_address_rate=0.1))
    statuses = []
    for _ in range(2):
        with pytest.raises(UpgradeRefused) as refusal, client.connect("/full", origin="https://evil.example"):
            pass
        statuses.append(refusal.value.status)
    assert statuses == [403, 429]


def test_pages_are_served_to_an_address_that_is_refused():
    app = make_app(max_address_rate=0.1)
    app.add_url_rule("/health", view_func=lambda: "ok", endpoint="health")
    client = client_of(app)
    with client.connect("/full"):
        pass
    with pytest.raises(UpgradeRefused), client.connect("/full"):
        pass
    assert app.test_client().get("/health").text == "ok"


FORWARDED = {"X-Forwarded-For": "1.1.1.1, 2.2.2.2"}


def test_without_a_trusted_proxy_the_peers_own_address_counts(path):
    with client_of(make_app()).connect(path, remote_addr="192.0.2.1", headers=FORWARDED) as peer:
        assert set(peer.receive(timeout=5).split()) == {"192.0.2.1"}


@pytest.mark.parametrize("is_first", [True, False], ids=["proxy-fix-first", "greenws-first"])
@pytest.mark.parametrize(("hops", "address"), [(1, "2.2.2.2"), (2, "1.1.1.1"), (3, "192.0.2.1")])
def test_behind_a_trusted_proxy_the_peer_is_counted_from_the_right(path, hops, address, is_first):
    app = Flask("site")
    if is_first:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops)
    add_routes(GreenWS(app))
    if not is_first:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops)
    with client_of(app).connect(path, remote_addr="192.0.2.1", headers=FORWARDED) as peer:
        assert set(peer.receive(timeout=5).split()) == {address}


def test_limits_count_the_address_that_the_proxy_names(path):
    app = make_app(max_address_connections=1)
    app.wsgi_app = ProxyFix(app.wsgi_app)
    client = client_of(app)
    with client.connect(path, headers={"X-Forwarded-For": "9.9.9.9, 2.2.2.2"}):
        with pytest.raises(UpgradeRefused) as refusal, client.connect(path, headers={"X-Forwarded-For": "2.2.2.2"}):
            pass
        assert refusal.value.status == 429
        with client.connect(path, headers={"X-Forwarded-For": "2.2.2.3"}):
            pass
