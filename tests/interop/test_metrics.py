"""Metrics of several workers: ours, and those of stock gunicorn."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.interop import gunicorns, stock
from tests.interop.gunicorns import wait_for
from tests.interop.test_deploy import free_port
from tests.interop.test_stock import HELLO, Peer
from tests.observe.conftest import Scrape
from tests.wire import TEXT, frame

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="workers are found in /proc"),
]
APP = "tests.interop.observed:create_app()"
COUNT = 20
RULE = "/event"


def workers_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def ours(*options: str, metrics: str, app: str = APP) -> Iterator[SimpleNamespace]:
    with gunicorns.run("--workers=2", *options, app=app, METRICS=metrics) as server:
        yield server


@contextmanager
def theirs(*options: str, metrics: str, app: str = APP) -> Iterator[SimpleNamespace]:
    with stock.serve("gevent", "--workers=2", *options, app=app, environ={"METRICS": metrics}) as server:
        yield server


@pytest.fixture(params=[ours, theirs])
def way(request: pytest.FixtureRequest) -> Callable[..., SimpleNamespace]:
    return request.param


def scrape(port: int, path: str = "/metrics") -> Scrape:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return Scrape(answer.read().decode())


def soon(port: int, **wanted: float) -> Scrape:
    """Scrapes until these totals of the route, or what has no labels, are there: others publish once a second."""
    found: list[Scrape] = []

    def are_there() -> bool:
        try:
            found[:] = [scrape(port)]
        except OSError:
            return False
        return all(
            found[0].samples.get((f"greenws_{name}", RULE), found[0].samples.get((f"greenws_{name}",))) == value
            for name, value in wanted.items()
        )

    wait_for(are_there)
    return found[0]


def talk(stack: ExitStack, port: int, count: int = COUNT) -> list[Peer]:
    peers = [stack.enter_context(Peer(port, RULE)) for _ in range(count)]
    for peer in peers:
        peer.send(frame(TEXT, b"hello"))
        peer.until(HELLO)
    return peers


def folders(pid: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"greenws-metrics-{os.geteuid()}-{pid}-*"))


def test_whichever_worker_answers_says_the_totals_of_all(way: Callable[..., SimpleNamespace]) -> None:
    port = free_port()
    with way(metrics=f"127.0.0.1:{port}") as server, ExitStack() as stack:
        soon(port, workers=2, connections_open=0)
        peers = talk(stack, server.port)
        wanted = {"connections_open": COUNT, "messages_received_total": COUNT, "messages_sent_total": COUNT}
        found = soon(port, **wanted)
        shares = found.of("greenws_worker_connections")
        assert {int(pid) for (pid,) in shares} == set(workers_of(server.process.pid))
        assert sum(shares.values()) == COUNT
        assert len(found.of("process_open_fds")) == 2
        for _ in range(20):  # of either worker
            assert scrape(port)["greenws_messages_sent_total", RULE] == COUNT
        for peer in peers:
            peer.socket.close()
        found = soon(port, connections_open=0)
        assert found.of("greenws_closes_total") == {(RULE, "1006"): COUNT}
        assert found["greenws_handshakes_total", "101"] == COUNT


def test_a_worker_that_is_killed_takes_no_count_with_it(way: Callable[..., SimpleNamespace]) -> None:
    port = free_port()
    with way(metrics=f"127.0.0.1:{port}") as server, ExitStack() as stack:
        soon(port, workers=2)
        talk(stack, server.port)
        shares = soon(port, messages_sent_total=COUNT, connections_open=COUNT).of("greenws_worker_connections")
        (victim,), left = max(shares.items(), key=lambda pair: pair[1])
        os.kill(int(victim), signal.SIGKILL)
        wait_for(lambda: int(victim) not in workers_of(server.process.pid))
        found = soon(port, workers=2, messages_sent_total=COUNT, connections_total=COUNT, connections_open=COUNT - left)
        assert (victim,) not in found.of("greenws_worker_connections")
        talk(stack, server.port, 5)
        soon(port, messages_sent_total=COUNT + 5)


def test_the_end_of_all_leaves_no_file(way: Callable[..., SimpleNamespace]) -> None:
    port = free_port()
    with way(metrics=f"127.0.0.1:{port}") as server, ExitStack() as stack:
        soon(port, workers=2)
        talk(stack, server.port)
        assert folders(server.process.pid)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
    assert not folders(server.process.pid)


def test_a_reload_keeps_the_counts(way: Callable[..., SimpleNamespace]) -> None:
    port = free_port()
    with way(metrics=f"127.0.0.1:{port}") as server, ExitStack() as stack:
        soon(port, workers=2)
        before = set(workers_of(server.process.pid))
        for peer in talk(stack, server.port):
            peer.socket.close()
        soon(port, messages_sent_total=COUNT, connections_open=0)
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: not before & set(workers_of(server.process.pid)))
        found = soon(port, workers=2, messages_sent_total=COUNT)
        assert found.of("greenws_closes_total") == {(RULE, "1006"): COUNT}


def test_a_path_says_the_same(way: Callable[..., SimpleNamespace]) -> None:
    with way(metrics="/metrics") as server, ExitStack() as stack:
        soon(server.port, workers=2)
        talk(stack, server.port)
        soon(server.port, messages_sent_total=COUNT, connections_open=COUNT)


def test_with_the_application_loaded_before_the_fork() -> None:
    port = free_port()
    with ours("--preload", metrics=f"127.0.0.1:{port}") as server, ExitStack() as stack:
        soon(port, workers=2)
        talk(stack, server.port)
        soon(port, messages_sent_total=COUNT, connections_open=COUNT)


def test_what_was_written_for_flask_sock_is_measured_too(way: Callable[..., SimpleNamespace]) -> None:
    port = free_port()
    with (
        way(metrics=f"127.0.0.1:{port}", app="tests.interop.observed:create_sock_app()") as server,
        ExitStack() as stack,
    ):
        soon(port, workers=2)
        talk(stack, server.port)
        wait_for(lambda: scrape(port)["greenws_messages_sent_total", "flask-sock"] == COUNT)
        assert scrape(port)["greenws_connections_open", "flask-sock"] == COUNT
