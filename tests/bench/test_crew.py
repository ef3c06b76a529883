"""A load in several processes: they count together, and none outlives the run."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import gevent
import pytest
from flask import Flask

from greenws import GreenWS
from greenws.bench import crew
from greenws.bench.crew import Crew
from greenws.bench.member import read_plan, serve
from greenws.bench.plan import Plan
from greenws.bench.run import run
from greenws.errors import LoadFailed
from greenws.server import WSGIServer

Site = Callable[[str], str]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]  # on a busy machine a process takes seconds to start


def plan_of(url: str, **options: Any) -> Plan:
    shared = {"connections": 7, "duration": 0.1, "rest": 0, "warm_up": 0, "processes": 2}
    return Plan(url=url, **{**shared, **options})


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that were started."""
    pids: list[int] = []

    class Popen(crew.Popen):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            pids.append(self.pid)

    monkeypatch.setattr(crew, "Popen", Popen)
    return pids


def is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize("options", [{"mode": "echo"}, {"mode": "rate", "interval": 0.05}, {"mode": "handshake"}])
def test_several_processes_count_together(site: Site, started: list[int], options: dict[str, Any]) -> None:
    result = run(plan_of(site("/echo"), **options))
    assert result.is_good
    assert result.opened >= 7
    assert result.openings.p99 is not None
    assert result.client_core > 0
    if options["mode"] != "handshake":
        assert result.opened == 7
        assert result.messages >= 7
        assert result.answers.p50 is not None
    assert len(started) == 2
    assert not any(is_there(pid) for pid in started)


def test_pings_are_answered_by_all_processes(site: Site) -> None:
    result = run(plan_of(site("/echo"), mode="idle", duration=1.2))  # the site pings each second
    assert result.is_good
    assert result.pings >= 7


def test_they_come_from_all_source_addresses() -> None:
    seen = set()
    app = Flask("sources")

    @GreenWS(app).route("/")
    def route(conn: Any) -> None:
        seen.add(conn.remote_addr)
        list(conn)

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    try:
        url = f"ws://127.0.0.1:{server.address[1]}/"
        assert run(plan_of(url, mode="idle", source=("127.0.0.2", "127.0.0.5", "127.0.0.9"))).is_good
    finally:
        server.stop(timeout=1)
    assert seen == {"127.0.0.2", "127.0.0.5", "127.0.0.9"}


def test_a_refusal_is_told_and_ends_all(site: Site, started: list[int]) -> None:
    with pytest.raises(LoadFailed, match="403"):
        run(plan_of(site("/refusal")))
    assert not any(is_there(pid) for pid in started)


def test_a_source_that_is_not_ours_is_told(site: Site) -> None:
    with pytest.raises(LoadFailed, match=r"192\.0\.2\.1"):
        run(plan_of(site("/echo"), source=("192.0.2.1",)))


def test_a_process_that_dies_fails_the_run(site: Site, started: list[int]) -> None:
    killer = gevent.spawn_later(1.5, lambda: os.kill(started[0], signal.SIGKILL))
    with pytest.raises(LoadFailed, match="has ended"):
        run(plan_of(site("/echo"), mode="idle", duration=20))
    killer.join()
    assert not any(is_there(pid) for pid in started)


def test_processes_end_with_us_in_the_middle_of_a_phase(site: Site, started: list[int]) -> None:
    load = Crew(plan_of(site("/echo"), mode="idle", duration=60))
    load.open()
    working = gevent.spawn(load.work)
    gevent.idle()
    working.kill()  # as Ctrl+C does
    load.close()
    assert not any(is_there(pid) for pid in started)


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    ours, theirs = gevent.socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_process_does_what_its_socket_says(site: Site, pair: tuple[Any, Any]) -> None:
    """The same in this process, where it can be looked at."""
    ours, theirs = pair
    member = gevent.spawn(serve, theirs)
    with ours.makefile("rw", encoding="utf-8") as talk:
        talk.write(json.dumps(asdict(Plan(url=site("/echo"), connections=3, duration=0.05, warm_up=0))) + "\n")
        for phase in ("begin", "open", "prepare", "work", "tally"):
            talk.write(phase + "\n")
            talk.flush()
            answer = json.loads(talk.readline())
            assert "failed" not in answer
    assert answer["tally"]["opened"] == 3
    ours.close()
    member.get(timeout=5)


def test_a_plan_survives_json() -> None:
    plan = Plan(url="ws://127.0.0.1/", headers=(("X-A", "b"),), source=("127.0.0.2",))
    assert read_plan(json.dumps(asdict(plan))) == plan
