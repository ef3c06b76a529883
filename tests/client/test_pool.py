"""A pool against real servers: what it lends, what it never lends, and what it leaves behind."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.socket import wait_read

from greenws import Connection, ConnectionClosed
from greenws.client import keeper
from greenws.client.pool import ConnectionPool
from greenws.errors import ConfigError, PoolTimeout, StateError
from tests.client.upstreams import Puppet, Upstream, echo, make_certificate, server_context, until, why_there_is_none


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, ssl.SSLContext]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


# ---- leases


def test_a_lease_is_a_connection_and_the_next_lease_is_the_same_one(pool: ConnectionPool) -> None:
    with pool.lease() as first:
        echo(first)
    with pool.lease() as second:
        echo(second)
    assert second is first
    stats = pool.stats
    assert (stats.opened, stats.leases, stats.reused, stats.waited) == (1, 2, 1, 1)
    assert stats.connect_p99 > 0


def test_leases_at_one_time_are_different_connections(pool: ConnectionPool) -> None:
    leases = [pool.lease() for _ in range(5)]
    assert len({lease.conn for lease in leases}) == 5
    for lease in leases:
        lease.release()
    assert (pool.stats.idle, pool.stats.leased) == (5, 0)


def test_a_lease_that_is_given_back_twice_is_given_back_once(pool: ConnectionPool) -> None:
    lease = pool.lease()
    lease.release()
    with pool.lease() as conn:
        lease.release()  # somebody else's by now
        assert pool.stats.leased == 1
        echo(conn)
    assert pool.stats.idle == 1


def test_a_connection_is_not_lent_again_after_an_exception(pool: ConnectionPool) -> None:
    def fail(conn: Connection) -> None:
        conn.send("an answer to this is under way")
        raise KeyError("of the user")

    with pytest.raises(KeyError), pool.lease() as conn:
        fail(conn)
    assert conn.closed
    with pool.lease() as another:
        echo(another)
    assert another is not conn


def test_a_connection_that_holds_an_unread_answer_is_not_lent(pool: ConnectionPool) -> None:
    with pool.lease() as conn:
        conn.send("one")
        until(lambda: not conn.is_quiet)
    assert conn.closed
    with pool.lease() as another:
        echo(another)


def test_an_answer_that_comes_after_the_lease_goes_to_nobody(pool: ConnectionPool, upstream: Upstream) -> None:
    with pool.lease() as conn:
        pass
    upstream.conns[0].send("late")
    until(lambda: not conn.is_quiet)
    with pool.lease() as another:
        echo(another)
    assert another is not conn


def test_a_user_may_close_the_connection(pool: ConnectionPool) -> None:
    with pool.lease() as conn:
        conn.close()
    with pool.lease() as another:
        echo(another)
    assert pool.stats.lost == 0


def test_who_waits_gets_what_another_gives_back(upstream: Upstream) -> None:
    with ConnectionPool(upstream.url, max_size=1) as pool:
        lease = pool.lease()
        order: list[int] = []

        def wait(number: int) -> None:
            with pool.lease():
                order.append(number)

        waiting = [gevent.spawn(wait, number) for number in range(5)]
        gevent.idle()
        assert pool.stats.waiting == 5
        lease.release()
        gevent.joinall(waiting, raise_error=True)
        assert order == [0, 1, 2, 3, 4]
        assert pool.stats.opened == 1


def test_a_timeout_says_what_the_pool_looked_like(upstream: Upstream) -> None:
    with ConnectionPool(upstream.url, max_size=2) as pool, pool.lease(), pool.lease():
        with pytest.raises(
            PoolTimeout, match=r"within 0\.01 s: of at most 2 there are 2 leased, 0 idle and 0 opening"
        ) as error:
            pool.lease(timeout=0.01)
        assert isinstance(error.value, TimeoutError)
        assert error.value.stats.waiting == 1
        assert pool.stats.waiting == 0


def test_a_timeout_says_why_there_is_no_connection() -> None:
    with ConnectionPool("ws://127.0.0.1:1/") as pool:
        assert "refused" in why_there_is_none(pool)


def test_a_lease_without_waiting(pool: ConnectionPool) -> None:
    with pytest.raises(PoolTimeout):
        pool.lease(timeout=0)
    until(lambda: pool.stats.idle)
    with pool.lease(timeout=0) as conn:
        echo(conn)


# ---- what died while it was idle


def test_what_died_is_not_lent_even_before_its_end_was_seen(pool: ConnectionPool, upstream: Upstream) -> None:
    with pool.lease() as conn:
        pass
    upstream.conns[0].abort()
    wait_for_bytes(conn)
    assert not conn.closed  # we could not know yet
    with pool.lease() as another:
        echo(another)
    assert another is not conn
    assert pool.stats.lost == 1


def wait_for_bytes(conn: Connection) -> None:
    """Until the kernel has something for a connection, without letting the hub look at it."""
    import select

    assert select.select([conn.fileno()], [], [], 5)[0]


def test_what_was_closed_while_idle_is_not_lent(pool: ConnectionPool, upstream: Upstream) -> None:
    with pool.lease() as conn:
        pass
    upstream.conns[0].close(1001)
    wait_for_bytes(conn)
    with pool.lease() as another:
        echo(another)
    assert another is not conn


def test_what_stopped_answering_is_not_lent(
    puppet: Puppet, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "CHECK_TIMEOUT", 0.05)
    with ConnectionPool([puppet.url, upstream.url], check_after=0, ping_interval=None, close_timeout=0.1) as pool:
        pool.warm_up(2)
        for _ in range(4):
            with pool.lease() as conn:
                echo(conn)
        assert pool.stats.lost >= 1


def test_all_that_died_together_is_found_out_by_one_question(puppet: Puppet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "CHECK_TIMEOUT", 0.05)
    with ConnectionPool(puppet.url, check_after=0, ping_interval=None, close_timeout=0.1) as pool:
        pool.warm_up(20)
        with pytest.raises(PoolTimeout):
            pool.lease(timeout=0)
        assert pool.stats.idle == 0


def test_idle_connections_that_end_are_replaced(upstream: Upstream) -> None:
    with ConnectionPool(upstream.url, min_idle=3) as pool:
        pool.warm_up()
        for conn in tuple(upstream.conns):
            conn.close(1012)
        until(lambda: pool.stats.lost == 3)
        until(lambda: pool.stats.idle == 3)
        assert pool.stats.opened == 6


def test_a_message_sent_on_a_dying_connection_is_an_error_not_silence(pool: ConnectionPool, upstream: Upstream) -> None:
    with pytest.raises(ConnectionClosed), pool.lease() as conn:  # noqa: PT012
        upstream.conns[0].abort()
        conn.send("lost")
        conn.receive(timeout=5)
    assert pool.stats.size == 0


# ---- on_open


def test_each_connection_is_prepared_before_it_is_lent(upstream: Upstream) -> None:
    upstream.greeting = "welcome"
    with ConnectionPool(upstream.url, on_open=lambda conn: conn.receive(timeout=5)) as pool, pool.lease() as conn:
        echo(conn)


def test_what_cannot_be_prepared_is_not_lent(upstream: Upstream) -> None:
    def refuse(conn: Connection) -> None:
        raise ValueError("wrong password")

    with ConnectionPool(upstream.url, on_open=refuse) as pool:
        assert "ValueError: wrong password" in why_there_is_none(pool)


@pytest.mark.slow
def test_a_greeting_that_nobody_receives_does_not_make_a_storm(upstream: Upstream) -> None:
    upstream.greeting = "welcome"
    with ConnectionPool(upstream.url) as pool, pytest.raises(PoolTimeout, match="on_open can receive a greeting"):
        pool.lease(timeout=1)
    assert upstream.handshakes <= 20


# ---- kills and timeouts


def test_a_greenlet_killed_while_it_waits_leaves_nothing(upstream: Upstream) -> None:
    with ConnectionPool(upstream.url, max_size=1) as pool:
        with pool.lease():
            waiting = gevent.spawn(pool.lease)
            gevent.idle()
            assert pool.stats.waiting == 1
            waiting.kill()
            assert pool.stats.waiting == 0
        assert (pool.stats.idle, pool.stats.leased) == (1, 0)


def test_a_greenlet_killed_in_the_moment_it_was_served_hands_it_on(upstream: Upstream) -> None:
    with ConnectionPool(upstream.url, max_size=1) as pool:
        lease = pool.lease()
        first = gevent.spawn(pool.lease)
        second = gevent.spawn(pool.lease)
        gevent.idle()
        first.kill(block=False)  # comes in the next turn: by then it has been served
        lease.release()
        second.get().release()
        assert (pool.stats.idle, pool.stats.leased) == (1, 0)


def test_a_greenlet_that_times_out_in_a_lease_loses_its_connection(pool: ConnectionPool) -> None:
    pool.warm_up(1)
    with gevent.Timeout(0.01, False), pool.lease() as conn:
        conn.receive()
    assert conn.closed
    assert pool.stats.leased == 0


def test_a_greenlet_killed_while_its_connection_is_asked_leaves_nothing(puppet: Puppet) -> None:
    with ConnectionPool(puppet.url, check_after=0, ping_interval=None, close_timeout=0.1) as pool:
        pool.warm_up(1)
        asking = gevent.spawn(pool.lease)
        gevent.idle()
        assert pool.stats.leased == 1
        asking.kill()
        assert pool.stats.size == 0


def test_a_killed_greenlet_does_not_take_the_opening_connection_along(upstream: Upstream) -> None:
    gate = Event()
    upstream.before = gate.wait
    with ConnectionPool(upstream.url) as pool:
        waiting = gevent.spawn(pool.lease)
        until(lambda: upstream.handshakes)
        waiting.kill()
        gate.set()
        until(lambda: pool.stats.idle == 1)


def test_those_who_wait_outlast_a_failure_to_connect(upstream: Upstream) -> None:
    port = upstream.server.address[1]
    upstream.stop()
    with ConnectionPool(upstream.url) as pool:
        waiting = [gevent.spawn(pool.lease, 20) for _ in range(3)]
        until(lambda: pool.stats.failed)
        upstream.start(port)
        for greenlet in waiting:
            with greenlet.get() as conn:
                echo(conn)


def test_a_server_that_accepts_and_says_nothing_is_given_up_after_a_while() -> None:
    puppet = Puppet(upgrades=False)
    try:
        with ConnectionPool(puppet.url, connect_timeout=0.05) as pool:
            assert "within 0.05 s" in why_there_is_none(pool)
    finally:
        puppet.stop()


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
    return conn.closed or bool(__import__("select").select([conn.socket.fileno()], [], [], 0)[0])


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
