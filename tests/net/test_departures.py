"""Those who stay do not wait for those who go, however many go at once."""

from __future__ import annotations

import select

import gevent
import pytest
from gevent.event import Event

from greenws.net import reactor

CROWD = 300
AT_ONCE = 32  # looked at in the turn that hears of them
FEW = 16  # and later, between two looks at the clock

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="without epoll gevent's loop says who is first")


@pytest.fixture
def crowd(net, monkeypatch):
    """Peers that have all gone, of which the server has not heard yet. Their codes come into the list as they end."""
    monkeypatch.setattr(reactor, "LET_OUT", 0)
    closed = []
    service = net.service(lambda conn, message: None, on_close=lambda conn, code, reason: closed.append(code))
    pairs = [net.bare(service) for _ in range(CROWD)]
    gevent.sleep(0.01)
    for _, peer in pairs:
        peer.close()
    return closed


def test_a_message_waits_for_a_few_of_those_who_go(net, crowd):
    came = Event()
    _, client = net.pair(net.service(lambda conn, message: came.set()))
    client.send("hello")
    assert came.wait(5)
    assert len(crowd) <= 4 * AT_ONCE


def test_all_of_them_end(crowd):
    with gevent.Timeout(5):
        while len(crowd) < CROWD:
            gevent.sleep(1e-6)
    gevent.sleep(0.01)
    assert crowd == [1006] * CROWD


def test_timers_run_between(crowd):
    most, before = 0, 0
    with gevent.Timeout(5):
        while len(crowd) < CROWD:
            gevent.sleep(1e-6)
            most, before = max(most, len(crowd) - before), len(crowd)
    assert 0 < most <= 4 * AT_ONCE


def test_who_is_ended_meanwhile_ends_once(net, monkeypatch):
    monkeypatch.setattr(reactor, "LET_OUT", 0)
    ends = []
    service = net.service(lambda conn, message: None, on_close=lambda conn, code, reason: ends.append((id(conn), code)))
    pairs = [net.bare(service) for _ in range(4 * AT_ONCE)]
    gevent.sleep(0.01)
    for _, peer in pairs:
        peer.close()
    gevent.sleep(1e-6)
    for conn, _ in pairs:
        conn.abort()
    with gevent.Timeout(5):
        while len(ends) < len(pairs):
            gevent.sleep(1e-6)
    gevent.sleep(0.01)
    assert sorted(ends) == sorted((id(conn), 1006) for conn, _ in pairs)


def test_what_they_said_before_is_heard(net, monkeypatch):
    monkeypatch.setattr(reactor, "LET_OUT", 0)
    heard = []
    service = net.service(lambda conn, message: heard.append(message))
    pairs = [net.bare(service) for _ in range(CROWD)]
    gevent.sleep(0.01)
    for number, (_, peer) in enumerate(pairs):
        peer.send(1, str(number).encode())
        peer.close()
    with gevent.Timeout(5):
        while len(heard) < CROWD:
            gevent.sleep(1e-6)
    assert sorted(map(int, heard)) == list(range(CROWD))
