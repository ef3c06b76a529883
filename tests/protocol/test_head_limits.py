"""Where a head ends and when it is refused, however its bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenws.errors import RequestError
from greenws.protocol.http import HeadLimits, head_end, parse_request

pytestmark = pytest.mark.usefixtures("each_build")

HEAD = b"GET /chat HTTP/1.1\r\nHost: app.example\r\nX-Empty:\r\n\r\n"
LIMITS = HeadLimits(line=24, headers=3, size=64)

# Bytes near the rules: line ends, spaces, and lines that are too many, too long, or of another version.
PIECES = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"G",
        b"GET / HTTP/1.1",
        b"GET / HTTP/2.0",
        b"HTTP/1.1 200 OK",
        b"A:b",
        b"\0",
    ]
)
STREAMS = st.lists(PIECES, max_size=24).map(b"".join) | st.binary(max_size=80)


def verdict(data: bytes, limits: HeadLimits = LIMITS) -> tuple[str, int]:
    try:
        return "end", head_end(data, limits)
    except RequestError as error:
        return "status", error.status


def request(*, line: int = 0, headers: int = 1, size: int = 0) -> bytes:
    """A request with a line of so many bytes, so many headers, and so many bytes in all."""
    start = b"GET /" + b"a" * (line - len("GET / HTTP/1.1")) + b" HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * (headers - 1)
    return start + (b"Z: " + b"z" * (size - len(start) - 7) + b"\r\n" if size else b"") + b"\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00", 400, id="TLS hello"),
        pytest.param(b"\x16", 400, id="first byte of a TLS hello"),
        pytest.param(b"\r\nGET / HTTP/1.1\r\n", 400, id="empty line first"),
        pytest.param(b" GET", 400, id="space first"),
        pytest.param(b"\x80", 400, id="not ASCII"),
        pytest.param(b"GET / HTTP/1.1\n", 400, id="bare LF behind the request line"),
        pytest.param(b"GET / HTTP/1.1\rHost", 400, id="bare CR behind the request line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\n", 400, id="bare LF behind a header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, id="bare LF before the blank line"),
        pytest.param(b"GET / HTTP/1.1\r\nX: a\rY: b", 400, id="bare CR in a value"),
        pytest.param(b"GET / HTTP/1.1\r\nX: a\r\r\n\r\n", 400, id="CR CR LF"),
        pytest.param(b"GET / HTTP/1.1\r\nX: a\r\n\rB", 400, id="bare CR for the blank line"),
        pytest.param(b"GET /\r\n", 400, id="HTTP/0.9"),
        pytest.param(b"GET / HTTP/0.9\r", 505, id="0.9 by name"),
        pytest.param(b"GET / HTTP/1.2\r", 505, id="1.2"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="preface of HTTP/2"),
        pytest.param(b"GET / HTTP/1.10\r\n", 400, id="two digits"),
        pytest.param(b"GET / HTTP/11\r\n", 400, id="no dot"),
        pytest.param(b"GET / http/1.1\r\n", 400, id="lower-case protocol"),
        pytest.param(b"GET / ICE/1.0\r\n", 400, id="other protocol"),
        pytest.param(b"GET / RTSP/1.0\r\n", 400, id="other protocol that llhttp knows"),
        pytest.param(b"GET  / HTTP/1.1\r\n", 400, id="two spaces"),
        pytest.param(b"GET / HTTP/1.1 \r\n", 400, id="space at the end"),
        pytest.param(b"GET\t/ HTTP/1.1\r\n", 400, id="tab for a space"),
        pytest.param(b"GET /a b HTTP/1.1\r\n", 400, id="space in the target"),
        pytest.param(b"GET /\x1b[2J HTTP/1.1\r\n", 400, id="ESC in the target"),
        pytest.param(b"GET /\xc2\x85 HTTP/1.1\r\n", 400, id="U+0085 in the target"),
        pytest.param(b"GET /\x7f HTTP/1.1\r\n", 400, id="DEL in the target"),
        pytest.param(b"G@T / HTTP/1.1\r\n", 400, id="no method"),
        pytest.param(b"HTTP/1.1 600 No\r\n", 400, id="status over 599"),
        pytest.param(b"HTTP/1.1 20 No\r\n", 400, id="status of two digits"),
        pytest.param(b"HTTP/2.0 200 OK\r\n", 400, id="response of HTTP/2.0"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", 400, id="SSH"),
        pytest.param(request(line=8193), 414, id="request line of 8,193 bytes"),
        pytest.param(request(line=8193)[:8193], 414, id="the same, unfinished"),
        pytest.param(b"a" * 8193, 414, id="8,193 bytes of no line"),
        pytest.param(b"a" * 8193 + b"\n", 414, id="8,193 bytes of no line and a bare LF"),
        pytest.param(b"a" * 8192 + b"\n", 400, id="8,192 bytes and a bare LF"),
        pytest.param(b"a" * 8191 + b"\n", 400, id="8,191 bytes and a bare LF"),
        pytest.param(request(headers=101), 431, id="101 headers"),
        pytest.param(request(headers=101)[:-2], 431, id="the same, unfinished"),
        pytest.param(request(size=16385), 431, id="16,385 bytes"),
        pytest.param(request(size=16385)[:16384], 431, id="the same, unfinished"),
        pytest.param(request(headers=100)[:-2] + b"\n", 400, id="a bare LF behind as many as are allowed"),
        pytest.param(request(headers=102).replace(b"X: y\r\n\r\n", b"X: y\n\r\n"), 431, id="too many before a bare LF"),
    ],
)
def test_refuses(data: bytes, status: int) -> None:
    with pytest.raises(RequestError) as caught:
        head_end(data)
    assert caught.value.status == status
    with pytest.raises(RequestError):
        parse_request(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n\r",
        b"GET / HTTP/1.1\r\nHost: a\r",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: w",
        b"HTTP/1.1 101\r\n",
        b"a" * 8192,
        request(line=8192)[:8193],
        request(headers=100)[:-2],
        request(size=16384)[:-1],
    ],
)
def test_waits_for_more(data: bytes) -> None:
    assert head_end(data) == -1
    assert head_end(bytearray(data)) == -1


@pytest.mark.parametrize(
    "head", [HEAD, request(line=8192), request(headers=100), request(size=16384), b"A / HTTP/1.0\r\n\r\n"]
)
@pytest.mark.parametrize("rest", [b"", b"\x81\x80abcd", b"GET / HTTP/1.1\r\n\r\n", b"\n\r"])
def test_finds_the_end(head: bytes, rest: bytes) -> None:
    assert head_end(head + rest) == len(head)
    assert head_end(bytearray(head + rest)) == len(head)


def test_leaves_a_bytearray_free_to_grow() -> None:
    data = bytearray(b"GET / HTTP/1.1\r\n")
    head_end(data)
    data += b"\r\n"
    assert head_end(data) == len(data)


@given(STREAMS)
def test_the_verdict_does_not_depend_on_how_the_bytes_are_cut(data: bytes) -> None:
    first = next((found for stop in range(len(data)) if (found := verdict(data[:stop])) != ("end", -1)), verdict(data))
    assert verdict(data) == first


@given(STREAMS, st.binary(max_size=8))
def test_what_follows_a_verdict_does_not_change_it(data: bytes, more: bytes) -> None:
    if verdict(data) != ("end", -1):
        assert verdict(data + more) == verdict(data)


@given(st.binary(max_size=200))
def test_never_waits_behind_the_size(data: bytes) -> None:
    assert len(data) < LIMITS.size or verdict(data) != ("end", -1)
