"""Who is connected: counted, limited, and sent away in good order."""

from __future__ import annotations

import resource

import gevent
import pytest

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


def test_the_default_limit_leaves_descriptors_for_the_rest(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 4096))
    assert default_limit() == Registry().limit == 1024 - RESERVE
    monkeypatch.setattr(resource, "getrlimit", lambda what: (100, 100))
    assert default_limit() == 1
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert default_limit() >= 100_000
