"""Addresses of a host, tried side by side (RFC 8305): no hub is blocked, and nothing is left of those that lose."""

from __future__ import annotations

import time
from types import SimpleNamespace

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from greenws import SocketOptions
from greenws.client import dial as module
from greenws.client import names
from greenws.client.dial import dial, interleave
from greenws.client.names import Names
from greenws.errors import ConnectError

OPTIONS = SocketOptions()
V4, V6 = socket.AF_INET, socket.AF_INET6


def info(address: str, port: int = 1) -> tuple:
    family = V6 if ":" in address else V4
    return (family, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)[: 4 if family == V6 else 2])


@pytest.fixture
def listener():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    yield sock
    sock.close()


@pytest.fixture
def network(monkeypatch):
    """A network in which each address answers when the test says so.

    ``answers[address]`` is an Event to wait for, an error to raise, or None to connect at once.
    """
    made = SimpleNamespace(answers={}, tried=[], open=set(), addresses=[])

    class Socket:
        def __init__(self, family, kind, protocol):
            self.family = family
            made.open.add(self)

        def setsockopt(self, *args):
            pass

        def connect(self, address):
            self.address = address[0]
            made.tried.append(self.address)
            answer = made.answers.get(self.address)
            if isinstance(answer, Event):
                answer.wait()
            elif answer is not None:
                raise answer

        def close(self):
            made.open.discard(self)

    monkeypatch.setattr(module, "socket", SimpleNamespace(socket=Socket))
    monkeypatch.setattr(names, "resolve", lambda host, port: [info(address) for address in made.addresses])
    return made


def test_it_connects_and_sets_the_options(listener):
    sock = dial("127.0.0.1", listener.getsockname()[1], OPTIONS, Names())
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert isinstance(sock, socket.socket)
    sock.close()


def test_an_unknown_name():
    with pytest.raises(ConnectError, match="cannot be resolved"):
        dial("no-such-host.invalid", 80, OPTIONS, Names())


def test_families_alternate_beginning_with_the_first():
    found = [info(address) for address in ("::1", "::2", "::3", "1.1.1.1", "2.2.2.2")]
    assert [item[4][0] for item in interleave(found)] == ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]


def test_the_first_that_answers_wins_and_the_others_are_closed(network):
    network.addresses = ["::1", "1.1.1.1"]
    network.answers = {"::1": Event(), "1.1.1.1": None}
    begin = time.monotonic()
    sock = dial("app.example", 1, OPTIONS, Names())
    assert time.monotonic() - begin >= module.STAGGER * 0.9
    assert sock.address == "1.1.1.1"
    gevent.idle()
    assert network.open == {sock}


def test_one_that_answers_in_time_is_the_only_one_tried(network):
    network.addresses = ["::1", "1.1.1.1"]
    assert dial("app.example", 1, OPTIONS, Names()).address == "::1"
    assert network.tried == ["::1"]


def test_a_failure_does_not_wait_for_the_next(network, monkeypatch):
    monkeypatch.setattr(module, "STAGGER", 1000)
    network.addresses = ["::1", "1.1.1.1", "::2"]
    network.answers = {"::1": ConnectionRefusedError(), "1.1.1.1": OSError("no route")}
    assert dial("app.example", 1, OPTIONS, Names()).address == "::2"
    gevent.idle()
    assert len(network.open) == 1


def test_all_fail(network):
    network.addresses = ["::1", "1.1.1.1"]
    network.answers = {"::1": ConnectionRefusedError(111, "the first"), "1.1.1.1": OSError(113, "the second")}
    with pytest.raises(ConnectError, match="the first"):
        dial("app.example", 1, OPTIONS, Names())
    assert not network.open


def test_one_address_has_connect_timeout(network):
    network.addresses = ["::1", "1.1.1.1"]
    network.answers = {"::1": Event(), "1.1.1.1": Event()}
    with pytest.raises(ConnectError, match=r"no answer within 0\.1 s"):
        dial("app.example", 1, SocketOptions(connect_timeout=0.1), Names())
    assert not network.open


def test_a_late_one_of_two_that_answer_is_closed(network, monkeypatch):
    monkeypatch.setattr(module, "STAGGER", 0.001)
    both = Event()
    network.addresses = ["::1", "1.1.1.1"]
    network.answers = {"::1": both, "1.1.1.1": both}
    gevent.spawn_later(0.05, both.set)
    sock = dial("app.example", 1, OPTIONS, Names())
    gevent.idle()
    assert network.open == {sock}


def test_killed_while_it_waits(network, monkeypatch):
    monkeypatch.setattr(module, "STAGGER", 0.001)
    network.addresses = ["::1", "1.1.1.1"]
    network.answers = {"::1": Event(), "1.1.1.1": Event()}
    greenlet = gevent.spawn(dial, "app.example", 1, OPTIONS, Names())
    while len(network.tried) < 2:
        gevent.sleep(0.001)
    greenlet.kill()
    gevent.idle()
    assert not network.open
