"""Through a proxy: HTTP, HTTPS and SOCKS 5, on real sockets."""

from __future__ import annotations

import gevent
import pytest
from gevent import socket

import greenws
from greenws import ConfigError
from greenws.client import proxy as module
from greenws.client.address import parse_url
from greenws.client.proxy import find_proxy
from greenws.errors import ConnectError


def relay(caller, port):
    """Moves bytes between a client and a port, both ways, until one of them ends."""
    server = socket.create_connection(("127.0.0.1", port))

    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    back = gevent.spawn(copy, server, caller.socket)
    try:
        server.sendall(caller.data)
        copy(caller.socket, server)
        back.join()
    finally:
        back.kill()
        server.close()


@pytest.fixture
def http_proxy(scripted):
    """An HTTP proxy's script, and the heads it was sent."""
    heads = []

    def serve(caller):
        heads.append(caller.head())
        _, authority, _ = heads[-1][""].split(" ")
        caller.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        relay(caller, int(authority.rpartition(":")[2]))

    serve.heads = heads
    return serve


def test_plain_through_an_http_proxy(site, scripted, http_proxy):
    site.start()
    proxy = scripted(http_proxy)
    url = f"ws://app.example:{site.server.address[1]}/echo"  # which only the proxy can reach
    with greenws.connect(url, proxy=f"http://ada:secret@127.0.0.1:{proxy.port}", headers={"Cookie": "x"}) as conn:
        conn.send("hi")
        assert conn.receive(5) == "hi"
    (head,) = http_proxy.heads
    assert head == {
        "": f"CONNECT app.example:{site.server.address[1]} HTTP/1.1",
        "host": f"app.example:{site.server.address[1]}",
        "proxy-authorization": "Basic YWRhOnNlY3JldA==",
    }


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_wss_through_a_proxy(site, scripted, http_proxy, certificate, server_context, trusting, monkeypatch, scheme):
    """With https there is TLS to the server inside TLS to the proxy."""
    monkeypatch.setattr(module, "default_context", lambda: trusting, raising=False)
    monkeypatch.setattr("greenws.client.connect.default_context", lambda: trusting)
    site.start(certfile=certificate[0], keyfile=certificate[1])
    proxy = scripted(http_proxy, server_context if scheme == "https" else None)
    url = f"wss://localhost:{site.server.address[1]}/echo"
    with greenws.connect(url, proxy=f"{scheme}://localhost:{proxy.port}", ssl=trusting) as conn:
        for message in ("hi", "x" * 300_000):
            conn.send(message)
            assert conn.receive(5) == message


@pytest.mark.parametrize(("status", "is_final"), [("407 Who are you", True), ("502 Bad", False), ("403 No", True)])
def test_a_proxy_that_refuses(scripted, status, is_final):
    proxy = scripted(lambda caller: (caller.head(), caller.send(f"HTTP/1.1 {status}\r\n\r\n".encode())))
    with pytest.raises(ConnectError, match=f"the proxy answered {status}") as caught:
        greenws.connect("ws://app.example/", proxy=f"http://127.0.0.1:{proxy.port}")
    assert caught.value.is_final == is_final


@pytest.mark.parametrize("answer", [b"hello\r\n", b"", b"HTTP/1.1 200"])
def test_a_proxy_that_is_none(scripted, answer):
    proxy = scripted(lambda caller: (caller.head(), caller.send(answer)))
    with pytest.raises(ConnectError, match="the proxy"):
        greenws.connect("ws://app.example/", proxy=f"http://127.0.0.1:{proxy.port}")


# ---- SOCKS 5


def socks(*, method=b"\x05\x00", auth=b"\x01\x00", reply=b"\x05\x00\x00\x01\0\0\0\0\0\0", asked=None):
    def serve(caller):
        version, count = caller.read(2)
        assert version == 5
        caller.read(count)
        caller.send(method)
        if method == b"\x05\x02":
            assert caller.read(2) == b"\x01\x03"
            assert caller.read(3 + 1 + 6) == b"ada\x06secret"
            caller.send(auth)
        assert caller.read(4) == b"\x05\x01\x00\x03"
        name = caller.read(caller.read(1)[0])
        port = int.from_bytes(caller.read(2), "big")
        if asked is not None:
            asked.append(name)
        caller.send(reply)
        if reply[1] == 0:
            relay(caller, port)

    return serve


@pytest.mark.parametrize(
    "reply",
    [
        b"\x05\x00\x00\x01\0\0\0\0\0\0",
        b"\x05\x00\x00\x04" + bytes(18),
        b"\x05\x00\x00\x03\x03abc\0\0",
    ],
    ids=["v4", "v6", "name"],
)
def test_through_a_socks_proxy_that_resolves_the_name(site, scripted, reply):
    site.start()
    asked = []
    proxy = scripted(socks(reply=reply, asked=asked))
    url = f"ws://app.example:{site.server.address[1]}/echo"
    with greenws.connect(url, proxy=f"socks5h://127.0.0.1:{proxy.port}") as conn:
        conn.send("hi")
        assert conn.receive(5) == "hi"
    assert asked == [b"app.example"]


def test_a_socks_proxy_with_a_password(site, scripted):
    site.start()
    proxy = scripted(socks(method=b"\x05\x02"))
    url = f"ws://app.example:{site.server.address[1]}/echo"
    with greenws.connect(url, proxy=f"socks5://ada:secret@127.0.0.1:{proxy.port}") as conn:
        conn.send("hi")
        assert conn.receive(5) == "hi"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"method": b"\x05\xff"}, "another way"),
        ({"method": b"\x05\x02", "auth": b"\x01\x01"}, "user and password"),
        ({"method": b"\x05\x02", "reply": b"\x05\x05\x00\x01" + bytes(6)}, "connection refused"),
        ({"method": b"\x05\x02", "reply": b"\x05\x04\x00\x01" + bytes(6)}, "host unreachable"),
        ({"method": b"\x05\x02", "reply": b"\x05\x77\x00\x01" + bytes(6)}, "does not speak"),
        ({"method": b"\x05\x02", "reply": b"\x04\x00\x00\x01" + bytes(6)}, "does not speak"),
        ({"method": b"\x05\x02", "reply": b"\x05\x01\x00\x09" + bytes(300)}, "does not speak"),
        ({"method": b"HT"}, "does not speak|another way"),
    ],
)
def test_a_socks_proxy_that_refuses_or_cannot_be_understood(scripted, options, why):
    proxy = scripted(socks(**options))
    with pytest.raises(ConnectError, match=why):
        greenws.connect("ws://app.example/", proxy=f"socks5://ada:secret@127.0.0.1:{proxy.port}", timeout=5)


def test_a_password_too_long_for_socks(scripted):
    proxy = scripted(socks(method=b"\x05\x02"))
    with pytest.raises(ConnectError, match="does not speak"):
        greenws.connect("ws://app.example/", proxy=f"socks5://a:{'x' * 300}@127.0.0.1:{proxy.port}")


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install"):
        greenws.connect("ws://app.example/", proxy="socks5://127.0.0.1")


# ---- which


HERE, THERE = parse_url("ws://app.example/"), parse_url("wss://app.example/")


@pytest.fixture
def environment(monkeypatch):
    for name in ("ws", "wss", "socks", "http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)
    return monkeypatch.setenv


def test_the_environment_is_not_asked_unless_told_to(environment):
    environment("WS_PROXY", "http://proxy.example")
    assert find_proxy(None, HERE) is None
    assert find_proxy(False, HERE) is None
    assert find_proxy(True, HERE).host == "proxy.example"


@pytest.mark.parametrize(
    ("names", "plain", "encrypted"),
    [
        (("HTTP",), "http", None),
        (("HTTPS", "HTTP"), "https", "https"),
        (("SOCKS", "HTTPS", "HTTP"), "socks", "socks"),
        (("WS", "SOCKS", "HTTPS"), "ws", "socks"),
        (("WSS", "HTTPS"), "https", "wss"),
        ((), None, None),
    ],
)
def test_the_environments_proxy(environment, names, plain, encrypted):
    for name in names:
        environment(f"{name}_PROXY", f"http://{name.lower()}.example:3128")
    for address, expected in ((HERE, plain), (THERE, encrypted)):
        found = find_proxy(True, address)
        assert (found and found.host) == (expected and f"{expected}.example")


def test_no_proxy_names_the_exceptions(environment):
    environment("HTTPS_PROXY", "http://proxy.example")
    environment("NO_PROXY", "app.example")
    assert find_proxy(True, THERE) is None
    assert find_proxy(True, parse_url("wss://other.example/")) is not None


@pytest.mark.parametrize(
    ("url", "port"), [("http://p", 80), ("https://p", 443), ("socks5://p", 1080), ("http://p:1", 1)]
)
def test_a_proxys_port(url, port):
    assert find_proxy(url, HERE).port == port


def test_a_log_shows_no_password():
    assert "secret" not in repr(find_proxy("http://ada:secret@p", HERE))
