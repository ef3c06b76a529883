"""The productions that several modules share, and the one place where heads are put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenws.protocol.grammar import encode_head, has_token, is_host, is_token, split_list

pytestmark = pytest.mark.usefixtures("each_build")

LATIN_1 = st.text(st.characters(max_codepoint=255))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chat", True),
        ("!#$%&'*+-.^_`|~09AZaz", True),
        ("", False),
        ("a b", False),
        ("a,b", False),
        ('"a"', False),
        ("a\n", False),
        ("é", False),
        ("\u212a", False),  # the sign for Kelvin, whose lower case is "k"
    ],
)
def test_tells_a_token(text: str, expected: bool) -> None:
    assert is_token(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app.example", True),
        ("APP.example:8000", True),
        ("127.0.0.1:80", True),
        ("docker_name", True),
        ("[::1]", True),
        ("[::1]:443", True),
        ("app.example:", True),  # RFC 3986 §3.2.3: the port may be empty
        ("app.example:65535", True),
        ("app.example:65536", False),
        ("app.example:000080", False),
        ("app.example:+80", False),
        ("app.example:8 0", False),
        ("", False),
        (":80", False),
        ("::1", False),
        ("[::1", False),
        ("a,b", False),
        ("a b", False),
        ("a/b", False),
        ("user@app.example", False),
        ("a%20b", False),
        ("é.example", False),
        ("app.example\n", False),
    ],
)
def test_tells_a_host(text: str, expected: bool) -> None:
    assert is_host(text) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", ["a"]), ("a, b\t,c", ["a", "b", "c"]), (",a,, b ,", ["a", "b"]), ("", []), (" , ", [])],
)
def test_splits_a_list_without_its_empty_elements(value: str, expected: list[str]) -> None:
    assert split_list(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("upgrade", True),
        ("UpGrade", True),
        ("keep-alive, Upgrade", True),
        ("Upgrade,keep-alive", True),
        ("notupgrade", False),
        ("upgrade2", False),
        ("keep-alive upgrade", False),
        ("", False),
        (None, False),
    ],
)
def test_finds_a_token_as_a_token(value: str | None, expected: bool) -> None:
    assert has_token(value, "upgrade") is expected


@pytest.mark.parametrize(
    ("start_line", "name", "value"),
    [
        ("HTTP/1.1 200 OK", "X", "a\r\nSet-Cookie: a=b"),
        ("HTTP/1.1 200 OK", "X", "a\rb"),
        ("HTTP/1.1 200 OK", "X", "a\nb"),
        ("HTTP/1.1 200 OK", "X", "a\0b"),
        ("HTTP/1.1 200 OK", "X", "a\x7fb"),
        ("HTTP/1.1 200 OK", "X", "\u0100"),  # beyond latin-1
        ("HTTP/1.1 200 OK", "X: a\r\nY", "b"),
        ("HTTP/1.1 200 OK", "X Y", "b"),
        ("HTTP/1.1 200 OK", "X:", "b"),
        ("HTTP/1.1 200 OK", "", "b"),
        ("HTTP/1.1 200 OK", "É", "b"),
        ("HTTP/1.1 200 O\r\nK: b", "X", "b"),
        ("HTTP/1.1 200 O\0K", "X", "b"),
    ],
)
def test_refuses_what_would_change_the_head(start_line: str, name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"header name|control character|latin-1"):
        encode_head(start_line, [("A", "b"), (name, value)])


def test_encodes_a_head() -> None:
    assert encode_head("GET / HTTP/1.1", [("A", "é\t1"), ("B", "")]) == b"GET / HTTP/1.1\r\nA: \xe9\t1\r\nB: \r\n\r\n"
    assert encode_head("GET / HTTP/1.1", []) == b"GET / HTTP/1.1\r\n\r\n"


@given(start_line=LATIN_1, headers=st.lists(st.tuples(LATIN_1, LATIN_1), max_size=5))
def test_puts_out_as_many_lines_as_were_put_in(start_line: str, headers: list[tuple[str, str]]) -> None:
    try:
        head = encode_head(start_line, headers)
    except ValueError:
        return
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\r") == head.count(b"\n") == len(headers) + 2
