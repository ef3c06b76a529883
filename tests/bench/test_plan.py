"""A plan is checked before anything is opened."""

from __future__ import annotations

import resource
import socket
from pathlib import Path
from typing import Any

import pytest

from greenws.bench.plan import BOTH_ENDS, PORTS, RESERVE, Plan, check_memory, claim_descriptors, find_target
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


def test_each_process_needs_its_share_of_the_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1000, 1000))
    with pytest.raises(ConfigError, match="--processes 3"):
        claim_descriptors(Plan(url="", connections=2000, processes=2))
    claim_descriptors(Plan(url="", connections=2000, processes=3))


def test_a_plan_is_divided_without_rest() -> None:
    parts = Plan(url="", connections=10, processes=3, sources=2, concurrency=6, pids=(1,)).split()
    assert sorted(part.connections for part in parts) == [3, 3, 4]
    assert {part.processes for part in parts} == {1}
    assert {part.concurrency for part in parts} == {2}
    assert {part.pids for part in parts} == {()}
    assert [part.addresses for part in parts] == [
        ("127.0.0.1", "127.0.0.2"),
        ("127.0.0.2", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.2"),
    ]


def test_the_system_chooses_the_source_unless_it_is_told() -> None:
    assert [part.addresses for part in Plan(url="", processes=2).split()] == [(), ()]
    assert Plan(url="", sources=2, source=("10.0.0.1",)).addresses == ("10.0.0.1",)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"source": ("here",)}, "no address"),
        ({"source": ("::1",)}, "IPv4"),
        ({"processes": 2, "mode": "fanout"}, "one process"),
        ({"processes": 101}, "cannot be divided"),
        ({"mode": "ping", "size": 126}, "125"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        find_target(Plan(url="ws://127.0.0.1/", **options))


def test_what_the_memory_cannot_hold_is_refused(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 9999999 kB\nMemAvailable:   {100 * BOTH_ENDS // 1024} kB\n")
    check_memory(Plan(url="", connections=100), meminfo)
    with pytest.raises(ConfigError, match="GB are available"):
        check_memory(Plan(url="", connections=101), meminfo)
    check_memory(Plan(url="", connections=200, is_remote=True), meminfo)  # the other end is elsewhere


def test_where_nobody_says_how_much_memory_there_is_nothing_is_refused(tmp_path: Path) -> None:
    check_memory(Plan(url="", connections=10**9), tmp_path / "meminfo")
