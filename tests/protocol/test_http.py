"""Requests: what is read and what is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenws.errors import HandshakeError, RequestError
from greenws.protocol.grammar import is_host
from greenws.protocol.http import (
    HeadLimits,
    RequestHead,
    environ_headers,
    parse_request,
    parse_response,
)

pytestmark = pytest.mark.usefixtures("each_build")

REQUEST = (
    b"GET /chat/%C3%A9?token=a%20b&x=? HTTP/1.1\r\n"
    b"Host: app.example:8000\r\n"
    b"X-Name: \t caf\xe9 au lait \t\r\n"
    b"accept: a\r\n"
    b"ACCEPT: b\r\n"
    b"Cookie: a=1\r\n"
    b"X-Empty:\r\n"
    b"cookie: b=2\r\n"
    b"\r\n"
)
LINE = REQUEST.index(b"\r")


def get(*lines: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: app.example") -> bytes:
    return b"\r\n".join([line, *([host] if host else []), *lines, b"", b""])


@pytest.mark.parametrize(
    ("head", "status"),
    [
        # Host, RFC 9112 §3.2
        pytest.param(get(host=b""), 400, id="no host"),
        pytest.param(get(b"Host: app.example"), 400, id="two hosts"),
        pytest.param(get(b"hOST: b"), 400, id="two different hosts"),
        pytest.param(get(host=b"Host:"), 400, id="empty host"),
        pytest.param(get(host=b"Host: a b"), 400, id="space in the host"),
        pytest.param(get(host=b"Host: a/b"), 400, id="path in the host"),
        pytest.param(get(host=b"Host: user@a"), 400, id="user in the host"),
        pytest.param(get(host=b"Host: a:b"), 400, id="port that is none"),
        pytest.param(get(host=b"Host: a:65536"), 400, id="port that is too high"),
        pytest.param(get(host=b"Host: a,b"), 400, id="two hosts in one"),
        pytest.param(get(host=b"Host: \xe9"), 400, id="host that is not ASCII"),
        pytest.param(get(line=b"GET / HTTP/1.0", host=b"Host: /"), 400, id="bad host on 1.0"),
        # Content-Length and Transfer-Encoding, §6.1 to §6.3
        pytest.param(get(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400, id="length and chunked"),
        pytest.param(get(b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400, id="chunked and length"),
        pytest.param(get(b"Content-Length: 5", b"Content-Length: 6"), 400, id="two different lengths"),
        pytest.param(get(b"Content-Length: 5", b"Content-Length: 5"), 400, id="two equal lengths"),
        *(
            pytest.param(get(b"Content-Length: " + value), 400, id=f"length {value.decode('latin-1')}")
            for value in (b"+5", b"-1", b"0x5", b"1_0", b"5, 5", b"5,5", b"5 5", b"", b"1.0", b"\xb2")
        ),
        pytest.param(get(b"Content-Length: 10000000000000000000"), 400, id="length of 20 digits"),
        pytest.param(get(b"Content-Length: 00000000000000000005"), 400, id="20 digits that are 5"),
        pytest.param(get(b"Transfer-Encoding: chunked, identity"), 400, id="chunked, identity"),
        pytest.param(get(b"Transfer-Encoding: identity, chunked"), 400, id="identity, chunked"),
        pytest.param(get(b"Transfer-Encoding: gzip, chunked"), 400, id="gzip, chunked"),
        pytest.param(get(b"Transfer-Encoding: chunked, chunked"), 400, id="chunked, chunked"),
        pytest.param(get(b"Transfer-Encoding: xchunked"), 400, id="xchunked"),
        pytest.param(get(b"Transfer-Encoding: chunkedx"), 400, id="chunkedx"),
        pytest.param(get(b"Transfer-Encoding: identity"), 400, id="identity"),
        pytest.param(get(b'Transfer-Encoding: "chunked"'), 400, id="quoted chunked"),
        pytest.param(get(b"Transfer-Encoding: \x0bchunked"), 400, id="VT chunked"),
        pytest.param(get(b"Transfer-Encoding:"), 400, id="empty coding"),
        pytest.param(get(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400, id="two codings"),
        pytest.param(get(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"), 400, id="gzip, then chunked"),
        pytest.param(get(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"), 400, id="chunked on 1.0"),
        # Header lines, §5
        pytest.param(get(b"X : a"), 400, id="space before the colon"),
        pytest.param(get(b"X\t: a"), 400, id="tab before the colon"),
        pytest.param(get(b" X: a"), 400, id="line that begins with a space"),
        pytest.param(get(b"X: a", b" b"), 400, id="obs-fold"),
        pytest.param(get(b"X: a", b"\tb"), 400, id="obs-fold with a tab"),
        pytest.param(get(b" X: a", host=b""), 400, id="space behind the request line"),
        pytest.param(get(b"X"), 400, id="no colon"),
        pytest.param(get(b": a"), 400, id="no name"),
        pytest.param(get(b"X(a): b"), 400, id="name that is no token"),
        pytest.param(get(b"X\xe9: b"), 400, id="name that is not ASCII"),
        pytest.param(get(b"X\0: b"), 400, id="NUL in a name"),
        pytest.param(get(b"X: a\0b"), 400, id="NUL in a value"),
        pytest.param(get(b"X: a\x01b"), 400, id="control character in a value"),
        pytest.param(get(b"X: a\x1bb"), 400, id="ESC in a value"),
        pytest.param(get(b"X: a\x7fb"), 400, id="DEL in a value"),
        pytest.param(get(b"X: a\rY: b"), 400, id="bare CR in a value"),
        pytest.param(get(b"X: a\nY: b"), 400, id="bare LF in a value"),
        # The target, §3.2, and the method
        pytest.param(get(line=b"GET http://evil.example/ HTTP/1.1"), 400, id="other authority"),
        pytest.param(get(line=b"GET http://app.example:80/ HTTP/1.1"), 400, id="authority with another port"),
        pytest.param(get(line=b"GET http://user@app.example/ HTTP/1.1"), 400, id="authority with a user"),
        pytest.param(get(line=b"GET http:///a HTTP/1.1"), 400, id="no authority"),
        pytest.param(get(line=b"GET http://app.example/ HTTP/1.0", host=b""), 400, id="authority alone"),
        pytest.param(get(line=b"GET http://app.example#a HTTP/1.1"), 400, id="authority with a fragment"),
        pytest.param(get(line=b"GET ftp://app.example/ HTTP/1.1"), 400, id="other scheme"),
        pytest.param(get(line=b"CONNECT app.example:80 HTTP/1.1"), 400, id="authority-form"),
        pytest.param(get(line=b"GET app.example:80 HTTP/1.1"), 400, id="authority-form of GET"),
        pytest.param(get(line=b"OPTIONS * HTTP/1.1"), 400, id="asterisk-form"),
        pytest.param(get(line=b"GET a HTTP/1.1"), 400, id="relative target"),
        pytest.param(get(line=b"GET ?a HTTP/1.1"), 400, id="query alone"),
        pytest.param(get(line=b"GET /a#b HTTP/1.1"), 400, id="fragment"),
        pytest.param(get(line=b"FOO / HTTP/1.1"), 501, id="unknown method"),
        pytest.param(get(line=b"get / HTTP/1.1"), 501, id="method in lower case"),
        # Other than one whole request
        pytest.param(b"", 400, id="nothing"),
        pytest.param(REQUEST[:-1], 400, id="half a head"),
        pytest.param(REQUEST + b"a", 400, id="more than a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nHost: a\r\n\r\n", 400, id="a response"),
        pytest.param(get(line=b"GET / HTTP/2.0"), 505, id="HTTP/2.0"),
    ],
)
def test_refuses_a_request(head: bytes, status: int) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(head)
    assert caught.value.status == status
    assert not isinstance(caught.value, HandshakeError)


@pytest.mark.parametrize(
    ("limits", "status"),
    [(HeadLimits(line=LINE - 1), 414), (HeadLimits(headers=6), 431), (HeadLimits(size=len(REQUEST) - 1), 431)],
)
def test_keeps_to_the_limits_given(limits: HeadLimits, status: int) -> None:
    parse_request(REQUEST, HeadLimits(line=LINE, headers=7, size=len(REQUEST)))
    with pytest.raises(RequestError) as caught:
        parse_request(REQUEST, limits)
    assert caught.value.status == status


def test_reads_a_request() -> None:
    head = parse_request(REQUEST)
    assert (head.method, head.version) == ("GET", "1.1")
    assert head.target == "/chat/%C3%A9?token=a%20b&x=?"
    assert (head.path, head.query) == ("/chat/%C3%A9", "token=a%20b&x=?")
    assert head.headers == [
        ("Host", "app.example:8000"),
        ("X-Name", "caf\xe9 au lait"),
        ("accept", "a"),
        ("ACCEPT", "b"),
        ("Cookie", "a=1"),
        ("X-Empty", ""),
        ("cookie", "b=2"),
    ]
    assert (head.content_length, head.is_chunked, head.keep_alive) == (None, False, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("Accept", "a,b"), ("accept", "a,b"), ("COOKIE", "a=1; b=2"), ("X-Empty", ""), ("X-None", None)],
)
def test_gets_a_header_in_any_case(name: str, value: str | None) -> None:
    assert parse_request(REQUEST).get(name) == value


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", "/", ""),
        (b"/a?", "/a", ""),
        (b"/%0d%0aX:%20y", "/%0d%0aX:%20y", ""),
        (b"//evil.example/a", "//evil.example/a", ""),
        (b"/http://evil.example/", "/http://evil.example/", ""),
        (b'/{}|^`\\"<>', '/{}|^`\\"<>', ""),  # browsers send some of these as they are
        (b"http://app.example", "/", ""),
        (b"http://app.example?a=b", "/", "a=b"),
        (b"http://app.example/c?a=b", "/c", "a=b"),
        (b"HTTPS://App.Example/c", "/c", ""),
    ],
)
def test_splits_the_target(target: bytes, path: str, query: str) -> None:
    head = parse_request(get(line=b"GET " + target + b" HTTP/1.1"))
    assert (head.target, head.path, head.query) == (target.decode(), path, query)


@pytest.mark.parametrize(
    ("lines", "content_length", "is_chunked"),
    [
        ([], None, False),
        ([b"Content-Length: 0"], 0, False),
        ([b"Content-Length:  123 "], 123, False),
        ([b"Content-Length: 0005"], 5, False),
        ([b"Content-Length: 9999999999999999999"], 9999999999999999999, False),
        ([b"Transfer-Encoding: chunked"], None, True),
        ([b"transfer-encoding:Chunked "], None, True),
    ],
)
def test_reads_how_the_body_is_framed(lines: list[bytes], content_length: int | None, is_chunked: bool) -> None:
    head = parse_request(get(*lines, line=b"POST / HTTP/1.1"))
    assert (head.content_length, head.is_chunked) == (content_length, is_chunked)


@pytest.mark.parametrize(
    ("version", "lines", "expected"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"Connection: close"], False),
        (b"1.1", [b"Connection: Keep-Alive, Close"], False),
        (b"1.1", [b"Connection: closed"], True),
        (b"1.1", [b"Connection: Upgrade", b"Upgrade: websocket"], True),
        (b"1.0", [], False),
        (b"1.0", [b"Connection: Keep-Alive"], True),
        (b"1.0", [b"Connection: keep-alive, close"], False),
    ],
)
def test_knows_whether_the_connection_is_kept(version: bytes, lines: list[bytes], expected: bool) -> None:
    assert parse_request(get(*lines, line=b"GET / HTTP/" + version)).keep_alive is expected


def test_reads_a_request_of_1_0_without_a_host() -> None:
    head = parse_request(b"GET / HTTP/1.0\r\n\r\n")
    assert (head.version, head.headers, head.get("Host")) == ("1.0", [], None)


@pytest.mark.parametrize("line", [b"Upgrade: websocket", b"Upgrade: h2c", b"Upgrade:"])
def test_reads_an_upgrade_like_any_request(line: bytes) -> None:
    name, value = line.decode().split(":")
    head = parse_request(get(b"Connection: Upgrade", line, b"X: y"))
    assert head.headers[1:] == [("Connection", "Upgrade"), (name, value.strip()), ("X", "y")]


def test_shows_no_secrets() -> None:
    secret = b"s3cret"
    head = parse_request(get(b"Cookie: " + secret, line=b"GET /?token=" + secret + b" HTTP/1.1"))
    assert secret.decode() not in repr(head)


def test_names_headers_as_cgi_does() -> None:
    lines = [
        b"Content-Type: text/plain",
        b"Content-Length: 1",
        b"X-Forwarded-For: 10.0.0.1",
        b"X_Forwarded_For: 6.6.6.6",
        b"X_Forwarded-For: 6.6.6.6",
        b"Content_Length: 6",
        b"A: 1",
        b"a: 2",
        b"Cookie: b=1",
        b"Cookie: c=2",
    ]
    assert environ_headers(parse_request(get(*lines))) == {
        "HTTP_HOST": "app.example",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "1",
        "HTTP_X_FORWARDED_FOR": "10.0.0.1",
        "HTTP_A": "1,2",
        "HTTP_COOKIE": "b=1; c=2",
    }


def check_request_rules(head: RequestHead, data: bytes) -> None:
    """What must hold for whatever was accepted; the headers are split here once more, without llhttp."""
    assert head.path.startswith("/")
    assert not set("#? \r\n") & set(head.path)
    assert head.version == "1.0" or is_host(head.get("host") or "")
    assert not (head.is_chunked and head.content_length is not None)
    lines = data.decode("latin-1").split("\r\n")[1:-2]
    pairs = [line.partition(":") for line in lines]
    assert head.headers == [(name, value.strip(" \t")) for name, _, value in pairs]
    for name, value in head.headers:
        assert head.get(name) is not None
        assert all(char == "\t" or " " <= char != "\x7f" for char in value)


MUTATIONS = st.sampled_from([*b"\r\n\0 \t:;,/#?@[]_-\x7f\x80\xff019aA+"])


@given(st.lists(st.tuples(st.integers(0, len(REQUEST) - 1), MUTATIONS, st.integers(0, 1)), max_size=3))
def test_a_damaged_request_is_read_by_the_rules_or_refused(changes: list[tuple[int, int, int]]) -> None:
    data = bytearray(REQUEST)
    for position, byte, width in changes:
        data[position : position + width] = bytes([byte])
    with contextlib.suppress(RequestError):
        check_request_rules(parse_request(bytes(data)), bytes(data))


LINES = st.sampled_from(
    [
        b"Host: a",
        b"A:b",
        b"a: c",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Connection: Upgrade",
        b"Upgrade: x",
    ]
)


@given(
    st.sampled_from([b"GET / HTTP/1.1", b"POST /a?b HTTP/1.0", b"CONNECT a HTTP/1.1"]),
    st.lists(LINES | st.binary(max_size=9)),
)
def test_any_lines_are_read_by_the_rules_or_refused(line: bytes, lines: list[bytes]) -> None:
    data = b"\r\n".join([line, *lines, b"", b""])
    with contextlib.suppress(RequestError):
        check_request_rules(parse_request(data), data)


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_with_our_error(data: bytes) -> None:
    for parse, error in ((parse_request, RequestError), (parse_response, HandshakeError)):
        with contextlib.suppress(error):
            parse(data)
