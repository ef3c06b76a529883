"""Listening and accepting: in batches, on shared ports, and when descriptors run out."""

from __future__ import annotations

import errno
import os
import socket as stdlib_socket
import subprocess
import sys

import gevent
import pytest
from gevent import socket

from greenws.config import SocketOptions
from greenws.net.accept import accept
from greenws.server.listener import MIN_DELAY, Acceptor, listen


@pytest.fixture
def accepted():
    """What an acceptor handed over; closed at the end."""
    found = []
    yield found
    for fd, _ in found:
        os.close(fd)


@pytest.fixture
def listener():
    sock = listen(("127.0.0.1", 0))
    yield sock
    sock.close()


def connect(listener, count):
    return [socket.create_connection(listener.getsockname()) for _ in range(count)]


def test_it_listens_as_servers_do(listener):
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    assert not os.get_blocking(listener.fileno())
    with pytest.raises(OSError, match="in use"):
        listen(listener.getsockname())


def test_a_port_may_be_shared():
    first = listen(("127.0.0.1", 0), SocketOptions(reuse_port=True))
    second = listen(first.getsockname(), SocketOptions(reuse_port=True))
    first.close()
    second.close()


def test_ipv6():
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        sock = listen(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 address on this machine")
    assert sock.family == socket.AF_INET6
    client = stdlib_socket.create_connection(sock.getsockname()[:2])
    fd, address = accept(sock.fileno())
    assert address == client.getsockname()
    os.close(fd)
    client.close()
    sock.close()


@pytest.mark.parametrize("name", ["", "client", "\0client"])
def test_a_peer_on_a_unix_socket_has_the_name_that_the_socket_module_gives_it(tmp_path, name):
    if name.startswith("\0") and sys.platform != "linux":
        pytest.skip("no abstract names")
    with stdlib_socket.socket(stdlib_socket.AF_UNIX) as sock, stdlib_socket.socket(stdlib_socket.AF_UNIX) as client:
        sock.bind(str(tmp_path / "server"))
        sock.listen()
        sock.setblocking(False)
        assert accept(sock.fileno()) is None, "nobody waits"
        if name:
            client.bind(f"\0{tmp_path}" if name.startswith("\0") else str(tmp_path / name))
        client.connect(sock.getsockname())
        fd, address = accept(sock.fileno())
        assert address == client.getsockname()
        assert not os.get_blocking(fd)
        os.close(fd)


def test_what_is_accepted_does_not_block_and_has_no_delay(listener, accepted):
    acceptor = Acceptor(listener, lambda fd, address: accepted.append((fd, address)))
    (client,) = connect(listener, 1)
    gevent.idle()
    acceptor.stop()
    ((fd, address),) = accepted
    assert address == client.getsockname()
    assert not os.get_blocking(fd)
    assert not os.get_inheritable(fd)
    with socket.socket(fileno=os.dup(fd)) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    client.close()


def test_a_turn_accepts_no_more_than_a_batch(listener, accepted):
    turns = []

    class Counting(Acceptor):
        def on_ready(self, readable):
            before = len(accepted)
            super().on_ready(readable)
            turns.append(len(accepted) - before)

    acceptor = Counting(listener, lambda fd, address: accepted.append((fd, address)), max_accept=3)
    clients = [stdlib_socket.create_connection(listener.getsockname()) for _ in range(8)]  # without a turn of the loop
    gevent.idle()
    assert [turn for turn in turns if turn] == [3, 3, 2]
    acceptor.stop()
    for client in clients:
        client.close()


def test_after_stop_nothing_is_accepted_and_it_can_begin_again(listener, accepted):
    Acceptor(listener, lambda fd, address: accepted.append((fd, address))).stop()
    (client,) = connect(listener, 1)
    gevent.idle()
    assert accepted == []
    acceptor = Acceptor(listener, lambda fd, address: accepted.append((fd, address)))
    gevent.idle()
    assert len(accepted) == 1
    acceptor.stop()
    client.close()


class Failing:
    """An accept that fails a few times."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)
        self.tried = 0

    def __call__(self, fd):
        self.tried += 1
        if self.numbers:
            number = self.numbers.pop(0)
            raise OSError(number, os.strerror(number))
        return accept(fd)


@pytest.mark.parametrize(
    "number",
    [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED, errno.EPERM, errno.EPROTO],
    ids=errno.errorcode.get,
)
def test_an_error_of_accept_does_not_end_accepting(listener, accepted, number, caplog):
    failing = Failing(number, number)
    acceptor = Acceptor(listener, lambda fd, address: accepted.append((fd, address)), accept=failing)
    (client,) = connect(listener, 1)
    with gevent.Timeout(5):
        while not accepted:
            gevent.sleep(0.001)
    assert failing.tried >= 3
    if number != errno.ECONNABORTED:
        assert len(caplog.records) == 1, "one line a second at most"
    acceptor.stop()
    client.close()


def test_stop_while_it_backs_off(listener, accepted):
    failing = Failing(*[errno.EMFILE] * 100)
    acceptor = Acceptor(listener, lambda fd, address: accepted.append((fd, address)), accept=failing)
    (client,) = connect(listener, 1)
    gevent.idle()
    acceptor.stop()
    gevent.idle()
    assert accepted == []
    client.close()


def test_nothing_is_left_of_an_end_while_it_backs_off(listener, monkeypatch):
    reported = []
    monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda *error: reported.append(error))
    failing = Failing(*[errno.EMFILE] * 100)
    acceptor = Acceptor(listener, lambda fd, address: None, accept=failing)
    acceptor.on_ready(True)
    acceptor.accept_all(1)
    acceptor.stop()
    gevent.sleep(2 * MIN_DELAY)
    assert failing.tried == 2
    assert reported == []


EXHAUSTION = """
import os, resource, time
import gevent, logging
from gevent import socket
from greenws.server import WSGIServer

lines = []
class Handler(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())
logging.getLogger("greenws").addHandler(Handler())

def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

server = WSGIServer(("127.0.0.1", 0), application, log=None)
server.start()
GET = b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"

def ask(sock):
    sock.sendall(GET)
    data = b""
    while not data.endswith(b"ok"):
        data += sock.recv(1000)

first = socket.create_connection(server.address)
ask(first)
used = len(os.listdir("/proc/self/fd"))
resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, used + 20))
clients = []
try:
    while True:
        clients.append(socket.create_connection(server.address))
        gevent.idle()
except OSError:
    pass
begin, cpu = time.monotonic(), time.process_time()
while time.monotonic() - begin < 1.2:
    ask(first)  # those that are connected go on
    gevent.sleep(0.05)
cpu = time.process_time() - cpu
assert cpu < 0.5, f"the accept loop spins: {cpu} s of CPU"
assert lines and len(lines) <= 3, lines
assert "cannot accept" in lines[0]
for client in clients:
    client.close()
gevent.idle()
begin = time.monotonic()
again = socket.create_connection(server.address)
with gevent.Timeout(5):
    ask(again)
assert time.monotonic() - begin < 1.5, "recovery takes too long"
again.close()
first.close()
server.stop(1)
print("ok")
"""


@pytest.mark.slow
def test_when_descriptors_run_out_it_waits_and_serves_those_it_has():
    done = subprocess.run([sys.executable, "-c", EXHAUSTION], capture_output=True, text=True, timeout=25)
    assert done.stdout == "ok\n", done.stdout + done.stderr
