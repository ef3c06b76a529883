"""Calls from other threads: send and close are handed to the connection's hub."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import gevent
import pytest
from gevent.threadpool import ThreadPool

from greenws.errors import ConnectionClosed


@pytest.fixture
def threads() -> Iterator[ThreadPool]:
    pool = ThreadPool(4)
    yield pool
    pool.join()
    pool.kill()


def test_messages_of_another_thread_arrive_whole_and_in_order(net, threads):
    server, client = net.pair()
    sent = threads.spawn(lambda: [server.send(f"{number}" * 1000) for number in range(100)])
    assert [client.receive(5) for _ in range(100)] == [f"{number}" * 1000 for number in range(100)]
    sent.get(timeout=5)


def test_several_threads_and_the_hub_never_interleave(net, threads):
    server, client = net.pair()

    def write(name):
        for number in range(50):
            server.send(f"{name}{number} " + name * 50_000)

    jobs = [threads.spawn(write, name) for name in "abc"]
    jobs.append(gevent.spawn(write, "d"))
    received = [client.receive(5) for _ in range(200)]
    for name in "abcd":
        own = [message for message in received if message.startswith(name)]
        assert own == [f"{name}{number} " + name * 50_000 for number in range(50)]
    for job in jobs:
        job.get(timeout=5)


def test_a_thread_waits_at_the_high_water_mark_like_a_greenlet(net, threads):
    server, peer = net.bare(net.service(high_water_mark=16384), 4096)
    sent = []

    def write():
        for number in range(50):
            server.send(bytes([number]) * 8192)
            sent.append(number)

    job = threads.spawn(write)
    frames = [peer.frame()]
    assert len(sent) < 49
    frames += [peer.frame() for _ in range(49)]
    assert frames == [(2, bytes([number]) * 8192) for number in range(50)]
    job.get(timeout=5)


def test_errors_come_back_to_the_thread(net, threads):
    server, client = net.pair()
    with pytest.raises(TypeError):
        threads.apply(server.send, (5,))
    with pytest.raises(ValueError, match="close code"):
        threads.apply(server.close, (1006,))
    client.close()
    assert server.wait_closed(5)
    with pytest.raises(ConnectionClosed) as caught:
        threads.apply(server.send, ("late",))
    assert caught.value.code == 1000
    del caught


def test_close_from_another_thread(net, threads):
    server, client = net.pair()
    threads.apply(server.close, (4000, "from a thread"))
    assert client.wait_closed(5)
    assert (client.close_code, client.close_reason) == (4000, "from a thread")
    assert server.wait_closed(5)


PATCHED = """
from gevent import monkey
monkey.patch_all()
import gevent, socket, threading
from greenws.config import Config
from greenws.net.connection import Connection
from greenws.net.registry import Registry
from greenws.net.sender import Service

def attach(sock, **options):
    conn = Connection(Service(Config(), Registry(10), **options))
    conn.attach(sock.detach())
    return conn

ours, theirs = socket.socketpair()
ours.setblocking(False)
theirs.setblocking(False)
server, client = attach(ours), attach(theirs, is_server=False)
done = []

def write():
    for number in range(100):
        server.send(str(number) * 1000)
    server.close(4000)
    done.append(True)

monkey.get_original("_thread", "start_new_thread")(write, ())  # a thread of the system, not a greenlet
with gevent.Timeout(4):  # less than close_timeout
    for number in range(100):
        assert client.receive() == str(number) * 1000
    assert client.wait_closed()
    assert server.wait_closed()
    while not done:
        gevent.sleep(0.01)
assert client.close_code == 4000
greenlet = threading.Thread(target=lambda: done.append(2))  # patched: a greenlet of this thread
greenlet.start()
greenlet.join()
print("ok", done)
"""


@pytest.mark.slow
def test_a_thread_of_the_system_in_a_patched_process():
    done = subprocess.run([sys.executable, "-c", PATCHED], capture_output=True, text=True, timeout=25)
    assert done.stdout == "ok [True, 2]\n", done.stderr
