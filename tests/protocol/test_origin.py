"""Which origins are let in, with the cases that other servers got wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenws.protocol.origin import is_origin_allowed

ALLOWED = ("https://app.example", "http://localhost:5173", "chrome-extension://abcdef")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://app.example", True),
        ("HTTPS://App.Example", True),
        ("https://app.example:443", True),  # the default port is no other port
        ("http://localhost:5173", True),
        ("chrome-extension://abcdef", True),
        ("https://other.example", False),
        ("null", False),
        ("https://app.example.evil", False),
        ("https://evilapp.example", False),
        ("https://app.example:444", False),
        ("http://app.example", False),
        ("https://app.example@evil", False),
        ("https://user:secret@app.example", False),
        ("https://app.example`.evil", False),
        ("https://app.example$.evil", False),
        ("https://app.example/", False),
        ("https://app.example#", False),
        ("https://app.example?", False),
        ("https://app.example\\.evil", False),
        ("https://app.example:", False),
        ("https://app.example:0443", False),
        ("https://app.example:443x", False),
        ("https://app.example.", False),
        ("https://app.example\n", False),
        ("https://app.example,https://app.example", False),
        ("https://app.example https://evil.example", False),
        ("https:app.example", False),
        ("//app.example", False),
        ("app.example", False),
        ("http\u017f://app.example", False),
        ("https://app.e\u212aample", False),
        ("https://", False),
        ("", False),
        ("*", False),
    ],
)
def test_compares_with_a_list(origin: str, expected: bool) -> None:
    assert is_origin_allowed(origin, "app.example", True, ALLOWED) is expected


@pytest.mark.parametrize(
    ("origin", "host", "secure", "expected"),
    [
        ("https://app.example", "app.example", True, True),
        ("https://app.example:65535", "app.example:65535", True, True),
        ("https://app.example:65536", "app.example:65536", True, False),
        ("https://app.example", "APP.example:443", True, True),
        ("https://app.example:443", "app.example", True, True),
        ("http://app.example", "app.example:80", False, True),
        ("http://app.example", "app.example:", False, True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", False, True),
        ("http://[::1]:8000", "[::1]:8000", False, True),
        ("http://app.example", "app.example", True, False),
        ("https://app.example", "app.example", False, True),  # TLS ends at a proxy that does not say so
        ("https://app.example:443", "app.example", False, True),
        ("https://app.example:8443", "app.example", False, False),
        ("https://app.example", "app.example:80", False, False),
        ("http://app.example:8000", "app.example", False, False),
        ("http://app.example", "app.example:8000", False, False),
        ("http://app.example:65536", "app.example:65536", False, False),
        ("https://sub.app.example", "app.example", True, False),
        ("ftp://app.example", "app.example", False, False),
        ("null", "null", False, False),
        ("http://app.example", "app.example,app.example", False, False),
        ("http://app.example", "", False, False),
        ("", "", False, False),
    ],
)
def test_compares_with_the_host(origin: str, host: str, secure: bool, expected: bool) -> None:
    assert is_origin_allowed(origin, host, secure) is expected


@pytest.mark.parametrize("allowed", [None, "*", (), ALLOWED, "https://app.example"])
def test_allows_what_is_not_a_browser(allowed: str | tuple[str, ...] | None) -> None:
    assert is_origin_allowed(None, "app.example", True, allowed)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "\u2028"])
def test_a_star_allows_everybody(origin: str) -> None:
    assert is_origin_allowed(origin, "app.example", True, "*")


def test_takes_one_origin_instead_of_a_list() -> None:
    assert is_origin_allowed("https://app.example", "other.example", True, "https://app.example")
    assert not is_origin_allowed("https://other.example", "other.example", True, "https://app.example")


@pytest.mark.parametrize("allowed", [("null",), ("nonsense",), ("",), ("*",), ("https://*.example",)])
def test_an_entry_that_is_no_origin_matches_nothing(allowed: tuple[str, ...]) -> None:
    for origin in ("null", "nonsense", "", "*", "https://*.example", "https://a.example"):
        assert not is_origin_allowed(origin, "app.example", True, allowed)


@given(st.text(max_size=40), st.text(max_size=20), st.booleans())
def test_any_text_gets_a_verdict(origin: str, host: str, secure: bool) -> None:
    assert is_origin_allowed(origin, host, secure, ALLOWED) in (True, False)
    assert is_origin_allowed(origin, host, secure) in (True, False)


@given(st.text("htps:/ap.exmlev@", min_size=1, max_size=4), st.sampled_from(["before", "after"]))
def test_nothing_can_be_added_to_an_allowed_origin(extra: str, where: str) -> None:
    origin = extra + "https://app.example" if where == "before" else "https://app.example" + extra
    assert not is_origin_allowed(origin, "app.example", True, ("https://app.example",))
