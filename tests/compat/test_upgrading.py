"""What all applications of other libraries have in common: the answers, and the end of their call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from greenws import Config, HandshakeError
from greenws.compat.upgrading import ApplicationRun, Environ, Upgrading
from greenws.net.connection import Connection
from greenws.server import WSGIServer
from tests.compat.conftest import ADDRESS, QUIET, TIMEOUT, Serve, Site, end_of

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
Talk = Callable[[Connection, Environ, Any], Any]


class Sockets(Upgrading):
    """Puts the connection itself into the environ."""

    def make_run(self, conn: Connection, environ: Environ) -> ApplicationRun:
        return ApplicationRun(conn, self.application, {**environ, "conn": conn})


@pytest.fixture
def site_for(serve: Serve) -> Callable[..., Site]:
    """Serves an application that is called with its connection, too; it is the site's ``sockets``."""

    def start(talk: Talk, config: Config | None = None) -> Site:
        def application(environ: Environ, start_response: Any) -> Any:
            return talk(environ.get("conn"), environ, start_response)

        sockets = Sockets(application, config)
        site = serve(WSGIServer(ADDRESS, sockets, **QUIET))
        site.sockets = sockets
        return site

    return start


@pytest.fixture
def refusal(site_for: Any) -> Callable[..., HandshakeError]:
    """How an application refuses."""

    def ask(talk: Talk) -> HandshakeError:
        site = site_for(talk)
        with pytest.raises(HandshakeError) as caught:
            site.connect()
        caught.value.__traceback__ = None
        return caught.value

    return ask


class Body:
    """A response's body that wants to be closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from (b"one ", b"two")

    def close(self) -> None:
        self.is_closed = True


def test_a_body_is_read_to_its_end_and_closed(refusal: Any) -> None:
    body = Body()

    def talk(conn: Connection, environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("404 Not Found", [])
        start_response("403 Forbidden", [("X-Why", "because")])  # the last one counts
        return body

    error = refusal(talk)
    assert (error.status, error.body, dict(error.headers)["X-Why"]) == (403, b"one two", "because")
    assert body.is_closed


def test_an_application_may_be_a_generator(refusal: Any) -> None:
    def talk(conn: Connection, environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("403 Forbidden", [])
        yield b"no"

    assert refusal(talk).body == b"no"


def test_an_error_before_the_first_use_is_the_servers_500(refusal: Any, capfd: pytest.CaptureFixture[str]) -> None:
    def talk(conn: Connection, environ: Environ, start_response: Any) -> None:
        raise RuntimeError("on purpose")

    assert refusal(talk).status == 500
    assert "on purpose" in capfd.readouterr().err


@pytest.mark.parametrize("answer", [None, [], [b"dropped"]])
def test_what_is_returned_behind_a_conversation_is_dropped(site_for: Any, answer: Any) -> None:
    def talk(conn: Connection, environ: Environ, start_response: Any) -> Any:
        conn.send("hi")
        start_response("200 OK", [])
        return answer

    conn = site_for(talk).connect()
    assert conn.receive(TIMEOUT) == "hi"
    assert end_of(conn) == (1000, "")


@pytest.mark.parametrize(("status", "code"), [("200 OK", 1000), ("302 Found", 1000), ("403 X", 1008), ("503 X", 1011)])
def test_the_status_behind_a_conversation_becomes_the_close_code(site_for: Any, status: str, code: int) -> None:
    def talk(conn: Connection, environ: Environ, start_response: Any) -> list[bytes]:
        conn.send("hi")
        start_response(status, [])
        return []

    conn = site_for(talk).connect()
    assert conn.receive(TIMEOUT) == "hi"
    assert end_of(conn)[0] == code


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", b"400 Bad Request"),
        (REQUEST.replace(b"13", b"8"), b"426 Upgrade Required"),
    ],
)
def test_what_is_no_handshake_never_reaches_the_application(site_for: Any, head: bytes, status: bytes) -> None:
    reached: list[Environ] = []
    site = site_for(lambda conn, environ, start_response: reached.append(environ))
    with gevent.socket.create_connection(site.server.address) as sock:
        sock.sendall(head)
        data = b""
        while more := sock.recv(65536):
            data += more
    assert data.startswith(b"HTTP/1.1 " + status)
    assert not reached


def test_a_server_that_cannot_hand_over_is_told_a_command() -> None:
    answers: list[Any] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "x",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    body = Sockets(lambda *_: pytest.fail("it was called"))(environ, lambda *answer: answers.append(answer))
    assert answers[0][0] == "501 Not Implemented"
    assert b"greenws run" in b"".join(body)


def test_limits_refuse_and_are_counted(site_for: Any) -> None:
    config = Config(max_address_connections=1, ping_interval=None)
    site = site_for(lambda conn, environ, start_response: conn.receive() and None, config)
    conn = site.connect()
    with pytest.raises(HandshakeError) as refusal:
        site.connect()
    assert (refusal.value.status, dict(refusal.value.headers)["Retry-After"]) == (429, "5")
    registry = site.sockets.service.registry
    assert registry.limits == {"max_address_connections": 1}
    assert len(registry) == 1
    conn.close()
    conn.wait_closed(TIMEOUT)
    gevent.idle()
    assert len(registry) == 0
    assert not registry.views


def test_a_peer_that_leaves_while_the_application_decides_leaves_nothing(site_for: Any) -> None:
    decided = Event()

    def talk(conn: Connection, environ: Environ, start_response: Any) -> list[bytes]:
        gevent.sleep(0.01)
        start_response("403 Forbidden", [])
        decided.set()
        return []

    site = site_for(talk)
    with gevent.socket.create_connection(site.server.address) as sock:
        sock.sendall(REQUEST)
        gevent.sleep(0.001)
    assert decided.wait(TIMEOUT)
    gevent.idle()
    assert len(site.sockets.service.registry) == 0


def test_a_dead_peer_is_found_by_pings(site_for: Any) -> None:
    ended = Event()
    config = Config(ping_interval=0.1, ping_timeout=0.1)

    def talk(conn: Connection, environ: Environ, start_response: Any) -> None:
        try:
            conn.receive()
        finally:
            ended.set()

    site = site_for(talk, config)
    with gevent.socket.create_connection(site.server.address) as sock:
        sock.sendall(REQUEST)
        assert ended.wait(TIMEOUT)  # it answers no ping
    assert site.sockets.service.registry.limits == {"ping_timeout": 1}
