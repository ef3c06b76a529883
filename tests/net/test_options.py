"""``SocketOptions`` on real sockets: what the kernel has been told."""

from __future__ import annotations

import sys

import pytest
from gevent import socket

from greenws import ConfigError, SocketOptions
from greenws.net import options as module
from greenws.net.options import FASTOPEN_CONNECT, check, prepare_to_connect, prepare_to_listen

TCP, SOL = socket.IPPROTO_TCP, socket.SOL_SOCKET


@pytest.fixture
def sock():
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    yield made
    made.close()


def test_by_default_only_nodelay_is_set(sock):
    before = sock.getsockopt(SOL, socket.SO_SNDBUF), sock.getsockopt(SOL, socket.SO_RCVBUF)
    prepare_to_connect(sock, SocketOptions())
    assert sock.getsockopt(TCP, socket.TCP_NODELAY)
    assert not sock.getsockopt(SOL, socket.SO_KEEPALIVE)
    assert (sock.getsockopt(SOL, socket.SO_SNDBUF), sock.getsockopt(SOL, socket.SO_RCVBUF)) == before


def test_nodelay_can_be_left_off(sock):
    prepare_to_connect(sock, SocketOptions(nodelay=False))
    assert not sock.getsockopt(TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("prepare", [prepare_to_connect, prepare_to_listen])
def test_keepalive(sock, prepare):
    prepare(sock, SocketOptions(keepalive_idle=60, keepalive_interval=7, keepalive_count=4))
    assert sock.getsockopt(SOL, socket.SO_KEEPALIVE)
    assert sock.getsockopt(TCP, module._KEEPALIVE_IDLE) == 60
    assert sock.getsockopt(TCP, socket.TCP_KEEPINTVL) == 7
    assert sock.getsockopt(TCP, socket.TCP_KEEPCNT) == 4


def test_buffers(sock):
    prepare_to_connect(sock, SocketOptions(send_buffer=32768, receive_buffer=16384))
    assert sock.getsockopt(SOL, socket.SO_SNDBUF) >= 32768  # Linux doubles it, for its own book-keeping
    assert sock.getsockopt(SOL, socket.SO_RCVBUF) >= 16384


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_user_timeout_and_fast_open(sock):
    prepare_to_connect(sock, SocketOptions(user_timeout=1.5, fast_open=True))
    assert sock.getsockopt(TCP, socket.TCP_USER_TIMEOUT) == 1500
    assert sock.getsockopt(TCP, FASTOPEN_CONNECT)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a connection may inherit less")
def test_accepted_connections_inherit(sock):
    options = SocketOptions(keepalive_idle=60, user_timeout=1.5, receive_buffer=16384, fast_open=True, reuse_port=True)
    prepare_to_listen(sock, options)
    sock.bind(("127.0.0.1", 0))
    sock.listen(options.backlog)
    client = socket.create_connection(sock.getsockname())
    accepted, _ = sock.accept()
    assert accepted.getsockopt(TCP, socket.TCP_NODELAY)
    assert accepted.getsockopt(SOL, socket.SO_KEEPALIVE)
    assert accepted.getsockopt(TCP, socket.TCP_KEEPIDLE) == 60
    assert accepted.getsockopt(TCP, socket.TCP_USER_TIMEOUT) == 1500
    assert accepted.getsockopt(SOL, socket.SO_RCVBUF) == sock.getsockopt(SOL, socket.SO_RCVBUF)
    client.close()
    accepted.close()


def test_a_socket_that_is_not_tcp_is_left_alone():
    one, two = socket.socketpair()
    prepare_to_connect(one, SocketOptions(keepalive_idle=60))
    prepare_to_listen(two, SocketOptions(keepalive_idle=60))
    assert not one.getsockopt(SOL, socket.SO_KEEPALIVE)
    one.close()
    two.close()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"user_timeout": 1}, "TCP_USER_TIMEOUT"),
        ({"reuse_port": True}, "SO_REUSEPORT"),
        ({"fast_open": True}, "FASTOPEN"),
    ],
)
def test_an_option_the_system_does_not_have_is_an_error(monkeypatch, options, name):
    without = {option: (text, False) for option, (text, _) in module._NOT_EVERYWHERE.items()}
    monkeypatch.setattr(module, "_NOT_EVERYWHERE", without)
    check(SocketOptions())
    with pytest.raises(ConfigError, match=name):
        check(SocketOptions(**options))


@pytest.mark.parametrize(
    "options",
    [
        {"connect_timeout": 0},
        {"connect_timeout": None},
        {"nodelay": 1},
        {"keepalive_idle": 1.5},
        {"keepalive_count": 0},
        {"send_buffer": "64k"},
        {"fast_open": None},
        {"user_timeout": float("inf")},
        {"backlog": True},
    ],
    ids=str,
)
def test_a_value_that_cannot_work_is_an_error(options):
    with pytest.raises(ConfigError):
        SocketOptions(**options)
