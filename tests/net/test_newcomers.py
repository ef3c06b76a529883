"""Who has just connected does not stand before those who are connected, however many they are."""

from __future__ import annotations

import select
from itertools import pairwise

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from greenws.net import pool, reactor
from greenws.net.pool import get_upgrade_pool
from greenws.net.reactor import Job, Watched, get_reactor

CROWD = 200
FEW = 16  # newcomers between two looks at the clock

on_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="without epoll gevent's loop says who is first")


class Newcomer(Watched):
    """Always has something to say."""

    def __init__(self, sock, heard):
        self._heard = heard
        self.watch(sock.fileno())

    def on_ready(self, readable):
        self._heard.append(self)


@pytest.fixture
def crowd(monkeypatch):
    """Many newcomers, a few in a turn of the loop. What is heard of them is in the list."""
    monkeypatch.setattr(reactor, "LET_IN", 0)
    heard = []
    pairs = [socket.socketpair() for _ in range(CROWD)]
    for _, theirs in pairs:
        theirs.send(b"x")
    newcomers = [Newcomer(ours, heard) for ours, _ in pairs]
    yield heard
    for newcomer in newcomers:
        newcomer.release()
    for pair in pairs:
        for sock in pair:
            sock.close()


@on_epoll
def test_a_message_waits_for_a_few_newcomers_at_most(net, crowd):
    came = Event()
    _, client = net.pair(net.service(lambda conn, message: came.set()))
    before = len(crowd)
    client.send("hello")
    assert came.wait(5)
    assert len(crowd) - before <= 4 * FEW


@on_epoll
def test_all_newcomers_have_their_turn(crowd):
    with gevent.Timeout(5):
        while len(set(crowd)) < CROWD:
            gevent.sleep(1e-6)
    assert len(crowd) <= CROWD + FEW  # nobody twice before all the others


@on_epoll
def test_timers_run_between_two_turns_of_newcomers(crowd):
    seen = []
    for _ in range(5):
        gevent.sleep(1e-6)
        seen.append(len(crowd))
    turns = [after - before for before, after in pairwise(seen)]
    assert max(turns) <= 4 * FEW


class Note(Job):
    """Notes that it ran, and how often the loop had looked round by then."""

    def __init__(self, ran, turns):
        self._ran = ran
        self._turns = turns

    def run(self):
        self._ran.append(len(self._turns))


def test_jobs_that_waited_are_started_in_turns_of_the_loop(monkeypatch):
    monkeypatch.setattr(pool, "REFILL", -1)
    jobs, ran, turns = get_upgrade_pool(), [], []
    ticks = get_reactor().loop.timer(0, 1e-6)
    ticks.start(turns.append, None)
    for _ in range(20):
        jobs.enqueue(Note(ran, turns))
    with gevent.Timeout(5):
        while len(ran) < 20:
            gevent.sleep(1e-6)
    ticks.stop()
    ticks.close()
    assert ran == sorted(ran)
    assert len(set(ran)) >= 10  # not all at once
