"""``greenws.connect`` against an honest server: both styles, settings, credentials, and who closes."""

from __future__ import annotations

import ssl

import gevent
import pytest
from gevent import monkey, socket
from gevent.event import Event

import greenws
from greenws import ConfigError, ConnectionClosed, HandshakeError, OperationTimeout
from greenws.errors import ConnectError


@pytest.fixture
def url(site):
    site.start()
    return f"ws://127.0.0.1:{site.server.address[1]}"


def test_it_connects_sends_and_receives(url):
    with greenws.connect(url + "/echo") as conn:
        for message in ("hi", b"\x00\xff", "x" * 100_000):
            conn.send(message)
            assert conn.receive(5) == message
    assert conn.closed
    assert conn.close_code == 1000


def test_a_loop_ends_when_the_server_closes(scripted):
    server = scripted(lambda caller: caller.accept(rest=b"\x81\x01a\x81\x01b\x88\x02\x03\xe8"))
    with greenws.connect(server.url()) as conn:
        assert list(conn) == ["a", "b"]
    assert conn.close_code == 1000


def test_events_go_to_the_handlers(url):
    messages, ends, came, ended = [], [], Event(), Event()

    def on_message(conn, message):
        messages.append((conn, message))
        came.set()

    def on_close(conn, code, reason):
        ends.append((conn, code, reason))
        ended.set()

    conn = greenws.connect(url + "/echo", on_message=on_message, on_close=on_close)
    conn.send("hi")
    assert came.wait(5)
    conn.close(4001, "bye")
    assert ended.wait(5)
    assert messages == [(conn, "hi")]
    assert ends == [(conn, 4001, "bye")]
    assert conn.wait_closed(5)
    messages.clear()
    ends.clear()


def test_what_came_with_the_101_reaches_the_handler(scripted):
    came = Event()
    server = scripted(lambda caller: (caller.accept(rest=b"\x81\x02hi"), caller.to_end()))
    with greenws.connect(server.url(), on_message=lambda conn, message: came.set(), close_timeout=0.1):
        assert came.wait(5)


def test_what_a_handler_raises_is_logged_and_closes_with_1011(url, caplog):
    def on_message(conn, message):
        raise RuntimeError("a fault of the handler")

    conn = greenws.connect(url + "/echo", on_message=on_message)
    conn.send("hi")
    assert conn.wait_closed(5)
    assert conn.close_code == 1011
    assert "a fault of the handler" in caplog.text
    caplog.clear()


def test_a_with_block_that_raises_closes_with_1011(url):
    with pytest.raises(RuntimeError), greenws.connect(url + "/echo") as conn:
        raise RuntimeError
    assert conn.close_code == 1011


def test_subprotocol_origin_and_headers_are_sent(scripted):
    heads = []

    def serve(caller):
        heads.append(caller.accept("Sec-WebSocket-Protocol: two"))
        caller.to_end()

    server = scripted(serve)
    options = {"subprotocols": ["one", "two"], "origin": "https://app.example", "headers": {"X-One": "1"}}
    with greenws.connect(server.url("/a?b"), close_timeout=0.1, **options) as conn:
        assert conn.subprotocol == "two"
        assert conn.path == "/a"
    assert heads[0][""] == "GET /a?b HTTP/1.1"
    assert heads[0]["host"] == f"127.0.0.1:{server.port}"
    assert heads[0]["origin"] == "https://app.example"
    assert heads[0]["sec-websocket-protocol"] == "one, two"
    assert heads[0]["x-one"] == "1"
    assert "authorization" not in heads[0]


@pytest.mark.parametrize(
    ("userinfo", "auth", "value"),
    [
        ("ada:secret@", None, "Basic YWRhOnNlY3JldA=="),
        ("", ("ada", "secret"), "Basic YWRhOnNlY3JldA=="),
        ("", "a-token", "Bearer a-token"),
        ("bob:other@", "a-token", "Bearer a-token"),
    ],
)
def test_credentials(scripted, userinfo, auth, value):
    heads = []
    server = scripted(lambda caller: (heads.append(caller.accept()), caller.to_end()))
    with greenws.connect(f"ws://{userinfo}127.0.0.1:{server.port}/", auth=auth, close_timeout=0.1):
        assert heads[0]["authorization"] == value
        assert userinfo not in heads[0]["host"] or not userinfo


def test_a_refusal_holds_the_servers_answer(scripted):
    answer = b"HTTP/1.1 403 Forbidden\r\nX-Why: because\r\nContent-Length: 4\r\n\r\nno.\n"
    server = scripted(lambda caller: (caller.head(), caller.send(answer), caller.to_end()))
    with pytest.raises(HandshakeError) as refusal:
        greenws.connect(server.url())
    assert refusal.value.status == 403
    assert ("X-Why", "because") in refusal.value.headers
    assert refusal.value.body == b"no.\n"


def test_the_body_of_a_refusal_may_come_in_chunks(scripted):
    answer = b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n3\r\noh \r\n3;x=y\r\nno!\r\n0\r\n\r\n"
    server = scripted(lambda caller: (caller.head(), caller.send(answer), caller.to_end()))
    with pytest.raises(HandshakeError) as refusal:
        greenws.connect(server.url())
    assert (refusal.value.status, refusal.value.body) == (500, b"oh no!")


def test_interim_responses_are_passed_over(scripted):
    server = scripted(lambda caller: (caller.send(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"), caller.accept()))
    greenws.connect(server.url()).abort()


def test_compression_is_offered_when_asked_for(url, site):
    with greenws.connect(url + "/echo", compression=True) as conn:
        assert conn.deflate is None, "this server does not compress"
        conn.send("x" * 5000)
        assert conn.receive(5) == "x" * 5000


def test_settings_hold_for_the_connection(scripted):
    server = scripted(lambda caller: (caller.accept(rest=b"\x81\x7e\x04\x00"), caller.to_end()))
    with greenws.connect(server.url(), max_message_size=1000) as conn, pytest.raises(ConnectionClosed) as end:
        conn.receive(5)
    assert end.value.code == 1009


@pytest.mark.slow
def test_a_client_pings_too(scripted):
    def serve(caller):
        caller.accept()
        opcode, payload = caller.frame()
        assert opcode == 9
        caller.send(b"\x8a" + bytes([len(payload)]) + payload + b"\x81\x06ponged")
        caller.to_end()

    server = scripted(serve)
    with greenws.connect(server.url(), ping_interval=0.2, close_timeout=0.1) as conn:
        assert conn.receive(5) == "ponged"
        assert conn.latency >= 0


@pytest.mark.parametrize(
    "options",
    [
        {"origins": "*"},
        {"max_connections": 3},
        {"handshake_timeout": 3},
        {"no_such_setting": 3},
        {"ping_interval": -1},
        {"max_message_size": "1"},
        {"subprotocols": ["a b"]},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"Host": "other"}},
        {"headers": {"Sec-WebSocket-Key": "x"}},
        {"headers": {"Authorization": "x"}, "auth": "y"},
        {"on_close": print},
        {"ssl": ssl.create_default_context()},
        {"proxy": "ftp://127.0.0.1"},
        {"proxy": "http://127.0.0.1/path"},
    ],
    ids=str,
)
def test_what_cannot_work_is_said_before_anything_is_dialled(options):
    with pytest.raises(ConfigError):
        greenws.connect("ws://127.0.0.1:1/", **options)


def test_nobody_listens():
    with pytest.raises(ConnectError, match="refused") as caught:
        greenws.connect("ws://127.0.0.1:1/")
    assert isinstance(caught.value, ConnectionError)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    del caught


def test_a_timeout_is_an_oserror_too(scripted):
    server = scripted(lambda caller: caller.to_end())
    with pytest.raises(OSError, match=r"within 0\.1 s") as caught:
        greenws.connect(server.url(), timeout=0.1)
    assert isinstance(caught.value, OperationTimeout)
    del caught


def test_somebody_elses_timeout_passes_through(scripted):
    server = scripted(lambda caller: caller.to_end())
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        greenws.connect(server.url())


def test_a_greenlet_killed_while_it_connects_leaves_nothing(scripted):
    came = Event()
    server = scripted(lambda caller: (caller.head(), came.set(), caller.to_end()))
    greenlet = gevent.spawn(greenws.connect, server.url())
    assert came.wait(5)
    greenlet.kill()
    assert greenlet.dead


def test_other_greenlets_run_meanwhile(scripted):
    go_on = Event()
    server = scripted(lambda caller: (go_on.wait(5), caller.accept(), caller.to_end()))
    gevent.spawn_later(0.01, go_on.set)
    greenws.connect(server.url()).abort()


def test_nothing_is_patched():
    assert not monkey.saved
    assert socket.socket is not __import__("socket").socket
