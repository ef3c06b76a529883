"""``greenws.reconnect``: one connection after the other, with delays by a fake clock."""

from __future__ import annotations

import gc
from itertools import pairwise

import gevent
import pytest

import greenws
from greenws import ConfigError, ConnectionClosed, HandshakeError
from greenws.client.backoff import Backoff
from greenws.client.breaker import Breaker
from greenws.client.connect import Dialer
from greenws.client.reconnect import STABLE_AFTER, Reconnecting, reconnect

BYE = b"\x88\x02\x03\xe8"


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert len(self.slept) < 1000
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def reconnecting(url, clock, *, breaker=None, random=lambda: 1.0, **options):
    dialer = Dialer(url, **options)
    dialer.service.ends_quietly = True
    return iter(Reconnecting(dialer, Backoff(5, 60, random), breaker or Breaker(), clock, clock.sleep))


def closing(code=None):
    """A script that accepts, says its number, and closes with a code, or without a word."""
    payload = b"" if code is None else b"\x88\x02" + code.to_bytes(2, "big")
    return lambda caller: (caller.accept(rest=b"\x81\x02hi" + payload), caller.frame() if payload else None)


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011, 4000])
def test_it_connects_again_whatever_ended_the_connection(scripted, clock, code):
    server = scripted(closing(None if code in (None, 1006) else code))
    codes = []
    for conn in reconnecting(server.url(), clock):
        assert list(conn) == ["hi"]
        codes.append(conn.close_code)
        if len(codes) == 3:
            break
    assert set(codes) == {code or 1006}
    assert clock.slept == [5, 5]


def test_our_close_ends_the_loop(scripted, clock):
    server = scripted(lambda caller: (caller.accept(), caller.frame(), caller.send(BYE)))
    for conn in reconnecting(server.url(), clock):
        conn.close()
    assert server.callers == 1
    assert clock.slept == []


def test_our_close_with_another_code_does_not(scripted, clock):
    server = scripted(lambda caller: (caller.accept(), caller.send(b"\x88\x02" + caller.frame()[1])))
    for number, conn in enumerate(reconnecting(server.url(), clock)):
        conn.close(1000 if number == 2 else 4000)
    assert server.callers == 3


def test_a_body_that_ends_closes_its_connection_and_gets_the_next(scripted, clock):
    frames = []
    server = scripted(lambda caller: (caller.accept(), frames.append(caller.frame()), caller.send(BYE)))
    found = []
    for conn in reconnecting(server.url(), clock):
        found.append(conn)
        if len(found) == 2:
            break
        assert not conn.closed
    assert found[0].wait_closed(0)
    assert found[1].wait_closed(5)
    assert frames[0] == (8, b"\x03\xe8")
    found.clear()


def test_a_body_that_raises_closes_its_connection(scripted, clock):
    server = scripted(lambda caller: (caller.accept(), caller.frame(), caller.send(BYE)))
    found = []

    def fail():
        for conn in reconnecting(server.url(), clock):
            found.append(conn)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    gc.collect()
    assert found.pop().closed


def test_with_on_message_the_connection_goes_on_behind_the_body(scripted, clock):
    came = []
    server = scripted(closing(1001))
    for conn in reconnecting(server.url(), clock, on_message=lambda conn, message: came.append(message)):
        if server.callers == 3:
            conn.close()
    assert came[:2] == ["hi", "hi"]


def test_a_handler_that_fails_does_not_end_the_loop(scripted, clock, caplog):
    def fail(conn, message):
        raise RuntimeError("as it should")

    server = scripted(closing(1001))
    for conn in reconnecting(server.url(), clock, on_message=fail):
        if server.callers == 2:
            conn.close()
    assert server.callers == 2
    assert "as it should" in caplog.text
    caplog.clear()  # a record holds the traceback, and so the connection


def test_receive_still_says_that_the_connection_has_ended(scripted, clock):
    server = scripted(closing(4000))
    for conn in reconnecting(server.url(), clock):
        assert conn.receive(5) == "hi"
        with pytest.raises(ConnectionClosed):
            conn.receive(5)
        break


def test_a_connection_that_lasts_makes_the_delays_begin_anew(scripted, clock):
    server = scripted(closing(1001))
    for number, conn in enumerate(reconnecting(server.url(), clock)):
        list(conn)
        if number == 2:
            clock.now += STABLE_AFTER
        if number == 4:
            break
    assert clock.slept == [5, 5, 5, 5]


def test_p9_a_server_that_accepts_and_closes_with_1013_a_hundred_times(scripted, clock):
    server = scripted(closing(1013))
    begin = clock.now
    for number, conn in enumerate(reconnecting(server.url(), clock, random=lambda: 0.01)):
        list(conn)
        assert number <= clock.now - begin, "on average more than one attempt a second"
        if number == 100:
            break


def test_a_restart_is_waited_for(scripted, clock):
    server = scripted(closing(1012))
    for number, conn in enumerate(reconnecting(server.url(), clock, random=lambda: 0.5)):
        list(conn)
        if number == 1:
            break
    assert clock.slept == [11.5]


def test_a_server_that_is_down_is_asked_again_until_it_is_there(scripted, clock):
    def serve(caller):
        if server.callers < 4:
            caller.head()
            caller.send(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")
        else:
            caller.accept()

    server = scripted(serve)
    for _ in reconnecting(server.url(), clock):
        break
    assert clock.slept == [5 + 7, 5 + 7, 10 + 7]


def test_a_server_that_does_not_listen(clock):
    with pytest.raises(AssertionError):  # the clock's patience ends
        next(reconnecting("ws://127.0.0.1:1/", clock, breaker=Breaker(10_000)))
    assert clock.slept[:6] == [5, 5, 10, 20, 40, 60]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 200])
def test_a_refusal_for_good_is_raised(scripted, clock, status):
    server = scripted(lambda caller: (caller.head(), caller.send(b"HTTP/1.1 %d X\r\n\r\n" % status)))
    with pytest.raises(HandshakeError) as caught:
        next(reconnecting(server.url(), clock))
    assert caught.value.status == status
    assert server.callers == 1
    assert clock.slept == []


def test_so_many_failures_open_the_breaker_for_all_of_one_server(scripted, clock):
    breaker = Breaker(3, 1000)
    moments: list[float] = []
    server = scripted(lambda caller: (caller.head(), moments.append(clock.now), caller.send(b"HTTP/1.1 503 X\r\n\r\n")))
    for _ in range(2):
        with pytest.raises(TimeoutError):
            list(reconnecting(server.url(), _Impatient(clock, moments, len(moments) + 5), breaker=breaker))
    assert all(after - before >= 1000 for before, after in pairwise(moments[2:]))


class _Impatient:
    """A clock for a loop that would never end."""

    def __init__(self, clock, moments, most):
        self._clock, self._moments, self._most = clock, moments, most

    def __call__(self):
        return self._clock.now

    def sleep(self, seconds):
        if len(self._moments) >= self._most:
            raise TimeoutError
        self._clock.now += seconds


def test_those_who_connect_to_one_server_share_a_breaker():
    one, two = reconnect("ws://127.0.0.1:1/a"), reconnect("ws://127.0.0.1:1/b")
    other = reconnect("ws://127.0.0.1:2/")
    breakers = [iterator.gi_frame.f_locals["self"]._breaker for iterator in (one, two, other)]
    assert breakers[0] is breakers[1]
    assert breakers[0] is not breakers[2]


def test_what_cannot_work_is_said_at_once():
    with pytest.raises(ConfigError):
        greenws.reconnect("http://127.0.0.1/")


def test_killed_while_it_waits_it_leaves_nothing():
    greenlet = gevent.spawn(lambda: list(reconnect("ws://127.0.0.1:1/")))
    gevent.sleep(0.05)
    greenlet.kill()
    assert greenlet.dead
