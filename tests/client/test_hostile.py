"""Servers that mean no good, on real sockets."""

from __future__ import annotations

import time
import zlib
from inspect import signature

import gevent
import pytest

import greenws
from greenws import ConnectionClosed, HandshakeError, OperationTimeout
from greenws.client import wire
from greenws.client.connect import MAX_REDIRECTS
from greenws.protocol.handshake import accept_key

REDIRECT = "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n"


def refused(url: str, **options: object) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        greenws.connect(url, **options)
    return caught.value


# ---- P1, P2, P5: the 101


@pytest.mark.parametrize("accept", ["x", accept_key("another key"), f"{accept_key('a')},{accept_key('b')}"])
def test_p1_an_accept_that_does_not_answer_our_key(scripted, accept):
    server = scripted(lambda caller: (caller.accept(accept=accept), caller.to_end()))
    assert "does not answer our key" in str(refused(server.url()))


@pytest.mark.parametrize(
    "header",
    [
        "Sec-WebSocket-Protocol: not-asked-for",
        "Sec-WebSocket-Protocol: one, two",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Extensions: x-unknown",
        "Sec-WebSocket-Extensions: ;;,=",
    ],
)
def test_p2_a_subprotocol_or_an_extension_that_was_not_asked_for(scripted, header):
    server = scripted(lambda caller: (caller.accept(header), caller.to_end()))
    assert refused(server.url(), subprotocols=["one", "two"]).status == 101


@pytest.mark.parametrize("header", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_p5_a_101_that_announces_a_body(scripted, header):
    server = scripted(lambda caller: (caller.accept(header, rest=b"hello"), caller.to_end()))
    assert "body" in str(refused(server.url()))


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 200 OK\r\n\r\n", b"hello", b"\xff" * 20, b"\x00" * 20])
def test_p5_garbage_behind_the_101_fails_the_connection(scripted, garbage):
    server = scripted(lambda caller: (caller.accept(rest=garbage), caller.to_end()))
    with greenws.connect(server.url(), close_timeout=0.1) as conn, pytest.raises(ConnectionClosed) as end:
        conn.receive(5)
    assert end.value.code == 1002


def test_a_server_that_speaks_first_is_not_taken_for_an_answer(scripted):
    server = scripted(lambda caller: (caller.send(b"220 mail.example ESMTP\r\n"), caller.to_end()))
    assert refused(server.url()).status == 0


def test_a_server_that_closes_without_an_answer(scripted):
    server = scripted(lambda caller: caller.head())
    assert "without an answer" in str(refused(server.url()))


# ---- P3, P7: frames


def test_p3_a_masked_frame_is_1002(scripted):
    received = []

    def serve(caller):
        caller.accept(rest=b"\x81\x82\0\0\0\0hi")
        received.append(caller.frame())
        caller.to_end()

    server = scripted(serve)
    with greenws.connect(server.url(), close_timeout=0.1) as conn, pytest.raises(ConnectionClosed) as end:
        conn.receive(5)
    assert end.value.code == 1002
    assert received[0] == (8, b"\x03\xeaframe masked")


def test_p7_a_bomb_is_1009_and_never_in_memory(scripted):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(50 * 1024 * 1024)) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 60_000
    frame = b"\xc2\x7e" + (len(bomb) - 4).to_bytes(2, "big") + bomb[:-4]
    extension = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    server = scripted(lambda caller: (caller.accept(extension, rest=frame), caller.to_end()))
    with (
        greenws.connect(server.url(), compression=True, close_timeout=0.1) as conn,
        pytest.raises(ConnectionClosed) as end,
    ):
        conn.receive(5)
    assert end.value.code == 1009


# ---- P4, P8: without an end


@pytest.mark.parametrize(
    "line",
    [(b"X-Header: " + b"x" * 100 + b"\r\n") * 10, b"x" * 1000, b"X:\r\n" * 250],
    ids=["many", "one", "short"],
)
def test_p4_endless_headers(scripted, line):
    sent = []

    def serve(caller):
        caller.head()
        caller.send(b"HTTP/1.1 101 Switching Protocols\r\n")
        while True:
            caller.send(line)
            sent.append(len(line))

    server = scripted(serve)
    begin = time.monotonic()
    assert refused(server.url()).status == 0
    assert time.monotonic() - begin < 5
    assert sum(sent) < 20_000_000


def test_p4_the_limits_are_settings(scripted):
    head = b"HTTP/1.1 403 No\r\n" + b"".join(b"X-%d: x\r\n" % number for number in range(8)) + b"\r\n"
    server = scripted(lambda caller: (caller.head(), caller.send(head)))
    assert refused(server.url()).status == 403
    assert refused(server.url(), max_headers=5).status == 0
    assert refused(server.url(), max_head_size=50).status == 0


def test_p4_interim_responses_without_an_end(scripted):
    def serve(caller):
        while True:
            caller.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)

    assert "interim" in str(refused(scripted(serve).url()))


def test_a_refusal_with_an_endless_body_keeps_the_begin_of_it(scripted):
    def serve(caller):
        caller.head()
        caller.send(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        while True:
            caller.send(bytes(10_000))

    error = refused(scripted(serve).url())
    assert (error.status, len(error.body)) == (403, wire.MAX_BODY)


def test_a_refusal_whose_body_never_comes_is_not_waited_for(scripted, monkeypatch):
    monkeypatch.setattr(wire, "BODY_TIMEOUT", 0.1)
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nhalf"
    server = scripted(lambda caller: (caller.head(), caller.send(answer), caller.to_end()))
    error = refused(server.url())
    assert (error.status, error.body) == (403, b"half")


@pytest.mark.parametrize(
    "script",
    [
        lambda caller: caller.to_end(),
        lambda caller: (caller.head(), caller.send(b"HTTP/1.1 101 Switching"), caller.to_end()),
        lambda caller: (caller.head(), caller.send(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n"), caller.to_end()),
    ],
    ids=["nothing", "half a line", "half a head"],
)
def test_p8_a_server_that_never_answers(scripted, script):
    server = scripted(script)
    begin = time.monotonic()
    with pytest.raises(OperationTimeout):
        greenws.connect(server.url(), timeout=0.2)
    assert time.monotonic() - begin >= 0.2


def test_p8_a_byte_now_and_then_does_not_put_the_deadline_off(scripted):
    def serve(caller):
        caller.head()
        for byte in b"HTTP/1.1 101 Switching Protocols\r\n" * 100:
            caller.send(bytes([byte]))
            gevent.sleep(0.02)

    with pytest.raises(OperationTimeout):
        greenws.connect(scripted(serve).url(), timeout=0.3)


def test_p8_ten_seconds_is_the_default():
    assert signature(greenws.connect).parameters["timeout"].default == 10.0


def test_p8_half_a_tls_handshake(scripted, trusting):
    server = scripted(lambda caller: caller.to_end())
    with pytest.raises(OperationTimeout):
        greenws.connect(f"wss://localhost:{server.port}/", ssl=trusting, timeout=0.2)


# ---- P6: redirects


def test_p6_a_redirect_is_followed(scripted):
    def serve(caller):
        if caller.head()[""].startswith("GET /old"):
            caller.send(REDIRECT.format("/new?x").encode())
        else:
            caller.send(b"HTTP/1.1 403 Here\r\n\r\n")

    error = refused(scripted(serve).url("/old"))
    assert (error.status, str(error)) == (403, "the server answered 403 Here")


def test_p6_a_loop_ends(scripted):
    server = scripted(lambda caller: (caller.head(), caller.send(REDIRECT.format("/").encode())))
    assert "redirects more than" in str(refused(server.url()))
    assert server.callers == MAX_REDIRECTS + 1


SECRETS = {"auth": ("ada", "secret"), "headers": {"Cookie": "session=secret", "X-Api-Key": "secret"}}


def test_p6_another_origin_gets_no_secret(scripted):
    heads = []
    other = scripted(lambda caller: (heads.append(caller.head()), caller.send(b"HTTP/1.1 403 No\r\n\r\n")))
    server = scripted(lambda caller: (heads.append(caller.head()), caller.send(REDIRECT.format(other.url()).encode())))
    refused(server.url(), **SECRETS)
    assert {"authorization", "cookie", "x-api-key"} <= set(heads[0])
    assert "secret" not in str(heads[1])
    assert {"authorization", "cookie", "x-api-key"}.isdisjoint(heads[1])


def test_p6_nor_does_the_first_when_another_sends_us_back(scripted):
    heads = []

    def serve(caller):
        heads.append(caller.head())
        back = heads[-1][""].startswith("GET /back")
        caller.send(b"HTTP/1.1 403 No\r\n\r\n" if back else REDIRECT.format(other.url()).encode())

    server = scripted(serve)
    other = scripted(lambda caller: (caller.head(), caller.send(REDIRECT.format(server.url("/back")).encode())))
    refused(server.url(), **SECRETS)
    assert "secret" in str(heads[0])
    assert "secret" not in str(heads[1])


def test_p6_the_same_origin_keeps_them(scripted):
    heads = []

    def serve(caller):
        heads.append(caller.head())
        caller.send(REDIRECT.format("/b").encode() if len(heads) == 1 else b"HTTP/1.1 403 No\r\n\r\n")

    refused(scripted(serve).url("/a"), **SECRETS)
    assert heads[1][""] == "GET /b HTTP/1.1"
    assert heads[1]["cookie"] == "session=secret"


def test_p6_credentials_in_the_location_are_not_used(scripted):
    heads = []

    def serve(caller):
        heads.append(caller.head())
        there = f"ws://eve:x@127.0.0.1:{server.port}/b"
        caller.send(REDIRECT.format(there).encode() if len(heads) == 1 else b"HTTP/1.1 403 No\r\n\r\n")

    server = scripted(serve)
    refused(server.url("/a"))
    assert "authorization" not in heads[1]


@pytest.mark.parametrize("location", ["ws://localhost:1/", "http://localhost:1/"])
def test_p6_never_from_wss_to_ws(scripted, server_context, trusting, location):
    server = scripted(
        lambda caller: (caller.head(), caller.send(REDIRECT.format(location).encode())), context=server_context
    )
    error = refused(server.url(host="localhost"), ssl=trusting)
    assert (error.status, str(error)) == (302, "cannot follow: the server redirects from wss to ws")


@pytest.mark.parametrize("location", ["", "ftp://x/", "ws://a b/", "ws://:x/", "javascript:alert(1)"])
def test_p6_a_location_that_leads_nowhere_is_a_refusal(scripted, location):
    server = scripted(lambda caller: (caller.head(), caller.send(REDIRECT.format(location).encode())))
    assert refused(server.url()).status in (0, 302)
