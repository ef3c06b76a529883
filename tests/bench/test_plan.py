"""A plan is checked before anything is opened."""

from __future__ import annotations

import resource
import socket

import pytest

from greenws.bench.plan import PORTS, RESERVE, Plan, claim_descriptors, find_target
from greenws.errors import ConfigError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "[::1]"])
def test_loopback_may_be_loaded(host: str) -> None:
    assert find_target(Plan(url=f"ws://{host}:8000/echo?a=b")).path == "/echo?a=b"


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "[2001:db8::1]"])
def test_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="--remote"):
        find_target(Plan(url=f"ws://{host}/"))


def test_another_machine_is_taken_when_that_is_meant() -> None:
    target = find_target(Plan(url="ws://192.0.2.1/", is_remote=True))
    assert (target.address, target.host, target.path) == (("192.0.2.1", 80), "192.0.2.1", "/")


def test_a_name_that_leads_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
    with pytest.raises(ConfigError, match="not this machine"):
        find_target(Plan(url="ws://localhost.example/"))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "wss://127.0.0.1/",
        "127.0.0.1:8000",
        "ws:///x",
        "ws://127.0.0.1:99999/",
        "ws://a@127.0.0.1/",
    ],
)
def test_what_is_no_ws_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        find_target(Plan(url=url))


@pytest.mark.parametrize("host", ["[::1]", "192.0.2.1"])
def test_several_sources_need_a_server_that_they_reach(host: str) -> None:
    with pytest.raises(ConfigError, match="several addresses"):
        find_target(Plan(url=f"ws://{host}/", sources=2, is_remote=True))


def test_a_name_of_both_families_is_taken_as_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 80, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
    assert find_target(Plan(url="ws://localhost/")).address == ("127.0.0.1", 80)


def test_compression_is_not_offered_where_messages_are_sent() -> None:
    with pytest.raises(ConfigError, match="not in echo"):
        find_target(Plan(url="ws://127.0.0.1/", offers_deflate=True))


def test_more_connections_than_descriptors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (64, 100))
    with pytest.raises(ConfigError, match="ulimit"):
        claim_descriptors(Plan(url="", connections=101 - RESERVE))


def test_the_soft_limit_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (64, 1000))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: raised.append(limits))
    claim_descriptors(Plan(url="", connections=500))
    assert raised == [(500 + RESERVE, 1000)]


def test_more_connections_than_ports_name_the_sources_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (10**6, 10**6))
    with pytest.raises(ConfigError, match="--sources 3"):
        claim_descriptors(Plan(url="", connections=2 * PORTS + 1))
    claim_descriptors(Plan(url="", connections=2 * PORTS + 1, sources=3))
