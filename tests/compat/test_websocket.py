"""The socket of gevent-websocket's applications: its calls, one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.queue import Queue

from greenws.compat.gevent_websocket import (
    MSG_ALREADY_CLOSED,
    MSG_CLOSED,
    MSG_SOCKET_DEAD,
    WebSocket,
    WebSocketError,
    WebSocketServer,
)
from greenws.errors import ProtocolError
from tests.compat.conftest import ADDRESS, QUIET, TIMEOUT, Serve, Site, end_of

Talk = Callable[[Callable[[WebSocket], Any]], Any]


@pytest.fixture
def site_for(serve: Serve) -> Callable[[Callable[[WebSocket], Any]], Site]:
    """Serves a function of the socket."""

    def start(function: Callable[[WebSocket], Any]) -> Site:
        return serve(WebSocketServer(ADDRESS, lambda environ, _: function(environ["wsgi.websocket"]), **QUIET))

    return start


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("text",), "text"),
        ((b"bytes",), b"bytes"),
        ((bytearray(b"bytes"),), b"bytes"),
        ((memoryview(b"bytes"),), b"bytes"),
        (("text", True), b"text"),
        ((b"bytes", False), "bytes"),
        (("text", False), "text"),
        ((b"bytes", True), b"bytes"),
    ],
)
def test_sends_by_type_or_as_told(site_for: Any, args: tuple[Any, ...], message: str | bytes) -> None:
    assert site_for(lambda ws: ws.send(*args)).connect().receive(TIMEOUT) == message


@pytest.mark.parametrize("message", [None, 5, ["text"]])
def test_sends_nothing_that_is_no_message(site_for: Any, message: Any) -> None:
    found: Queue[Any] = Queue()

    def talk(ws: WebSocket) -> None:
        with pytest.raises(TypeError) as error:
            ws.send(message)
        found.put(str(error.value))
        error.value.__traceback__ = None
        ws.send("still open")

    assert site_for(talk).connect().receive(TIMEOUT) == "still open"
    assert found.get(timeout=TIMEOUT)


def test_binary_messages_come_as_bytearrays(site_for: Any) -> None:
    found: Queue[Any] = Queue()
    conn = site_for(lambda ws: found.put(ws.receive())).connect()
    conn.send(b"\x00\xff")
    message = found.get(timeout=TIMEOUT)
    assert (type(message), message) == (bytearray, b"\x00\xff")


@pytest.mark.parametrize("leave", ["close", "abort"])
def test_the_end_is_none_once_and_an_error_from_then_on(site_for: Any, leave: str) -> None:
    found: Queue[Any] = Queue()

    def talk(ws: WebSocket) -> None:
        found.put((ws.closed, ws.receive()))
        found.put((ws.receive(), ws.closed))
        for call in (ws.receive, lambda: ws.send("x"), lambda: ws.send_frame(b"", ws.OPCODE_PING)):
            with pytest.raises(WebSocketError) as error:
                call()
            found.put(str(error.value))
            error.value.__traceback__ = None

    conn = site_for(talk).connect()
    conn.send("last")
    gevent.idle()
    getattr(conn, leave)()
    said = [found.get(timeout=TIMEOUT) for _ in range(5)]
    assert said == [(False, "last"), (None, True), MSG_ALREADY_CLOSED, MSG_SOCKET_DEAD, MSG_SOCKET_DEAD]


def test_messages_that_came_before_the_end_are_received_first(site_for: Any) -> None:
    found: Queue[Any] = Queue()

    def talk(ws: WebSocket) -> None:
        ws.send("go")
        gevent.sleep(0.02)
        found.put([ws.receive() for _ in range(3)])

    conn = site_for(talk).connect()
    conn.receive(TIMEOUT)
    conn.send("one")
    conn.send("two")
    conn.abort()
    assert found.get(timeout=TIMEOUT) == ["one", "two", None]


@pytest.mark.parametrize(
    ("args", "end"),
    [
        ((), (1000, "")),
        ((4001,), (4001, "")),
        ((1001, "bye"), (1001, "bye")),
        ((1001, b"bye"), (1001, "bye")),
        ((1000, None), (1000, "")),
        ((1000, "ü" * 100), (1000, "ü" * 61)),  # 123 bytes at most, and no half of a letter
    ],
)
def test_closes_with_code_and_reason(site_for: Any, args: tuple[Any, ...], end: tuple[int, str]) -> None:
    assert end_of(site_for(lambda ws: ws.close(*args)).connect()) == end


def test_closing_again_does_nothing(site_for: Any) -> None:
    def talk(ws: WebSocket) -> None:
        ws.close(4001)
        assert ws.closed
        ws.close(4002)

    assert end_of(site_for(talk).connect()) == (4001, "")


def test_a_code_that_may_not_be_sent_is_an_error(site_for: Any, caplog: pytest.LogCaptureFixture) -> None:
    def talk(ws: WebSocket) -> None:
        ws.send("open")
        ws.close(1006)

    conn = site_for(talk).connect()
    conn.receive(TIMEOUT)
    assert end_of(conn)[0] == 1011
    assert "1006 is not a close code" in caplog.text
    for record in caplog.records:
        record.exc_info = None


@pytest.mark.parametrize(
    ("payload", "end"), [(b"", (1000, "")), (b"\x0f\xa1bye", (4001, "bye")), ("\x0f!", (3873, ""))]
)
def test_a_close_frame_closes(site_for: Any, payload: Any, end: tuple[int, str]) -> None:
    assert end_of(site_for(lambda ws: ws.send_frame(payload, ws.OPCODE_CLOSE)).connect()) == end


def test_sends_frames_by_opcode(site_for: Any) -> None:
    def talk(ws: WebSocket) -> None:
        ws.send_frame("text", ws.OPCODE_TEXT)
        ws.send_frame("binary", ws.OPCODE_BINARY)
        ws.send_frame("are you there?", ws.OPCODE_PING)
        ws.send_frame(b"unasked", ws.OPCODE_PONG)
        assert ws.receive() == "done"

    site = site_for(talk)
    with gevent.socket.create_connection(site.server.address) as sock:
        sock.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        data = b""
        while not data.endswith(b"unasked"):
            more = sock.recv(65536)
            assert more
            data += more
        sock.sendall(b"\x81\x84\x00\x00\x00\x00done")
    assert data.endswith(b"\r\n\r\n\x81\x04text\x82\x06binary\x89\x0eare you there?\x8a\x07unasked")


@pytest.mark.parametrize(
    ("message", "opcode", "error"),
    [(b"", 0, ValueError), (b"", 3, ValueError), (b"x" * 126, 9, ValueError), (b"x", 8, ProtocolError)],
)
def test_a_frame_that_would_break_the_protocol_is_an_error(
    site_for: Any, message: bytes, opcode: int, error: type[Exception]
) -> None:
    def talk(ws: WebSocket) -> None:
        with pytest.raises(error) as caught:
            ws.send_frame(message, opcode)
        caught.value.__traceback__ = None
        ws.send("still open")

    assert site_for(talk).connect().receive(TIMEOUT) == "still open"


def test_an_application_with_a_current_one_is_told_of_ends(serve: Serve) -> None:
    told: Queue[Any] = Queue()

    class Application:
        current_app: Any = None

        def __call__(self, environ: dict[str, Any], start_response: Any) -> None:
            self.current_app = self
            ws = environ["wsgi.websocket"]
            ws.receive()
            with pytest.raises(WebSocketError) as error:
                ws.send("x")
            error.value.__traceback__ = None
            ws.close()
            self.current_app = None

        def on_close(self, reason: Any) -> None:
            told.put(reason)

    serve(WebSocketServer(ADDRESS, Application(), **QUIET)).connect().abort()
    assert [told.get(timeout=TIMEOUT) for _ in range(3)] == [MSG_CLOSED, MSG_SOCKET_DEAD, MSG_ALREADY_CLOSED]


def test_it_closes_when_the_application_returns_and_not_when_it_is_dropped(site_for: Any) -> None:
    kept: list[WebSocket] = []

    def talk(ws: WebSocket) -> None:
        kept.append(ws)
        ws.send("open")
        ws.receive()

    conn = site_for(talk).connect()
    conn.receive(TIMEOUT)
    conn.send("return")
    assert end_of(conn) == (1000, "")
    assert kept[0].closed
    with pytest.raises(WebSocketError, match=MSG_SOCKET_DEAD) as error:
        kept[0].send("x")
    error.value.__traceback__ = None
    kept.clear()
