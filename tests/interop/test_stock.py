"""Servers that are not ours: stock gunicorn with its gevent workers, and gevent's own; and those that cannot."""

import errno
import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from werkzeug.serving import make_server

from tests.interop.app import STYLES
from tests.interop.stock import create_app, serve, worker_pid
from tests.interop.test_cycles import REQUEST, cycle, descriptors
from tests.wire import CLOSE, PING, TEXT, frame

KINDS = ("gevent", "gevent_pywsgi", "pywsgi")
TIMEOUT = 10
HELLO = b"\x81\x05hello"
FAULT = re.compile(r"error|exception|traceback|critical|warning", re.IGNORECASE)
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Peer:
    """A raw client."""

    def __init__(
        self,
        port: int,
        path: str = "/event",
        headers: bytes = b"",
        early: bytes = b"",
        certificate: Path | None = None,
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        if certificate is not None:
            self.socket = ssl.create_default_context(cafile=certificate).wrap_socket(
                self.socket, server_hostname="localhost"
            )
        self._data = b""
        self.send(REQUEST.replace(b"\r\n", b"\r\n" + headers, 1) % path.encode() + early)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until(self, end: bytes) -> bytes:
        """Returns all up to ``end`` and with it."""
        while end not in self._data:
            more = self.socket.recv(65536)
            assert more, f"the server closed behind {self._data!r}"
            self._data += more
        found, end, self._data = self._data.partition(end)
        return found + end

    def head(self) -> tuple[int, str]:
        """The status and the rest of a response head."""
        first, _, rest = self.until(b"\r\n\r\n").decode().partition("\r\n")
        return int(first.split()[1]), rest

    def rest(self) -> bytes:
        """All up to the end of the stream."""
        while more := self.socket.recv(65536):
            self._data += more
        return self._data


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    options = ["--worker-connections=50"] if request.param != "pywsgi" else []
    with serve(request.param, *options) as server:
        yield server
    assert server.process.returncode == 0


@pytest.fixture(autouse=True)
def nothing_in_the_error_log(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "server" in request.fixturenames:
        errors = request.getfixturevalue("server").errors()
        assert not FAULT.search(errors), errors


@pytest.fixture(params=STYLES)
def style(request: pytest.FixtureRequest) -> str:
    return request.param


def test_echoes_from_the_first_byte_behind_the_handshake_to_a_clean_end(server: SimpleNamespace, style: str) -> None:
    lines = server.access().count(" 101 ")
    with Peer(server.port, f"/{style}", early=frame(TEXT, b"hello")) as peer:
        status, headers = peer.head()
        assert status == 101
        assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in headers
        assert "content-length" not in headers.lower()
        assert "transfer-encoding" not in headers.lower()
        peer.until(HELLO)
        assert server.access().count(" 101 ") == lines + 1
        peer.send(frame(PING, b"x"))
        peer.until(b"\x8a\x01x")
        peer.send(frame(TEXT, b"hello"))
        peer.until(HELLO)
        peer.send(frame(CLOSE, b"\x03\xe8"))
        assert peer.rest() == b"\x88\x02\x03\xe8"


def test_headers_and_cookies_leave_with_the_101(server: SimpleNamespace) -> None:
    with Peer(server.port) as peer:
        status, headers = peer.head()
        assert status == 101
        assert "Set-Cookie: seen=yes" in headers
        assert "X-Outer: 1" in headers


def test_before_request_refuses_and_the_connection_stays_http(server: SimpleNamespace) -> None:
    with Peer(server.port, headers=b"X-Refuse: yes\r\n") as peer:
        assert peer.head()[0] == 401
        peer.until(b"not you")
        peer.send(GET)
        assert peer.head()[0] == 200
        peer.until(b"plain")
        peer.send(REQUEST % b"/event" + frame(TEXT, b"hello"))
        assert peer.head()[0] == 101
        peer.until(HELLO)


@pytest.mark.parametrize("end", [frame(CLOSE, b"\x03\xe8"), b"\x83\x80\0\0\0\0"], ids=["closed", "failed"])
def test_after_the_upgrade_never_http_again(server: SimpleNamespace, style: str, end: bytes) -> None:
    with Peer(server.port, f"/{style}", early=end + GET) as peer:
        assert peer.head()[0] == 101
        assert b"HTTP" not in peer.rest()


def test_parked_connections_take_no_place_of_the_server(server: SimpleNamespace, style: str) -> None:
    with ExitStack() as stack:
        peers = [stack.enter_context(Peer(server.port, f"/{style}")) for _ in range(200)]
        for peer in peers:
            assert peer.head()[0] == 101
        page = HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
        page.request("GET", "/")
        assert page.getresponse().read() == b"plain"
        page.close()
        for peer in peers:
            peer.send(frame(TEXT, b"hello"))
        for peer in peers:
            peer.until(HELLO)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
def test_nothing_is_left_of_connections_that_came_and_went(server: SimpleNamespace, style: str) -> None:
    pid = worker_pid(server.process.pid)
    counts = []
    for _ in range(2):
        for number in range(50):
            cycle(server.port, f"/{style}".encode(), reset=number % 2 == 1)
        cycle(server.port, b"/event", reset=False)  # the server has seen the last reset, too
        counts.append(descriptors(pid))
    assert counts[1] <= counts[0] + 1


@pytest.mark.slow
def test_an_interim_response_comes_before_the_101() -> None:
    with serve("gevent") as server, Peer(server.port, "/hinting") as peer:
        assert peer.head()[0] == 103
        assert peer.head()[0] == 101
        assert not FAULT.search(server.errors())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_at_the_end_of_the_process_every_peer_is_told(kind: str, style: str) -> None:
    with serve(kind) as server, ExitStack() as stack:
        peers = [stack.enter_context(Peer(server.port, f"/{style}")) for _ in range(20)]
        for peer in peers:
            assert peer.head()[0] == 101
        server.process.send_signal(signal.SIGTERM)
        for peer in peers:
            peer.until(b"\x88\x02\x03\xe9")
            peer.send(frame(CLOSE, b"\x03\xe9"))
            assert peer.rest() == b""
        assert server.process.wait(TIMEOUT) == 0
        assert not FAULT.search(server.errors()), server.errors()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gevent", "gevent_pywsgi"])
def test_the_servers_of_gunicorns_worker_are_found_and_closed_before_anybody_is_told(kind: str) -> None:
    with serve(kind) as server, Peer(server.port) as peer:
        page = HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
        page.request("GET", "/servers")
        assert page.getresponse().read() == b"1"
        page.close()
        assert peer.head()[0] == 101
        server.process.send_signal(signal.SIGTERM)
        peer.until(b"\x88\x02\x03\xe9")
        with socket.socket() as late:
            assert late.connect_ex(("127.0.0.1", server.port)) == errno.ECONNREFUSED
        assert server.process.poll() is None


def refusal(port: int, certificate: Path | None = None) -> str:
    with Peer(port, certificate=certificate) as peer:
        status, _ = peer.head()
        assert status == 501
        return peer.until(b"WSGIServer.").decode()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gevent", "gevent_pywsgi"])
def test_an_encrypted_connection_stays_with_its_server(kind: str, tmp_path: Path) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost -keyout {tmp_path}/key -out {tmp_path}/certificate"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    with serve(kind, f"--certfile={tmp_path}/certificate", f"--keyfile={tmp_path}/key") as server:
        assert "greenws run module:app" in refusal(server.port, tmp_path / "certificate")
        assert not FAULT.search(server.errors()), server.errors()


@pytest.mark.slow
def test_a_worker_without_a_loop_names_one_that_works() -> None:
    with serve("sync") as server:
        assert "greenws run module:app" in refusal(server.port)
        assert not FAULT.search(server.errors()), server.errors()


def test_flask_run_names_a_command_that_works() -> None:
    server = make_server("127.0.0.1", 0, create_app(), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        assert "greenws run module:app" in refusal(server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
