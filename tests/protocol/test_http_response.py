"""Responses: what is read, what is refused, and what is written."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenws.errors import HandshakeError, RequestError
from greenws.protocol.http import error_response, head_end, join_chunks, parse_response, response_head

pytestmark = pytest.mark.usefixtures("each_build")

LINES = st.sampled_from(
    [b"A:b", b"a: c", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Upgrade: x", b"Host: a"]
)


@pytest.mark.parametrize(
    ("data", "status", "reason", "version"),
    [
        (b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", 101, "Switching", "1.1"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n", 101, "Switching", "1.1"),
        (b"HTTP/1.1 101 Switching\r\n", 101, "Switching", "1.1"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n", 403, "Forbidden", "1.1"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", 200, "OK", "1.1"),
        (b"HTTP/1.0 503 \r\n", 503, "", "1.0"),
        (b"HTTP/1.1 204\r\n", 204, "", "1.1"),
        (b"HTTP/1.1 400 caf\xe9 ferm\xe9\r\n", 400, "caf\xe9 ferm\xe9", "1.1"),
    ],
)
def test_reads_a_response(data: bytes, status: int, reason: str, version: str) -> None:
    head = parse_response(data + b"A: 1\r\na: 2\r\n\r\n")
    assert (head.status, head.reason, head.version) == (status, reason, version)
    assert head.headers[-2:] == [("A", "1"), ("a", "2")]
    assert (head.get("A"), head.get("B")) == ("1,2", None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nA: b\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 101 OK\r\nHost: a\r\nHost: a\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 101 \x1b[2J\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n",
    ],
)
def test_refuses_a_response(data: bytes) -> None:
    with pytest.raises(HandshakeError) as caught:
        parse_response(data)
    assert caught.value.status == 0


def test_writes_a_response_head() -> None:
    assert response_head(101, "Switching Protocols", [("Upgrade", "websocket"), ("X", "")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX: \r\n\r\n"
    )


@pytest.mark.parametrize("status", [100, 599])
def test_writes_the_first_status_and_the_last(status: int) -> None:
    assert response_head(status, "", []) == b"HTTP/1.1 %d \r\n\r\n" % status


@pytest.mark.parametrize(
    ("status", "reason", "headers"),
    [
        (0, "", []),
        (99, "", []),
        (600, "", []),
        (200, "OK\r\nX: y", []),
        (200, "OK", [("X", "a\r\nY: b")]),
        (200, "OK", [("X\r\nY", "b")]),
        (200, "OK", [("X", "\u2028")]),
    ],
)
def test_refuses_to_write_what_would_be_another_head(status: int, reason: str, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match=r"status|control|name|latin-1"):
        response_head(status, reason, headers)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            RequestError(431, "the headers are too large"),
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: 26\r\nConnection: close\r\n\r\nthe headers are too large\n",
        ),
        (
            HandshakeError(426, "caf\xe9", [("Upgrade", "websocket"), ("connection", "Upgrade")]),
            b"HTTP/1.1 426 Upgrade Required\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 6\r\n"
            b"Connection: close, Upgrade\r\nUpgrade: websocket\r\n\r\ncaf\xc3\xa9\n",
        ),
        (
            RequestError(499, "gone"),
            b"HTTP/1.1 499 \r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n"
            b"Connection: close\r\n\r\ngone\n",
        ),
    ],
)
def test_writes_the_answer_to_a_refused_request(error: RequestError, expected: bytes) -> None:
    assert error_response(error) == expected


def test_shows_no_secrets() -> None:
    head = parse_response(b"HTTP/1.1 200 OK\r\nSet-Cookie: s3cret\r\n\r\n")
    assert repr(head) == "<ResponseHead HTTP/1.1 200 'OK'>"


@given(st.lists(LINES | st.binary(max_size=9)), st.sampled_from([b"101 A", b"200 OK", b"304", b"100 Continue"]))
def test_any_lines_of_a_response_are_read_or_refused(lines: list[bytes], status: bytes) -> None:
    data = b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", b""])
    with contextlib.suppress(HandshakeError):
        head = parse_response(data)
        assert len(head.headers) == len(data[: head_end(data)].split(b"\r\n")) - 3


@given(
    st.integers(100, 599),
    st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    st.lists(
        st.tuples(
            st.from_regex(r"X-[!#$%&'*+.^_`|~0-9A-Za-z-]+", fullmatch=True),
            st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f")),
        ),
        max_size=5,
    ),
)
def test_reads_back_the_response_it_wrote(status: int, reason: str, headers: list[tuple[str, str]]) -> None:
    head = parse_response(response_head(status, reason, headers))
    assert (head.status, head.reason, head.headers) == (status, reason, headers)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789"),
        (b"3\r\nabc\r\n5\r\nde", b"abcde"),  # cut off
        (b"3\r\nabc\r\n", b"abc"),
        (b"ffffffff\r\nabc", b"abc"),
        (b"fffffffff\r\nabc", b""),  # longer than any body we keep
        (b"x\r\nabc", b""),
        (b"-3\r\nabc", b""),
        (b"3\nabc", b""),
        (b"", b""),
    ],
)
def test_joins_the_chunks_of_a_body(data: bytes, body: bytes) -> None:
    assert join_chunks(data) == body


@given(st.binary(max_size=200))
def test_any_bytes_have_at_most_their_own_size_of_chunks(data: bytes) -> None:
    assert len(join_chunks(data)) <= len(data)
