"""A pool as a whole: what it connects to, what cannot work, and its end."""

from __future__ import annotations

import select
import ssl
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.socket import wait_read

from greenws import ConnectionClosed
from greenws.client.pool import ConnectionPool
from greenws.errors import ConfigError, PoolTimeout, StateError
from tests.client.upstreams import Puppet, Upstream, echo, make_certificate, server_context, until


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, ssl.SSLContext]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


# ---- several endpoints


def test_leases_are_spread_over_endpoints(upstream: Upstream) -> None:
    other = Upstream()
    try:
        with ConnectionPool([upstream.url, other.url]) as pool:
            leases = [pool.lease() for _ in range(6)]
            assert len(upstream.conns) == len(other.conns) == 3
            for lease in leases:
                lease.release()
    finally:
        other.stop()


def test_an_endpoint_that_is_down_is_no_obstacle(upstream: Upstream) -> None:
    with ConnectionPool(["ws://127.0.0.1:1/", upstream.url]) as pool:
        leases = [pool.lease() for _ in range(6)]
        assert len(upstream.conns) == 6
        for lease in leases:
            lease.release()


# ---- the end


def test_a_closed_pool_lends_nothing(pool: ConnectionPool) -> None:
    pool.close()
    pool.close()
    assert pool.closed
    with pytest.raises(StateError, match="closed"):
        pool.lease()
    with pytest.raises(StateError, match="closed"):
        pool.warm_up(1)


def test_who_waits_when_the_pool_is_closed_is_told(upstream: Upstream) -> None:
    with ConnectionPool(upstream.url, max_size=1) as pool, pool.lease():
        waiting = gevent.spawn(pool.lease)
        gevent.idle()
        pool.close()
        with pytest.raises(StateError, match="closed"):
            waiting.get()


def test_what_is_leased_when_the_pool_is_closed_works_until_it_is_given_back(pool: ConnectionPool) -> None:
    with pool.lease() as conn:
        pool.close()
        echo(conn)
    assert conn.closed


def test_a_drain_waits_for_leases(pool: ConnectionPool) -> None:
    lease = pool.lease()
    draining = gevent.spawn(pool.drain)
    gevent.idle()
    echo(lease.conn)
    assert not draining.ready()
    lease.release()
    assert draining.get() is True


def test_a_drain_whose_time_is_up_closes_what_is_leased(pool: ConnectionPool) -> None:
    with pool.lease() as conn:
        assert pool.drain(timeout=0.01) is False
        with pytest.raises(ConnectionClosed):
            conn.receive(timeout=5)


def test_a_pool_that_is_closed_while_it_opens_leaves_nothing(upstream: Upstream) -> None:
    gate = Event()
    upstream.before = gate.wait
    with ConnectionPool(upstream.url) as pool:
        warming = gevent.spawn(pool.warm_up, 5)
        until(lambda: upstream.handshakes == 5)
    gate.set()
    until(lambda: len(upstream.conns) == 5)
    assert warming.get().ready == 0
    assert pool.stats.size == 0


def test_a_pool_that_is_closed_before_its_greenlets_have_begun_leaves_nothing(upstream: Upstream) -> None:
    pool = ConnectionPool(upstream.url)
    with pytest.raises(PoolTimeout):
        pool.lease(timeout=0)
    pool.close()
    assert pool.drain(timeout=5)
    assert pool.stats.size == 0


# ---- sockets and TLS


def test_tcp_sockets_are_lent_like_websockets() -> None:
    puppet = Puppet(upgrades=False)
    try:
        with ConnectionPool(f"tcp://127.0.0.1:{puppet.port}", check_after=0) as pool:
            with pool.lease() as conn:
                conn.socket.sendall(b"question")
                puppet.came.wait()
                assert puppet.peers[0].recv(100) == b"question"
            with pool.lease() as same:
                assert same is conn
            puppet.peers[0].sendall(b"nobody asked")
            wait_read(conn.socket.fileno())
            with pool.lease() as another:
                assert another is not conn
                until(lambda: len(puppet.peers) == 2)
            puppet.peers[1].close()
            wait_read(another.socket.fileno())
            with pool.lease() as third:
                assert third is not another
        assert third.closed
    finally:
        puppet.stop()


def test_tls_sockets_are_lent_like_websockets(certificate: tuple[str, str, ssl.SSLContext]) -> None:
    certfile, keyfile, context = certificate
    puppet = Puppet(upgrades=False, ssl_context=server_context(certfile, keyfile))
    try:
        with ConnectionPool(f"tls://localhost:{puppet.port}", ssl=context) as pool:
            with pool.lease() as conn:
                puppet.came.wait()
            wait_read(conn.socket.fileno())  # session tickets, which are no bytes for us
            with pool.lease() as same:
                assert same is conn
                same.socket.sendall(b"question")
                assert puppet.peers[0].recv(100) == b"question"
            puppet.peers[0].close()
            until(lambda: _has_ended(conn))
            with pool.lease() as another:
                assert another is not conn
    finally:
        puppet.stop()


def _has_ended(conn: Any) -> bool:
    return conn.closed or bool(select.select([conn.socket.fileno()], [], [], 0)[0])


def test_secure_websockets_are_lent(certificate: tuple[str, str, ssl.SSLContext]) -> None:
    certfile, keyfile, context = certificate
    upstream = Upstream(certfile=certfile, keyfile=keyfile)
    try:
        with ConnectionPool(upstream.url, ssl=context) as pool:
            assert pool.warm_up(5).is_complete
            with pool.lease(timeout=0) as conn:
                echo(conn)
    finally:
        upstream.stop()


@pytest.mark.parametrize(
    ("urls", "options"),
    [
        ([], {}),
        (["ws://a/", "ws://a/"], {}),
        ("http://a/", {}),
        ("tcp://a", {}),
        ("tcp://a:1/path", {}),
        ("tcp://a:1", {"ssl": ssl.create_default_context()}),
        ("tcp://a:1", {"subprotocols": ["x"]}),
        ("ws://a/", {"max_size": 0}),
        ("ws://a/", {"unknown": 1}),
    ],
)
def test_a_pool_that_cannot_work_is_refused_when_it_is_made(urls: Any, options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        ConnectionPool(urls, **options)
