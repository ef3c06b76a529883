"""Ordinary pages on the server: all that clients do with HTTP/1.1 goes on working beside WebSockets."""

from __future__ import annotations

import gevent
import pytest
from gevent import socket

from greenws.config import Config
from greenws.server import wsgi

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def site(site):
    return site.start()


def test_a_page(site):
    status, headers, body = site.ask(GET)
    assert (status, body) == (200, b"index")
    assert headers["content-type"].startswith("text/html")


def test_keep_alive(site):
    client = site.client()
    for _ in range(5):
        client.send(GET)
        assert client.response()[2] == b"index"


def test_connection_close_is_honoured(site):
    client = site.client()
    client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert client.response()[2] == b"index"
    assert client.rest() == b""


def test_pipelined_requests_are_answered_in_order(site):
    client = site.client()
    post = b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"
    client.send(GET + post + b"one" + GET + post + b"two" + GET)
    assert [client.response()[2] for _ in range(5)] == [b"index", b"one", b"index", b"two", b"index"]


@pytest.mark.parametrize("size", [0, 1, 5, 8192, 100_000, 3_000_000])
def test_a_body_with_a_length(site, size):
    client = site.client()
    client.send(b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size)
    sender = gevent.spawn(client.send, b"x" * size)
    status, _, body = client.response()
    assert (status, len(body)) == (200, size)
    sender.get(timeout=5)
    client.send(GET)
    assert client.response()[2] == b"index"


def test_a_body_in_chunks(site):
    client = site.client()
    client.send(
        b"POST /post HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n1;ext=1\r\nd\r\n0\r\n\r\n" + GET
    )
    assert client.response()[2] == b"abcd"
    assert client.response()[2] == b"index"


def test_a_body_byte_by_byte(site):
    client = site.client()
    for byte in b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello" + GET:
        client.send(bytes([byte]))
        gevent.idle()
    assert client.response()[2] == b"hello"
    assert client.response()[2] == b"index"


@pytest.mark.parametrize("length", [5, 200_000])
def test_a_body_that_the_application_does_not_read_is_not_taken_for_a_request(site, length):
    client = site.client()
    body = (GET * (length // len(GET) + 1))[:length]
    client.send(b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length)
    sender = gevent.spawn(client.send, body)
    assert client.response()[2] == b"not read"
    sender.join(timeout=5)
    gevent.idle()
    try:
        client.send(b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nyes")
        rest = client.response()[2]
    except (OSError, AssertionError):
        return  # the server closed: fine, too
    assert rest == b"yes"


def test_expect_100_continue(site):
    client = site.client()
    client.send(b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert client.head()[0] == 100
    client.send(b"hello")
    assert client.response()[2] == b"hello"
    client.send(GET)
    assert client.response()[2] == b"index"


def test_http_1_0_knows_no_100_continue(site):
    client = site.client()
    client.send(b"POST /post HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
    assert client.response()[::2] == (200, b"hello")


def test_head_has_no_body(site):
    client = site.client()
    client.send(GET.replace(b"GET", b"HEAD"))
    status, headers, _ = client.response(has_body=False)
    assert (status, headers["content-length"]) == (200, "5")
    client.send(GET)
    assert client.response()[2] == b"index"


def test_http_1_0_closes_unless_it_asks_to_keep_alive(site):
    client = site.client()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.response()[2] == b"index"
    assert client.rest() == b""
    client = site.client()
    for _ in range(2):
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        status, headers, body = client.response()
        assert (status, body) == (200, b"index")
        assert headers["connection"].lower() == "keep-alive"


def test_a_streamed_response(site):
    client = site.client()
    for _ in range(2):
        client.send(GET.replace(b" / ", b" /stream "))
        assert client.response()[2] == b"".join(b"%d" % number * 1000 for number in range(3))


def test_the_head_of_a_streamed_response_has_nothing_behind_it(site):
    client = site.client()
    for _ in range(2):
        client.send(GET.replace(b"GET / ", b"HEAD /stream "))
        assert client.response(has_body=False)[0] == 200
    client.send(GET)
    assert client.response()[2] == b"index"


@pytest.mark.parametrize("option", ["keep-alive", "close"])
def test_a_streamed_response_ends_with_the_connection_in_http_1_0(site, option):
    client = site.client()
    client.send(f"GET /stream HTTP/1.0\r\nConnection: {option}\r\n\r\n".encode())
    _, headers, body = client.response()
    assert headers["connection"] == "close"
    assert body == b"".join(b"%d" % number * 1000 for number in range(3))


def test_an_empty_answer_needs_no_end_in_http_1_0(site):
    client = site.client()
    for _ in range(2):
        client.send(b"HEAD /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert client.response(has_body=False)[1]["connection"] == "keep-alive"


def test_error_pages_of_the_application(site):
    assert site.ask(GET.replace(b" / ", b" /fail "))[0] == 418
    assert site.ask(GET.replace(b" / ", b" /nowhere "))[0] == 404


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", 400),
        (b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ],
    ids=["no host", "two hosts", "space", "bare lf", "long line", "many headers", "tls", "two framings"],
)
def test_a_head_that_breaks_a_rule_is_refused_and_the_connection_closed(site, data, status):
    client = site.client()
    client.send(data + GET)
    assert client.response()[0] == status
    assert client.rest() == b"", "the request behind it was served"


def test_a_refusal_of_a_peer_that_is_gone_leaves_no_trace(site, capsys):
    import struct

    from gevent import socket

    client = site.client()
    client.send(b"garbage\r\n\r\n")
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    gevent.idle()
    assert site.ask(GET)[0] == 200
    assert "Traceback" not in capsys.readouterr().err


def test_start_response_errors_are_500_and_the_server_goes_on(site):
    site.server.stop(1)

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/raise":
            raise ZeroDivisionError
        if environ["PATH_INFO"] == "/type":
            start_response(200, [])
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    site.start(application)
    for path in (b"/raise", b"/type"):
        assert site.ask(GET.replace(b" / ", b" %s " % path))[0] == 500
    assert site.ask(GET)[2] == b"ok"


@pytest.mark.slow
def test_half_a_head_is_answered_408_at_the_deadline(site):
    """One deadline for the whole head, however the bytes drip."""
    site.server.stop(1)
    site.start(config=Config(handshake_timeout=0.3))
    client = site.client()

    def drip():
        try:
            for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1000:
                client.send(bytes([byte]))
                gevent.sleep(0.02)
        except OSError:
            pass

    dripper = gevent.spawn(drip)
    with gevent.Timeout(3):
        assert client.response()[0] == 408
    dripper.kill()


@pytest.mark.slow
def test_half_a_head_behind_a_first_request_has_the_same_deadline(site):
    site.server.stop(1)
    site.start(config=Config(handshake_timeout=0.3))
    client = site.client()
    client.send(GET + GET[:10])
    assert client.response()[2] == b"index"
    with gevent.Timeout(3):
        assert client.response()[0] == 408


@pytest.mark.slow
def test_a_connection_that_says_nothing_is_closed_at_the_deadline(site):
    site.server.stop(1)
    site.start(config=Config(handshake_timeout=0.2))
    client = site.client()
    with gevent.Timeout(3):
        assert client.rest() == b""


def test_a_pool_with_room_for_one_serves_all_in_turn(site):
    site.server.stop(1)
    site.start(spawn=1)
    clients = [site.client() for _ in range(10)]
    for client in clients:
        client.send(GET)
    gevent.idle()
    with gevent.Timeout(5):
        assert [client.response()[2] for client in clients] == [b"index"] * 10


def test_an_error_of_ours_leaves_no_connection_open(site):
    site.server.heads = None
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(GET)
        with pytest.raises(AttributeError):
            site.server.on_connect(theirs.detach(), ("127.0.0.1", 1))
        assert ours.recv(1) == b""
    assert not site.server.arrivals


def test_who_finds_too_many_waiting_is_refused_counted_and_logged(site, monkeypatch):
    lines = []
    monkeypatch.setattr(site.server, "log_refusal", lambda address, error: lines.append(str(error)))
    monkeypatch.setattr(wsgi, "MAX_WAITING", 0)
    status, headers, _ = site.ask(GET)
    assert (status, headers["retry-after"]) == (503, "5")
    assert site.server.refusals == {503: 1}
    assert lines == ["the server is busy"]
