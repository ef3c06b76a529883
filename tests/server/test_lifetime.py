"""What is known of the end of a gunicorn worker, from inside of it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import gevent
import pytest
from gevent.server import StreamServer

from greenws.net.registry import Registry
from greenws.server import lifetime
from greenws.server.lifetime import Lifetime, code_at_end, find_servers, find_worker


class Worker:
    """What we see of one."""

    def __init__(self, workers=1, nr=0) -> None:
        self.alive = True
        self.cfg = SimpleNamespace(workers=workers, graceful_timeout=30)
        self.nr = nr
        self.max_requests = sys.maxsize
        self.ppid = os.getpid()  # its arbiter, whose other children are its siblings
        self.sockets = []

    def run(self, servers, until):
        """Serves until a greenlet has ended."""
        until.join()

    def handle_exit(self, *args):
        """TERM."""


@pytest.fixture
def on_term():
    """Sets whose method gets TERM."""
    before = signal.getsignal(signal.SIGTERM)
    yield lambda handler: signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def children():
    """Starts processes that wait."""
    pids = []

    def start(count):
        for _ in range(count):
            pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
            pids.append(pid)

    yield start
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_worker_is_known_by_whose_method_gets_term(on_term):
    worker = Worker()
    on_term(worker.handle_exit)
    assert find_worker() is worker
    for other in (signal.SIG_DFL, lambda *args: None, SimpleNamespace(stop=print).stop):
        on_term(other)
        assert find_worker() is None


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="a reload shows in /proc")
def test_a_reload_is_more_workers_than_there_should_be(children):
    worker = Worker(workers=2)
    already = len(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())
    worker.cfg.workers += already
    children(2)
    assert code_at_end(worker) == 1001
    children(1)
    assert code_at_end(worker) == 1012


def test_who_has_served_its_requests_is_replaced():
    worker = Worker(workers=1000)
    worker.nr = worker.max_requests = 10
    assert code_at_end(worker) == 1012


def test_where_nothing_can_be_known_it_is_the_end():
    worker = Worker()
    worker.ppid = 0
    assert code_at_end(worker) == 1001


@pytest.fixture
def server():
    """Of a worker."""
    server = StreamServer(("127.0.0.1", 0), lambda *args: None)
    server.start()
    yield server
    server.close()


def run_beside(worker, servers, function, *args):
    """Calls a function while the worker's ``run`` waits in the main greenlet, as it does for as long as it serves."""
    beside = gevent.spawn(function, *args)
    worker.run(servers, beside)
    return beside.get()


def test_the_servers_of_a_worker_are_those_of_its_run(server):
    worker = Worker()
    worker.sockets = [server.socket]
    assert gevent.spawn(find_servers, worker).get() == []
    assert run_beside(worker, [server], find_servers, worker) == [server]
    assert run_beside(worker, [server], find_servers, Worker()) == []


def test_a_server_of_another_socket_is_none_of_the_workers(server):
    worker = Worker()
    assert run_beside(worker, [server], find_servers, worker) == []


def test_one_that_the_worker_has_closed_is_still_its_server(server):
    worker = Worker()
    worker.sockets = [server.socket]
    server.close()
    assert run_beside(worker, [server], find_servers, worker) == [server]


@pytest.mark.parametrize("others", [None, ["no server"]])
def test_what_is_no_list_of_servers_is_none(server, others):
    worker = Worker()
    worker.sockets = [server.socket]
    assert run_beside(worker, others, find_servers, worker) == []


def test_a_run_that_has_another_name_for_them_has_none(server):
    class Other(Worker):
        def run(self, listening, until):
            until.join()

    worker = Other()
    worker.sockets = [server.socket]
    assert run_beside(worker, [server], find_servers, worker) == []


def test_nobody_is_accepted_any_more_when_the_first_is_told(server, on_term, monkeypatch):
    monkeypatch.setattr(lifetime, "LOOK", 0.001)
    monkeypatch.setattr(lifetime.atexit, "register", lambda function: None)
    worker, registry = Worker(workers=1000), Registry(1)
    worker.sockets = [server.socket]
    on_term(worker.handle_exit)

    def end():
        Lifetime().watch(registry, 5)
        gevent.sleep(0.01)
        assert not server.closed
        assert not registry.is_draining
        worker.alive = False
        with gevent.Timeout(lifetime.ACCEPTS_ON / 2):
            while not registry.is_draining:
                gevent.sleep(0.001)
        assert server.closed

    run_beside(worker, [server], end)


def test_without_our_worker_it_begins_when_nothing_is_accepted_any_more(on_term, monkeypatch):
    monkeypatch.setattr(lifetime, "LOOK", 0.001)
    monkeypatch.setattr(lifetime, "ACCEPTS_ON", 0.01)
    monkeypatch.setattr(lifetime.atexit, "register", lambda function: None)
    worker, registry = Worker(workers=1000), Registry(1)
    on_term(worker.handle_exit)
    Lifetime().watch(registry, 5)
    gevent.sleep(0.02)
    assert not registry.is_draining
    worker.alive = False
    gevent.sleep(0.005)
    with gevent.Timeout(5):
        while not registry.is_draining:
            gevent.sleep(0.001)
    gevent.sleep(0.02)
