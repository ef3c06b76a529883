"""The load on a real server: it counts what came back, and notices what is wrong with it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from greenws.bench.plan import Plan
from greenws.bench.result import Result
from greenws.bench.run import run
from greenws.errors import LoadFailed

Site = Callable[[str], str]


def load(url: str, **options: Any) -> Result:
    return run(Plan(**{"url": url, "connections": 5, "duration": 0.05, "rest": 0, "warm_up": 0, **options}))


@pytest.mark.parametrize("options", [{}, {"binary": True}, {"size": 0}, {"size": 200}, {"size": 70_000}])
def test_every_echo_is_counted_and_right(site: Site, options: dict[str, Any]) -> None:
    result = load(site("/echo"), **options)
    assert result.is_good
    assert result.opened == 5
    assert result.messages >= 5
    assert result.answers.p50 is not None


def test_pipelined_messages_come_back_in_whole_batches(site: Site) -> None:
    result = load(site("/echo"), mode="pipelined", depth=7)
    assert result.is_good
    assert result.messages >= 5 * 7


def test_what_comes_in_the_warm_up_does_not_count(site: Site) -> None:
    result = load(site("/echo"), warm_up=0.05)
    assert result.is_good
    assert result.seconds < 0.1


def test_each_connection_sends_at_its_rate(site: Site) -> None:
    result = load(site("/echo"), mode="rate", interval=0.02, duration=0.1)
    assert result.is_good
    assert 0 < result.messages <= 5 * 6


def test_an_answer_that_never_comes_is_not_good(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenws.bench.crowd.ANSWER_TIMEOUT", 0.05)
    result = load(site("/silent"), mode="rate", interval=0.02)
    assert result.wrong > 0
    assert result.messages == 0


def test_pings_are_answered_by_any_route(site: Site) -> None:
    result = load(site("/silent"), mode="ping", size=4, interval=0.02, duration=0.1)
    assert result.is_good
    assert 0 < result.messages <= 5 * 6


def test_in_mode_ping_only_pongs_count(site: Site) -> None:
    result = load(site("/chatty"), mode="ping", size=4, interval=0.02, duration=0.1)
    assert result.is_good
    assert result.messages <= 5 * 6


def test_a_ping_without_pong_is_not_good(deaf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenws.bench.crowd.ANSWER_TIMEOUT", 0.05)
    assert load(deaf, mode="ping", size=4, interval=0.02).wrong > 0


def test_an_idle_connection_answers_pings(site: Site) -> None:
    result = load(site("/echo"), mode="idle", duration=0.2, connections=20)
    assert result.is_good
    assert result.pings > 0
    assert result.messages == 0


def test_handshakes_go_on_until_the_time_is_up(site: Site) -> None:
    result = load(site("/echo"), mode="handshake")
    assert result.is_good
    assert result.opened >= 5
    assert result.openings.p99 is not None


def test_a_fan_out_reaches_everybody_in_each_round(site: Site) -> None:
    result = load(site("/fanout"), mode="fanout", rounds=3)
    assert result.is_good
    assert result.messages == 3 * 5


def test_a_fan_out_that_misses_somebody_is_not_good(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenws.bench.crowd.ANSWER_TIMEOUT", 0.05)
    assert load(site("/echo"), mode="fanout", rounds=3).wrong == 4  # the one that sent got it back


@pytest.mark.parametrize("path", ["/wrong", "/longer"])
def test_an_answer_that_is_not_what_was_sent_is_not_good(site: Site, path: str) -> None:
    result = load(site(path))
    assert result.wrong == result.messages > 0
    assert not result.is_good


def test_a_connection_that_ends_too_early_is_lost(site: Site) -> None:
    result = load(site("/deserter"))
    assert result.lost == 5
    assert not result.is_good


@pytest.mark.parametrize("mode", ["echo", "handshake"])
def test_a_refusal_is_told_with_its_status(site: Site, mode: str) -> None:
    with pytest.raises(LoadFailed, match="403"):
        load(site("/refusal"), mode=mode)


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(LoadFailed):
        load("ws://127.0.0.1:1/")


def test_connections_that_are_never_answered_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenws.bench.crowd.OPENING_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(LoadFailed, match="0 of 5"):
        load(f"ws://127.0.0.1:{mute.getsockname()[1]}/")


def test_connections_come_from_as_many_addresses_as_asked_for(site: Site) -> None:
    assert load(site("/echo"), sources=3).is_good


def test_compression_may_be_offered_by_idle_connections(site: Site) -> None:
    assert load(site("/echo"), mode="idle", offers_deflate=True).is_good


def test_the_server_process_is_measured(site: Site) -> None:
    result = load(site("/echo"), pids=(os.getpid(),))
    assert result.cost is not None
    assert result.cost.us is not None
    assert result.cost.us > 0
    assert result.opening_cost is not None
    assert result.memory is not None


def test_a_process_that_does_not_exist_is_told(site: Site) -> None:
    with pytest.raises(ProcessLookupError):
        load(site("/echo"), pids=(2**22 + 1,))
