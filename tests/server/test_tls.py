"""TLS: pages and WebSockets on one port, parked like plain ones."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

import gevent
import pytest
from flask import Flask
from gevent import socket, ssl
from gevent import subprocess as green

from greenws import GreenWS
from greenws.config import Config
from greenws.net.transport import TLS
from greenws.server import WSGIServer
from greenws.server.tls import make_context, rehearse
from tests.leaks import greenlets
from tests.server.conftest import upgrade_request

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLOSE = b"\x88\x80\0\0\0\0"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for localhost that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certfile, keyfile = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost "
            f"-addext subjectAltName=DNS:localhost -keyout {keyfile} -out {certfile}"
        ).split(),
        check=True,
        capture_output=True,
    )
    return str(certfile), str(keyfile)


def _trusting(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate[0])
    return context


@pytest.fixture
def wrap(certificate):
    """Encrypts a client's socket and checks the server's certificate."""
    context = _trusting(certificate)
    return lambda sock: context.wrap_socket(sock, server_hostname="localhost")


@pytest.fixture
def site(site, certificate):
    return site.start(certfile=certificate[0], keyfile=certificate[1])


def frame(payload, opcode=2):
    """A client's frame with the masking key 0."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xff" + size.to_bytes(8, "big")
    if 126 <= size < 65536:
        length = b"\xfe" + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload


@pytest.mark.parametrize("path", ["/echo", "/view"])
def test_an_echo_over_wss(site, wrap, path):
    client = site.client(wrap)
    client.send(upgrade_request(path, Origin="https://localhost"))
    assert client.head()[0] == 101
    client.send(frame(b"hello", 1))
    assert client.read(7) == b"\x81\x05hello"
    client.send(CLOSE)
    assert client.rest() == b"\x88\x00"


def test_the_origin_must_be_https_too(site, wrap):
    client = site.client(wrap)
    client.send(upgrade_request(Origin="http://localhost"))
    assert client.response()[0] == 403


@pytest.mark.parametrize("size", [1, 16384, 16385, 300_000, 1_000_000])
def test_large_messages_over_wss(site, wrap, size):
    client = site.client(wrap)
    client.send(upgrade_request())
    assert client.head()[0] == 101
    message = os.urandom(size)
    sender = gevent.spawn(client.send, frame(message))
    header = 2 if size < 126 else 4 if size < 65536 else 10
    client.read(header)
    assert client.read(size) == message
    sender.get(timeout=5)


def test_streams_over_wss(site, wrap):
    """Both ways: larger than is held in memory, and larger than what may wait for the peer."""

    @site.ws.route("/copy", max_message_size=1000, max_stream_size=1 << 30)
    def copy(conn):
        chunks = list(conn.receive_stream())
        assert len(chunks) > 40
        conn.send_stream(chunks)

    payload = os.urandom(3 << 20)
    client = site.client(wrap)
    client.send(upgrade_request("/copy", Origin="https://localhost"))
    assert client.head()[0] == 101
    sender = gevent.spawn(client.send, frame(payload))
    found, first = b"", 0
    while first & 0x80 == 0:
        first, length = client.read(2)
        if length >= 126:
            length = int.from_bytes(client.read(2 if length == 126 else 8), "big")
        found += client.read(length)
    sender.join()
    assert found == payload


def test_early_frames_in_the_record_of_the_handshake(site, wrap):
    client = site.client(wrap)
    client.send(upgrade_request() + frame(b"a") + frame(b"b") + CLOSE)
    assert client.head()[0] == 101
    assert client.rest() == b"\x82\x01a\x82\x01b\x88\x00"


def test_pages_keep_alive_and_pipelining_over_https(site, wrap):
    client = site.client(wrap)
    post = b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000
    client.send(GET + post + GET)
    assert [len(client.response()[2]) for _ in range(3)] == [5, 20000, 5]
    client.send(GET)
    assert client.response()[2] == b"index"
    client.send(upgrade_request())
    assert client.head()[0] == 101


def test_requests_behind_a_body_are_all_answered_over_https(site, wrap):
    """More than is read of a body at once, and all of it in what the socket had."""
    client = site.client(wrap)
    client.send(b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
    gevent.idle()  # the application waits for the body
    count = 14_000 // len(GET)
    client.send(b"hello" + GET * count)
    assert [client.response()[2] for _ in range(1 + count)] == [b"hello"] + [b"index"] * count


@pytest.mark.parametrize("request_", [b"GET /stream HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_the_end_of_an_answer_can_be_told_from_a_lost_connection_over_https(site, certificate, request_):
    context = _trusting(certificate)

    def wrap(sock):
        return context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)

    client = site.client(wrap)
    client.send(request_)
    assert client.rest()


def test_expect_100_continue_over_https(site, wrap):
    client = site.client(wrap)
    client.send(b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert client.head()[0] == 100
    client.send(b"hello")
    assert client.response()[2] == b"hello"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_tls_handshake_waits_for_no_request_and_a_request_for_no_body(site, certificate, version):
    context = _trusting(certificate)
    context.maximum_version = version
    client = site.client(lambda sock: context.wrap_socket(sock, server_hostname="localhost"))
    gevent.idle()
    client.send(b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
    gevent.idle()
    client.send(b"hello")
    assert client.response()[0] == 200


def test_the_session_tickets_leave_with_the_answer(site, certificate):
    client, sock = TLS(_trusting(certificate), False, "localhost"), socket.create_connection(site.server.address)
    client.receive(b"")
    sock.sendall(client.send(b""))
    assert client.receive(sock.recv(65536)) == b""
    sock.sendall(client.send(upgrade_request()))
    assert client.receive(sock.recv(65536)).startswith(b"HTTP/1.1 101 ")
    assert client.session.has_ticket
    sock.close()


def test_a_server_that_warms_up_has_done_a_handshake_before_its_first_peer_comes(certificate, wrap):
    app = Flask("warm")
    GreenWS(app, warm_up=[])
    context = make_context(*certificate)
    server = WSGIServer(("127.0.0.1", 0), app, log=None, ssl_context=context)
    server.start()
    try:
        with wrap(socket.create_connection(server.address)) as client:
            client.sendall(GET)
            assert client.recv(1) == b"H"
            assert context.session_stats()["accept_good"] == 2
    finally:
        server.stop(1)


def test_a_rehearsal_runs_no_code_of_the_users_and_needs_no_certificate_of_a_client(certificate):
    context = make_context(*certificate)
    context.sni_callback = lambda *_: pytest.fail("called")
    rehearse(context)
    assert context.session_stats()["accept"] == 0
    context.sni_callback = None
    context.verify_mode = ssl.CERT_REQUIRED
    rehearse(context)
    assert context.session_stats()["accept"] == 1


def test_a_client_byte_by_byte(site, wrap):
    """Every record in pieces: the handshake of TLS, that of WebSocket, and frames."""
    ours, theirs = socket.socketpair()
    outer = socket.create_connection(site.server.address)

    def forward(source, sink, size):
        try:
            while data := source.recv(65536):
                for at in range(0, len(data), size):
                    sink.sendall(data[at : at + size])
                    gevent.sleep(0)
        except OSError:
            pass

    pumps = [gevent.spawn(forward, theirs, outer, 1), gevent.spawn(forward, outer, theirs, 7)]
    with wrap(ours) as client:
        client.sendall(upgrade_request() + frame(b"hello", 1))
        data = b""
        while not data.endswith(b"\x81\x05hello"):
            data += client.recv(65536)
    gevent.killall(pumps)
    theirs.close()
    outer.close()


@pytest.mark.parametrize("path", ["/echo"])
def test_a_quiet_connection_is_parked(site, wrap, path):
    """No greenlet waits for it."""
    clients = [site.client(wrap) for _ in range(10)]
    gevent.idle()
    before = len(greenlets())
    for client in clients:
        client.send(upgrade_request(path))
        assert client.head()[0] == 101
    gevent.idle()
    assert len(greenlets()) == before
    idle = [site.client(wrap) for _ in range(10)]
    for client in idle:
        client.send(GET)
        assert client.response()[2] == b"index"
    gevent.idle()
    assert len(greenlets()) == before


def test_a_plain_request_to_the_encrypted_port_is_closed(site):
    client = site.client()
    client.send(GET)
    assert b"index" not in client.rest()


def test_a_client_that_does_not_trust_the_certificate_leaves_nothing(site):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def wrap(sock):
        try:
            return context.wrap_socket(sock, server_hostname="localhost")
        finally:
            sock.close()

    with pytest.raises(ssl.SSLError):
        site.client(wrap)
    with gevent.Timeout(5):
        while site.server.arrivals:
            gevent.idle()


def test_stop_says_1001_over_wss(site, wrap):
    client = site.client(wrap)
    client.send(upgrade_request())
    assert client.head()[0] == 101
    stopping = gevent.spawn(site.server.stop, 5)
    assert client.read(4) == b"\x88\x02\x03\xe9"
    client.send(b"\x88\x82\0\0\0\0\x03\xe9")
    assert client.rest() == b""
    stopping.get(timeout=5)


@pytest.mark.slow
@pytest.mark.parametrize("drip", [False, True])
def test_a_tls_handshake_that_is_not_finished_is_closed_at_the_deadline(site, certificate, drip):
    site.server.stop(1)
    site.start(certfile=certificate[0], keyfile=certificate[1], config=Config(handshake_timeout=0.4))
    client = site.client()

    def run():
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
        try:
            for byte in hello:
                client.send(bytes([byte]))
                gevent.sleep(0.05)
        except OSError:
            pass

    dripper = gevent.spawn(run if drip else lambda: None)
    with gevent.Timeout(3), suppress(ConnectionResetError):  # by a byte that came when it was closed
        client.rest()
    dripper.kill()


def test_a_lost_client_in_the_middle_of_everything(site, wrap):
    client = site.client(wrap)
    client.send(upgrade_request())
    assert client.head()[0] == 101
    client.send(frame(b"x" * 1000)[:500])
    raw = socket.socket(fileno=client.socket.detach())
    raw.close()
    with gevent.Timeout(5):
        while len(site.app.extensions["greenws"].registry):
            gevent.idle()


def connect_with(site, certificate, **settings):
    """An encrypted connection of a client whose context has these attributes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate[0])
    for name, value in settings.items():
        if name == "alpn":
            context.set_alpn_protocols(value)
        else:
            setattr(context, name, value)
    return site.client(lambda sock: context.wrap_socket(sock, server_hostname="localhost")).socket


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_it_speaks_tls_1_2_and_1_3(site, certificate, version):
    sock = connect_with(site, certificate, minimum_version=version, maximum_version=version)
    assert sock.version() == {771: "TLSv1.2", 772: "TLSv1.3"}[version]
    sock.sendall(GET)
    assert sock.recv(1000).startswith(b"HTTP/1.1 200")


def test_the_context_that_it_makes_takes_nothing_older_and_no_renegotiation(certificate):
    context = make_context(*certificate)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_an_older_version_is_refused(site, certificate):
    old = {"minimum_version": ssl.TLSVersion.TLSv1_1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    with pytest.raises(ssl.SSLError):
        connect_with(site, certificate, **old)


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), (["h2"], None)]
)
def test_it_speaks_http_1_1_and_says_so(site, certificate, offered, chosen):
    sock = connect_with(site, certificate, alpn=offered)
    assert sock.selected_alpn_protocol() == chosen


def test_a_peer_that_asks_to_renegotiate_is_not_served_that(site, certificate):
    """With OpenSSL's own client: Python's ssl cannot ask for it."""
    done = green.run(
        [
            "openssl",
            "s_client",
            "-connect",
            f"localhost:{site.server.server_port}",
            "-tls1_2",
            "-CAfile",
            certificate[0],
        ],
        input="R\n",
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert "RENEGOTIATING" in done.stderr + done.stdout
    assert "no renegotiation" in done.stderr + done.stdout


def test_a_peer_that_ends_its_half_is_read_to_the_end(site, wrap):
    """It says at TLS's level that nothing more comes (close_notify), behind its last message."""
    client = site.client(wrap)
    client.send(upgrade_request())
    assert client.head()[0] == 101
    client.send(frame(b"last"))
    assert client.read(6) == b"\x82\x04last"
    raw = client.socket.unwrap()
    assert raw.recv(100) == b""
    raw.close()
