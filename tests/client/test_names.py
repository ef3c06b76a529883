"""Look-ups of hosts: none for an address, one for many connections, none that blocks the hub."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from greenws.client import names
from greenws.client.names import MAX_HOSTS, AddressInfo, Names, resolve
from tests.client.upstreams import until

Answer = Callable[..., list[AddressInfo]]


def infos(*addresses: str) -> list[AddressInfo]:
    return [(socket.AF_INET6 if ":" in address else socket.AF_INET, 1, 6, "", (address, 80)) for address in addresses]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], list[str]]:
    """Has the resolver answer with what a function returns or raises. Returns the hosts that were looked up."""

    def replace(answer: Answer) -> list[str]:
        asked: list[str] = []

        def look_up(host: str, *_: Any) -> list[AddressInfo]:
            asked.append(host)
            return answer()

        monkeypatch.setattr(gevent.get_hub().resolver, "getaddrinfo", look_up)
        return asked

    return replace


def test_a_name_is_looked_up_without_blocking_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """By gevent's resolver, in a thread: other greenlets run meanwhile."""
    ran = Event()
    real = gevent.get_hub().resolver.getaddrinfo

    def slowly(*args: Any) -> Any:
        assert ran.wait(5)
        return real(*args)

    monkeypatch.setattr(gevent.get_hub().resolver, "getaddrinfo", slowly)
    gevent.spawn(ran.set)
    assert Names().resolve("localhost", 80)


def test_an_address_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gevent.get_hub().resolver, "getaddrinfo", None)
    assert resolve("127.0.0.1", 80)[0][4] == ("127.0.0.1", 80)
    assert resolve("::1", 80)[0][4][:2] == ("::1", 80)


def test_side_by_side_one_asks_for_all(ask: Callable[[Answer], list[str]]) -> None:
    gate = Event()
    asked = ask(lambda: infos("192.0.2.1") if gate.wait(5) else [])
    shared = Names()
    waiting = [gevent.spawn(shared.resolve, "a.example", 80) for _ in range(5)]
    until(lambda: asked)
    gate.set()
    assert all(greenlet.get() == infos("192.0.2.1") for greenlet in waiting)
    assert shared.resolve("a.example", 80) == infos("192.0.2.1")
    assert asked == ["a.example"]


def test_an_answer_does_not_serve_for_ever(ask: Callable[[Answer], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(names.time, "monotonic", lambda: now)
    asked = ask(lambda: infos("192.0.2.1"))
    shared = Names()
    for now, times in ((100.0, 1), (100.9, 1), (101.0, 2), (101.1, 2)):  # noqa: B007, the clock reads it
        shared.resolve("a.example", 80)
        assert len(asked) == times


def test_hosts_and_ports_are_not_mixed_up_nor_kept_without_end(ask: Callable[[Answer], list[str]]) -> None:
    asked = ask(lambda: infos("192.0.2.1"))
    shared = Names()
    for number in range(MAX_HOSTS * 3):
        shared.resolve(f"{number}.example", 80)
        shared.resolve(f"{number}.example", 81)
    assert len(asked) == MAX_HOSTS * 6
    assert len(shared._hosts) <= MAX_HOSTS + 1


def test_further_connections_begin_with_another_address_of_the_same_family(ask: Callable[[Answer], list[str]]) -> None:
    ask(lambda: infos("::1", "::2", "192.0.2.1", "192.0.2.2"))
    shared = Names()
    firsts = [shared.resolve("a.example", 80)[0][4][0] for _ in range(4)]
    assert firsts == ["::1", "::2", "::1", "::2"]


def test_an_error_serves_those_who_waited_for_it_and_nobody_else(ask: Callable[[Answer], list[str]]) -> None:
    gate = Event()

    def fail() -> list[AddressInfo]:
        gate.wait(5)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    asked = ask(fail)
    shared = Names()
    waiting = [gevent.spawn(shared.resolve, "a.example", 80) for _ in range(3)]
    until(lambda: asked)
    gate.set()
    gevent.joinall(waiting)
    assert [greenlet.exception.errno for greenlet in waiting] == [socket.EAI_NONAME] * 3
    assert asked == ["a.example"]
    ask(lambda: infos("192.0.2.1"))
    assert shared.resolve("a.example", 80)


def test_when_who_asks_is_killed_another_asks(ask: Callable[[Answer], list[str]]) -> None:
    gate = Event()
    asked = ask(lambda: infos("192.0.2.1") if gate.wait(5) else [])
    shared = Names()
    first, second = (gevent.spawn(shared.resolve, "a.example", 80) for _ in range(2))
    until(lambda: asked)
    first.kill()
    gate.set()
    assert second.get() == infos("192.0.2.1")
    assert len(asked) == 2
