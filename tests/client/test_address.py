"""URLs of WebSockets, read strictly."""

from __future__ import annotations

import pytest

from greenws.client.address import Address, follow, parse_url
from greenws.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "header"),
    [
        ("ws://app.example", "app.example", 80, "/", "app.example"),
        ("wss://app.example", "app.example", 443, "/", "app.example"),
        ("WSS://App.Example:443/Chat", "app.example", 443, "/Chat", "app.example"),
        ("ws://app.example:443/", "app.example", 443, "/", "app.example:443"),
        ("ws://app.example:8000/a/b?c=d&e", "app.example", 8000, "/a/b?c=d&e", "app.example:8000"),
        ("ws://app.example?x=1", "app.example", 80, "/?x=1", "app.example"),
        ("ws://127.0.0.1:8000/", "127.0.0.1", 8000, "/", "127.0.0.1:8000"),
        ("ws://[::1]:8000/", "::1", 8000, "/", "[::1]:8000"),
        (
            "ws://bücher.example/straße?q=ä",
            "xn--bcher-kva.example",
            80,
            "/stra%C3%9Fe?q=%C3%A4",
            "xn--bcher-kva.example",
        ),
        ("ws://app.example/a%20b%2Fc", "app.example", 80, "/a%20b%2Fc", "app.example"),
    ],
)
def test_reads(url, host, port, target, header):
    address = parse_url(url)
    assert (address.host, address.port, address.target, address.host_header) == (host, port, target, header)
    assert address.is_secure == url.lower().startswith("wss")
    assert address.userinfo is None


@pytest.mark.parametrize(
    ("url", "userinfo"),
    [
        ("ws://ada:secret@app.example/", ("ada", "secret")),
        ("ws://ada@app.example/", ("ada", "")),
        ("ws://a%40b:c%3Ad@app.example/", ("a@b", "c:d")),
    ],
)
def test_reads_user_and_password(url, userinfo):
    assert parse_url(url).userinfo == userinfo


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://app.example/", "begins with ws"),
        ("app.example", "begins with ws"),
        ("", "begins with ws"),
        ("ws:///path", "no host"),
        ("ws://", "no host"),
        ("ws://app.example/#top", "fragment"),
        ("ws://app.example/#", "fragment"),
        ("ws://app.example:http/", "not a URL"),
        ("ws://app.example:65536/", "not a URL"),
        ("ws://app.example:0/", "port 0"),
        ("ws://[::1/", "not a URL"),
        ("ws://a b/", "spaces"),
        ("ws://app.example/\r\nX: y", "control"),
        ("ws://app\t.example/", "control"),
        ("ws://app,other/", "not a host"),
        ("ws://app%2f.example/", "not a host"),
        (b"ws://app.example/", "string"),
    ],
)
def test_refuses(url, why):
    with pytest.raises(ConfigError, match=why):
        parse_url(url)


def test_a_log_shows_no_secret():
    address = parse_url("wss://ada:secret@app.example/chat?token=secret")
    assert "secret" not in str(address) + repr(address)
    assert str(address) == "wss://app.example/chat"


HERE = parse_url("wss://app.example/a/b?c")


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("/d", "wss://app.example/d"),
        ("d", "wss://app.example/a/d"),
        ("//other.example/d", "wss://other.example/d"),
        ("https://other.example:8443/d?e=f", "wss://other.example:8443/d?e=f"),
        ("wss://other.example/d#top", "wss://other.example/d"),
    ],
)
def test_follows(location, there):
    assert follow(HERE, location) == parse_url(there)


def test_follows_to_encryption():
    assert follow(parse_url("ws://app.example/"), "https://app.example/") == parse_url("wss://app.example/")


@pytest.mark.parametrize(
    "location", ["ws://app.example/", "http://app.example/", "ftp://app.example/", "wss://", "//:x"]
)
def test_does_not_follow(location):
    with pytest.raises(ConfigError):
        follow(HERE, location)


def test_two_addresses_have_one_origin_when_scheme_host_and_port_agree():
    origins = {parse_url(url).origin for url in ("ws://a/", "ws://a:80/b", "ws://ada:x@A/")}
    assert origins == {(False, "a", 80)}
    assert Address(True, "a", 80, "/").origin != (False, "a", 80)
