"""wss: whom a client trusts, what it speaks, and sessions that are resumed."""

from __future__ import annotations

import ssl

import pytest

import greenws
from greenws import SocketOptions
from greenws.client import tls
from greenws.errors import ConnectError, HandshakeError
from greenws.net.transport import TLS


@pytest.fixture(autouse=True)
def no_sessions():
    tls._sessions.clear()
    yield
    tls._sessions.clear()


@pytest.fixture
def url(site, certificate):
    site.start(certfile=certificate[0], keyfile=certificate[1])
    return f"wss://localhost:{site.server.address[1]}/echo"


def test_an_echo_over_wss(url, trusting):
    with greenws.connect(url, ssl=trusting) as conn:
        for message in ("hi", "x" * 200_000, b"\x00" * 70_000):
            conn.send(message)
            assert conn.receive(5) == message
    assert conn.close_code == 1000


def test_a_certificate_that_nobody_vouches_for_is_refused_by_default(url):
    with pytest.raises(ConnectError, match="certificate") as caught:
        greenws.connect(url)
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert caught.value.is_final
    del caught


def test_a_certificate_for_another_host_is_refused(url, trusting):
    with pytest.raises(ConnectError, match=r"not valid for '127\.0\.0\.1'"):
        greenws.connect(url.replace("localhost", "127.0.0.1"), ssl=trusting)


def test_a_plain_server_is_no_tls_server(site):
    site.start()
    with pytest.raises(ConnectError, match="TLS"):
        greenws.connect(f"wss://localhost:{site.server.address[1]}/echo")


def test_it_offers_http_1_1_and_nothing_else(scripted, server_context, trusting):
    chosen = []
    server_context.set_alpn_protocols(["h2", "http/1.1"])
    trusting.set_alpn_protocols([tls.ALPN])
    server = scripted(
        lambda caller: (chosen.append(caller.socket.selected_alpn_protocol()), caller.accept(), caller.to_end()),
        context=server_context,
    )
    greenws.connect(server.url(host="localhost"), ssl=trusting).abort()
    assert chosen == ["http/1.1"]
    assert tls.default_context() is tls.default_context()
    assert tls.default_context().verify_mode is ssl.CERT_REQUIRED
    assert tls.default_context().check_hostname


def test_a_server_that_chooses_http_2_is_left(scripted, server_context, trusting):
    server_context.set_alpn_protocols(["h2"])
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    server = scripted(lambda caller: caller.to_end(), context=server_context)
    with pytest.raises(ConnectError, match="h2"):
        greenws.connect(server.url(host="localhost"), ssl=trusting)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_further_connection_resumes_the_session(scripted, server_context, trusting, version):
    reused = []
    trusting.maximum_version = version
    server = scripted(
        lambda caller: (reused.append(caller.socket.session_reused), caller.accept(), caller.to_end()), server_context
    )
    for _ in range(3):
        greenws.connect(server.url(host="localhost"), ssl=trusting).abort()
    assert reused == [False, True, True]


def test_unless_it_is_told_not_to(scripted, server_context, trusting):
    reused = []
    server = scripted(
        lambda caller: (reused.append(caller.socket.session_reused), caller.accept(), caller.to_end()), server_context
    )
    for _ in range(2):
        options = SocketOptions(tls_resumption=False)
        greenws.connect(server.url(host="localhost"), ssl=trusting, socket_options=options).abort()
    assert reused == [False, False]


def test_sessions_of_one_context_are_not_anothers(scripted, server_context, trusting, certificate):
    reused = []
    server = scripted(
        lambda caller: (reused.append(caller.socket.session_reused), caller.accept(), caller.to_end()), server_context
    )
    for context in (trusting, ssl.create_default_context(cafile=certificate[0])):
        greenws.connect(server.url(host="localhost"), ssl=context).abort()
    assert reused == [False, False]


def test_so_many_sessions_are_kept(monkeypatch, scripted, server_context, trusting):
    monkeypatch.setattr(tls, "MAX_SESSIONS", 2)
    servers = [scripted(lambda caller: (caller.accept(), caller.to_end()), server_context) for _ in range(3)]
    for server in servers:
        greenws.connect(server.url(host="localhost"), ssl=trusting).abort()
    assert [port for _, _, port in tls._sessions] == [server.port for server in servers[1:]]


def test_the_request_leaves_with_the_end_of_the_tls_handshake(scripted, server_context, trusting):
    came = []

    def talk(caller):
        filter_ = TLS(server_context)
        for _ in range(2):
            came.append(filter_.receive(caller.socket.recv(65536)))
            caller.socket.sendall(filter_.send(b""))

    server = scripted(talk)
    with pytest.raises(HandshakeError, match="without an answer"):
        greenws.connect(f"wss://localhost:{server.port}/", ssl=trusting)
    assert came[0] == b""
    assert came[1].startswith(b"GET / HTTP/1.1\r\n")


def handshake(client_context, server_context, session=None):
    client, server = TLS(client_context, False, "localhost", session), TLS(server_context)
    flight = b""
    while not (client.is_ready and server.is_ready):
        client.receive(flight)
        server.receive(client.send(b""))
        flight = server.send(b"")
    client.receive(flight)
    return client


def test_of_connections_opened_side_by_side_one_keeps_its_session(server_context, trusting, certificate):
    server = (trusting, "localhost", 1)
    tls.keep_session(handshake(trusting, server_context), server, offered=None)
    first = tls.kept_session(server)
    assert first is not None
    tls.keep_session(handshake(trusting, server_context), server, offered=None)
    assert tls.kept_session(server) is first

    restarted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    restarted.load_cert_chain(*certificate)
    tls.keep_session(handshake(trusting, restarted, first), server, offered=first)
    assert tls.kept_session(server) is not first
