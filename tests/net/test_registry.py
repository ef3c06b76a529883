"""Who is connected: counted, limited, and sent away in good order."""

from __future__ import annotations

import resource

import gevent
import pytest
from gevent.event import Event

from greenws.net.addresses import Addresses
from greenws.net.connection import Connection
from greenws.net.registry import RESERVE, Registry, default_limit


@pytest.fixture
def net(net):
    """Each test's connections are in a registry of their own; ``net.registry`` is that of both sides otherwise."""
    yield net
    assert len(net.registry) == 0, "who has ended is in the registry still"


def pairs(net, count, registry):
    """Connections whose server's side is in ``registry``, and the clients."""
    others, net.registry = net.registry, registry
    service = net.service()
    net.registry = others
    made = [net.pair(service) for _ in range(count)]
    net.registry = others
    return [server for server, _ in made], [client for _, client in made]


@pytest.fixture(autouse=True)
def _clean(net):
    yield
    net.end()


def test_it_counts_and_iterates(net):
    registry = Registry(10)
    servers, clients = pairs(net, 5, registry)
    assert len(registry) == 5
    assert set(registry) == set(servers)
    clients[0].close()
    assert servers[0].wait_closed(5)
    assert set(registry) == set(servers[1:])


def test_connections_may_come_and_go_while_it_is_iterated(net):
    registry = Registry(100)
    servers, clients = pairs(net, 5, registry)
    seen = []
    for conn in registry:
        seen.append(conn)
        clients[servers.index(conn)].close()
        assert conn.wait_closed(5)
        pairs(net, 1, registry)
    assert set(seen) == set(servers)
    assert len(registry) == 5


def test_it_is_full_at_its_limit(net):
    registry = Registry(3)
    assert not registry.is_full
    servers, clients = pairs(net, 3, registry)
    assert registry.is_full
    clients[0].close()
    assert servers[0].wait_closed(5)
    assert not registry.is_full


def test_drain_closes_all_with_the_code_and_waits_for_them(net):
    registry = Registry(10)
    servers, clients = pairs(net, 5, registry)
    assert registry.drain(5, 1012, "restart") is True
    assert registry.is_draining
    assert all(server.fileno() == -1 for server in servers)
    for client in clients:
        assert client.wait_closed(5)
        assert (client.close_code, client.close_reason) == (1012, "restart")


def test_drain_of_nobody_is_done_at_once():
    assert Registry(1).drain(0) is True


def test_what_is_queued_leaves_before_the_close(net):
    registry = Registry(10)
    servers, clients = pairs(net, 1, registry)
    message = "x" * 900_000  # more than the kernel takes at once
    servers[0].send(message)
    draining = gevent.spawn(registry.drain, 5)
    assert clients[0].receive(5) == message
    assert draining.get(timeout=5) is True


def test_drain_does_not_wait_longer_than_its_timeout(net):
    registry = Registry(10)
    others, net.registry = net.registry, registry
    service = net.service(close_timeout=25)
    net.registry = others
    server, _peer = net.bare(service)
    assert registry.drain(0.01) is False
    assert server.closed


def test_drain_spreads_the_closes_over_time(net):
    registry = Registry(10, drain_rate=20)
    servers, clients = pairs(net, 5, registry)
    draining = gevent.spawn(registry.drain, 5)
    assert [bool(server.closed) for server in servers].count(True) == 0
    gevent.sleep(0.01)
    assert [bool(server.closed) for server in servers].count(True) < 5
    assert registry.is_draining
    assert draining.get(timeout=5) is True
    assert {client.close_code for client in clients} == {1001}


def test_drain_takes_half_of_its_time_at_most_for_telling(net):
    registry = Registry(10, drain_rate=1)
    _servers, clients = pairs(net, 5, registry)
    assert registry.drain(0.4) is True
    for client in clients:
        assert client.wait_closed(5)
        assert client.close_code == 1001


def test_drain_waits_for_on_close(net):
    registry, left, go_on = Registry(10), [], Event()
    others, net.registry = net.registry, registry
    service = net.service(
        on_message=lambda *args: None, on_close=lambda conn, *args: (go_on.wait(5), left.append(conn))
    )
    net.registry = others
    made = [net.pair(service) for _ in range(3)]
    for server, _ in made:
        server.accept()
    draining = gevent.spawn(registry.drain, 5)
    assert not draining.join(0.05)
    assert not draining.ready()
    assert len(registry) == 0
    go_on.set()
    assert draining.get(timeout=5) is True
    assert len(left) == 3


def test_drain_does_not_wait_longer_for_a_handler_than_its_timeout(net):
    registry, go_on = Registry(10), Event()
    others, net.registry = net.registry, registry
    service = net.service(on_message=lambda *args: None, on_close=lambda *args: go_on.wait(5))
    net.registry = others
    server, _client = net.pair(service)
    server.accept()
    assert registry.drain(0.1) is True
    assert not server.is_over
    go_on.set()
    gevent.idle()
    assert server.is_over


def test_drain_waits_for_views_but_not_for_the_one_that_asks():
    registry, go_on = Registry(10), Event()
    views = [gevent.spawn(go_on.wait, 5), gevent.spawn(lambda: registry.drain(5))]
    registry.views.update(dict.fromkeys(views))
    gevent.idle()
    assert not views[1].ready()
    del registry.views[views[0]]
    assert views[1].get(timeout=1) is True
    go_on.set()
    gevent.joinall(views)


def test_who_drains_at_the_same_time_waits_for_the_same(net):
    registry = Registry(10, drain_rate=20)
    _servers, clients = pairs(net, 3, registry)
    first, second = gevent.spawn(registry.drain, 5, 1012), gevent.spawn(registry.drain, 5, 1001)
    gevent.idle()
    assert not second.ready()
    assert first.get(timeout=5) is second.get(timeout=5) is True
    for client in clients:
        assert client.wait_closed(5)
        assert client.close_code == 1012


def test_at_the_end_upgrades_are_refused_and_at_a_restart_taken():
    registry = Registry(1)
    assert not registry.is_refusing
    registry.take_no_more()
    assert registry.is_refusing
    registry.take_no_more(1012)
    assert not registry.is_refusing
    registry.take_again()
    assert not registry.is_draining


def test_it_counts_the_connections_of_each_address(net):
    registry = Registry(10, addresses=Addresses(max_connections=2))
    others, net.registry = net.registry, registry
    service = net.service()
    net.registry = others
    made = [Connection(service, "/", "192.0.2.1") for _ in range(2)]
    assert registry.addresses.wait("192.0.2.1") > 0
    for conn in made:
        conn.abandon()
    assert registry.addresses.wait("192.0.2.1") == 0
    assert len(registry) == 0


def test_the_default_limit_leaves_descriptors_for_the_rest(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 4096))
    assert default_limit() == Registry().limit == 1024 - RESERVE
    monkeypatch.setattr(resource, "getrlimit", lambda what: (100, 100))
    assert default_limit() == 1
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert default_limit() >= 100_000
