"""A reader that knows heads again gives what one gives that does not."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenws.errors import RequestError
from greenws.protocol.handshake import check_request
from greenws.protocol.head_limits import HeadLimits
from greenws.protocol.http import RequestHead, environ_headers, read_request
from greenws.protocol.known_heads import MAX_KNOWN, MAX_SIZE, RequestReader

pytestmark = pytest.mark.usefixtures("each_build")

KEYS = (b"dGhlIHNhbXBsZSBub25jZQ==", b"AAAAAAAAAAAAAAAAAAAAAA==", b"x3JJHMbDL1EzLkh9GBhXDw==")
LINES = (
    b"Host: app.example:8000",
    b"Upgrade: websocket",
    b"Connection: keep-alive, Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Protocol: chat, other",
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    b"Origin: https://app.example",
)


def head(key: bytes, *more: bytes, target: bytes = b"/chat", name: bytes = b"Sec-WebSocket-Key") -> bytes:
    lines = [b"GET " + target + b" HTTP/1.1", *LINES[:3], name + b": " + key, *LINES[3:], *more]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def seen(read: Any, data: bytes) -> Any:
    """All that can be told of what was read."""
    try:
        found = read(data)
    except RequestError as error:
        return error.status, error.message
    if found is None:
        return None
    request, stop = found
    names = ("version", "headers", "method", "target", "path", "query", "content_length", "is_chunked", "keep_alive")
    values = [request.get(name) for name, _ in request.headers]
    return stop, values, environ_headers(request), *(getattr(request, name) for name in names)


def test_heads_that_differ_in_their_keys_are_read_as_if_each_were_the_first():
    reader = RequestReader()
    for key in (*KEYS, *KEYS):
        assert seen(reader.read, head(key)) == seen(read_request, head(key))
        assert reader.read(head(key))[0].get("sec-websocket-KEY") == key.decode()


def test_what_is_known_of_a_handshake_is_what_a_check_returns():
    reader = RequestReader()
    for key in (*KEYS, *KEYS):
        request, _ = reader.read(head(key))
        assert request.asked == check_request(request.method, request.version, request.get)
        assert request.asked.key == key.decode()
    assert read_request(head(KEYS[0]))[0].asked is None


def test_one_head_is_not_changed_by_another():
    reader = RequestReader()
    first, second, third = (reader.read(head(key))[0] for key in KEYS)
    third.headers.clear()
    assert [request.get("Sec-WebSocket-Key") for request in (first, second)] == [key.decode() for key in KEYS[:2]]
    assert ("Sec-WebSocket-Key", KEYS[0].decode()) in first.headers
    assert ("Sec-WebSocket-Key", KEYS[1].decode()) in second.headers


@pytest.mark.parametrize(
    ("more", "options"),
    [
        ((b"cookie: session=1",), {}),
        ((b"Cookie: session=1", b"cookie: a=b"), {}),
        ((b"Cookie: session=1", b"Cookie: a=b"), {}),
        ((b"Cookie: session=1", b"cookie:"), {}),
        ((b"Cookie: session=1", b"Authorization: Bearer x"), {}),
        ((b"Cookie: session=1 ",), {}),
        ((b"Cookie:  session=1",), {}),
        ((b"Cookie: ",), {}),
        ((b"Cookie: a=\xe9",), {}),
        ((b"Cookie: a=\tb",), {}),
        ((b"authorization: Bearer x",), {}),
        ((b"Proxy-Authorization: Basic x",), {}),
        ((), {"target": b"/chat?token=x"}),
    ],
)
def test_what_a_person_sends_is_not_kept(more, options):
    reader = RequestReader()
    for key in KEYS:
        request, _ = reader.read(head(key, *more, **options))
        assert request.asked is None
        assert request.get("Sec-WebSocket-Key") == key.decode()
        assert seen(reader.read, head(key, *more, **options)) == seen(read_request, head(key, *more, **options))


COOKIES = (b"session=1", b"a=b; session=" + b"x" * 4000, b"1", b'a="; b', b"Sec-WebSocket-Key: " + KEYS[0], b"=; ;")


@pytest.mark.parametrize("cookies_first", [True, False])
def test_neither_are_cookies_but_what_is_around_them(cookies_first):
    reader = RequestReader()
    before = None
    for cookies in COOKIES:
        for key in KEYS:
            data = head(key, b"Cookie: " + cookies)
            if cookies_first:
                data = data.replace(b"Host: ", b"Cookie: " + cookies + b"\r\nHost: ").replace(
                    b"\r\nCookie: " + cookies + b"\r\n\r\n", b"\r\n\r\n"
                )
            assert data.count(b"Cookie") == 1
            assert seen(reader.read, data) == seen(read_request, data)
            request, _ = reader.read(data)
            assert request.get("cookie") == cookies.decode()
            assert request.asked == check_request(request.method, request.version, request.get)
            assert before is None or request.path is before.path
            before = request
    kept = getattr(reader, "_known", None) or next(held for held in gc.get_referents(reader) if type(held) is dict)
    ((around, (known, *_)),) = kept.items()
    assert b"session" not in around
    assert ("Cookie", "") in known.headers
    assert known.get("cookie") == ""


def test_a_head_with_cookies_is_not_one_without():
    reader = RequestReader()
    for more in ((), (b"Cookie: a=b",), (b"Cookie: ",), (b"Cookie: c",), ()):
        assert seen(reader.read, head(KEYS[0], *more)) == seen(read_request, head(KEYS[0], *more))


@pytest.mark.parametrize("cookies", [b"a\rb", b"a\nb", b"a\r\n b", b"a\0", b"a\x7f", b" ", b"\r\nHost: other", b"a\r"])
def test_cookies_that_are_none_are_refused_however_well_the_rest_is_known(cookies):
    reader = RequestReader()
    reader.read(head(KEYS[0], b"Cookie: a=b"))
    data = head(KEYS[1], b"Cookie: " + cookies)
    assert seen(reader.read, data) == seen(read_request, data)


def test_the_size_of_a_head_counts_with_its_cookies():
    reader = RequestReader(HeadLimits(size=1000))
    rest = len(head(KEYS[0], b"Cookie: "))
    for size in (1000, 100 + rest, 1000, 1001, 5000):
        data = head(KEYS[0], b"Cookie: " + b"x" * (size - rest))
        assert len(data) == size
        assert seen(reader.read, data) == seen(lambda data: read_request(data, HeadLimits(size=1000)), data)


@pytest.mark.parametrize(
    "more",
    [
        (b"sec-websocket-key: " + KEYS[0],),
        (b"Sec-WebSocket-Key: " + KEYS[1],),
        (b"Transfer-Encoding: chunked",),
        (b"Content-Length: 5",),
        (b"X: " + b"x" * MAX_SIZE,),
    ],
)
def test_neither_is_what_is_no_handshake_or_too_large(more):
    reader = RequestReader()
    for key in KEYS:
        assert seen(reader.read, head(key, *more)) == seen(read_request, head(key, *more))
        assert reader.read(head(key, *more))[0].asked is None


def test_a_key_that_is_none_is_read_as_before_and_not_taken_for_one():
    reader = RequestReader()
    reader.read(head(KEYS[0]))
    for key in (
        b"dGhlIHNhbXBsZSBub25jZR==",
        b"dGhlIHNhbXBsZSBub25jZQ= ",
        b"",
        b"x" * 24,
        KEYS[0] + b"x",
        b"\r\n" + KEYS[0][2:],
    ):
        assert seen(reader.read, head(key)) == seen(read_request, head(key))
    assert reader.read(head(KEYS[0], name=b"Sec-Websocket-Key"))[0].asked is None


def test_the_limits_hold_for_what_looks_like_one_before():
    small = RequestReader(HeadLimits(headers=8))
    assert small.read(head(KEYS[0]))[0].asked is not None
    with pytest.raises(RequestError, match="too many headers"):
        small.read(head(KEYS[1], b"X: y"))


def test_what_follows_the_head_is_not_part_of_it():
    reader = RequestReader()
    for key in KEYS:
        request, stop = reader.read(head(key) + b"\x81\x80\0\0\0\0")
        assert stop == len(head(key))
        assert request.get("Sec-WebSocket-Key") == key.decode()
    assert reader.read(head(KEYS[0])[:-1]) is None


def is_known(reader: RequestReader, before: RequestHead, *more: bytes) -> bool:
    """Whether what another head has in common with one before is the same object."""
    return reader.read(head(KEYS[1], *more))[0].path is before.path


def test_only_so_many_are_kept():
    reader = RequestReader()
    found = [reader.read(head(KEYS[0], b"X: %d" % number))[0] for number in range(MAX_KNOWN)]
    assert all(is_known(reader, found[number], b"X: %d" % number) for number in range(MAX_KNOWN))
    last = reader.read(head(KEYS[0], b"X: last"))[0]
    assert is_known(reader, last, b"X: last")
    assert not is_known(reader, found[0], b"X: 0")
    assert is_known(reader, last, b"X: last")


@pytest.mark.parametrize(("size", "is_kept"), [(MAX_SIZE, True), (MAX_SIZE + 1, False)])
def test_only_up_to_a_size(size, is_kept):
    reader = RequestReader()
    filler = b"X: " + b"x" * (size - len(head(b"", b"X: ")))
    assert len(head(b"", filler)) == size
    assert is_known(reader, reader.read(head(KEYS[0], filler))[0], filler) == is_kept


PIECES = st.sampled_from(
    [
        *LINES,
        *KEYS,
        b"Sec-WebSocket-Key: ",
        b"sec-websocket-key: ",
        b"\r\n",
        b" ",
        b",",
        b"Content-Length: 0",
        b"Cookie: a",
        b"\r\nCookie: ",
        b"cookie: b",
    ]
)


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.lists(PIECES, max_size=4), st.integers(0, 40)), max_size=6))
def test_any_heads_one_after_another(heads):
    reader = RequestReader()
    for key, more, cut in heads:
        data = head(key, b"".join(more))
        for part in (data[: len(data) - cut], data):
            assert seen(reader.read, part) == seen(read_request, part)
