"""The client's side of the opening handshake, and both sides together (RFC 6455 §4.1)."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenws.errors import HandshakeError
from greenws.protocol.handshake import (
    Accepted,
    ExtensionOffer,
    UpgradeRequest,
    accept_key,
    check_request,
    check_response,
    choose_subprotocol,
    new_key,
    request_head,
    upgrade_headers,
)
from greenws.protocol.http import parse_request, parse_response, response_head

pytestmark = pytest.mark.usefixtures("each_build")

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
RESPONSE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT}
DEFLATE = ExtensionOffer("permessage-deflate", (("client_max_window_bits", None),))
TOKENS = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", fullmatch=True)

Changes = dict[str, str | None]


def answer(changes: Changes | None = None, line: str = "HTTP/1.1 101 Switching Protocols") -> bytes:
    headers = {**RESPONSE, **(changes or {})}
    lines = [line, *(f"{name}: {value}" for name, value in headers.items() if value is not None), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def test_writes_a_request() -> None:
    assert request_head("app.example", "/chat?a=b", KEY) == (
        b"GET /chat?a=b HTTP/1.1\r\nHost: app.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )


def test_reads_back_the_request_it_wrote() -> None:
    data = request_head(
        "[::1]:8000",
        "/chat/%C3%A9?a=b",
        KEY,
        subprotocols=["a", "b"],
        origin="https://app.example",
        extensions="permessage-deflate; client_max_window_bits",
        headers=[("Authorization", "Bearer x"), ("Cookie", "a=b")],
    )
    head = parse_request(data)
    assert (head.target, head.get("Authorization"), head.get("Cookie")) == ("/chat/%C3%A9?a=b", "Bearer x", "a=b")
    request = check_request(head.method, head.version, head.get)
    assert request == UpgradeRequest(KEY, ("a", "b"), (DEFLATE,), "https://app.example", "[::1]:8000")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"host": "a\r\nX: y"}, "host"),
        ({"host": "http://a"}, "host"),
        ({"host": ""}, "host"),
        ({"target": "chat"}, "path"),
        ({"target": ""}, "path"),
        ({"target": "/a b"}, "path"),
        ({"target": "/a#b"}, "path"),
        ({"target": "/é"}, "path"),
        ({"target": "/ HTTP/1.1\r\nX: y"}, "path"),
        ({"key": "a\r\nX: y"}, "control"),
        ({"subprotocols": ["a", "a"]}, "subprotocols"),
        ({"subprotocols": ["a b"]}, "subprotocols"),
        ({"subprotocols": [""]}, "subprotocols"),
        ({"subprotocols": ["a\r\nX: y"]}, "subprotocols"),
        ({"origin": "a\r\nX: y"}, "control"),
        ({"extensions": "a;;b"}, "extension"),
        ({"extensions": "a\r\nX: y"}, "extension"),
        ({"headers": [("X", "a\r\nY: b")]}, "control"),
        ({"headers": [("X\r\nY", "b")]}, "name"),
        *(
            ({"headers": [(name, "a")]}, "itself")
            for name in ("Host", "upgrade", "CONNECTION", "Origin", "Sec-WebSocket-Key", "sec-websocket-protocol")
        ),
        *(({"headers": [(name, "0")]}, "itself") for name in ("Content-Length", "Transfer-Encoding")),
    ],
)
def test_refuses_to_write_another_request(arguments: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        request_head(**{"host": "app.example", "target": "/", "key": KEY, **arguments})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({}, Accepted(None, ())),
        ({"Upgrade": "WebSocket", "Connection": "keep-alive, upgrade"}, Accepted(None, ())),
        ({"Sec-WebSocket-Protocol": "b"}, Accepted("b", ())),
        ({"Sec-WebSocket-Extensions": "x;y=1"}, Accepted(None, (ExtensionOffer("x", (("y", "1"),)),))),
    ],
)
def test_takes_a_valid_response(changes: Changes, accepted: Accepted) -> None:
    assert check_response(parse_response(answer(changes)), KEY, ["a", "b"], ["x", "z"]) == accepted


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Upgrade": None}, "upgrade to websocket"),
        ({"Upgrade": "h2c"}, "upgrade to websocket"),
        ({"Upgrade": "websocket, h2c"}, "upgrade to websocket"),
        ({"Connection": None}, "Connection"),
        ({"Connection": "close"}, "Connection"),
        ({"Sec-WebSocket-Accept": None}, "Accept"),
        ({"Sec-WebSocket-Accept": ""}, "Accept"),
        ({"Sec-WebSocket-Accept": accept_key(new_key())}, "Accept"),
        ({"Sec-WebSocket-Accept": ACCEPT.lower()}, "Accept"),
        ({"sec-websocket-accept": ACCEPT}, "Accept"),  # twice
        ({"Sec-WebSocket-Protocol": "c"}, "subprotocol"),
        ({"Sec-WebSocket-Protocol": "A"}, "subprotocol"),
        ({"Sec-WebSocket-Protocol": ""}, "subprotocol"),
        ({"Sec-WebSocket-Protocol": "a", "sec-websocket-protocol": "b"}, "subprotocol"),
        ({"Sec-WebSocket-Extensions": "w"}, "extension"),
        ({"Sec-WebSocket-Extensions": "x, w"}, "extension"),
        ({"Sec-WebSocket-Extensions": "x, x"}, "extension"),
        ({"Sec-WebSocket-Extensions": ""}, "Extensions"),
        ({"Sec-WebSocket-Extensions": "x;;"}, "Extensions"),
        ({"Content-Length": "1"}, "body"),
        ({"Transfer-Encoding": "chunked"}, "body"),
    ],
)
def test_refuses_a_response(changes: Changes, why: str) -> None:
    head = parse_response(answer(changes))
    with pytest.raises(HandshakeError, match=why) as caught:
        check_response(head, KEY, ["a", "b"], ["x", "z"])
    assert (caught.value.status, caught.value.headers) == (101, tuple(head.headers))


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 302 Found", 302),
        ("HTTP/1.1 401 Unauthorized", 401),
        ("HTTP/1.1 503 Busy", 503),
        ("HTTP/1.0 101 Switching Protocols", 101),
    ],
)
def test_a_refused_upgrade_has_the_servers_status_and_headers(line: str, status: int) -> None:
    head = parse_response(answer({"Location": "/elsewhere"}, line))
    with pytest.raises(HandshakeError) as caught:
        check_response(head, KEY)
    assert caught.value.status == status
    assert ("Location", "/elsewhere") in caught.value.headers


def test_a_101_may_say_that_it_has_no_body() -> None:
    check_response(parse_response(answer({"Content-Length": "0"})), KEY)


def test_new_keys_are_valid_and_new() -> None:
    keys = {new_key() for _ in range(20)}
    assert len(keys) == 20
    for key in keys:
        assert len(base64.b64decode(key, validate=True)) == 16


@given(st.lists(TOKENS, unique=True, max_size=5), st.data())
def test_both_sides_agree(subprotocols: list[str], data: st.DataObject) -> None:
    key = new_key()
    head = parse_request(request_head("app.example", "/", key, subprotocols=subprotocols, extensions="x"))
    request = check_request(head.method, head.version, head.get)
    chosen = choose_subprotocol(request.subprotocols, data.draw(st.permutations([*subprotocols, "other"])))
    response = parse_response(response_head(101, "Switching Protocols", upgrade_headers(request, chosen, "x")))
    accepted = check_response(response, key, subprotocols, ["x"])
    assert accepted == Accepted(chosen, (ExtensionOffer("x"),))
    assert (chosen is None) is (not subprotocols)


@given(
    st.dictionaries(
        st.sampled_from([*RESPONSE, "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"]),
        st.none() | st.text('aAx,;=" ', max_size=8),
    )
)
def test_any_response_is_taken_or_refused_with_our_error(changes: Changes) -> None:
    with contextlib.suppress(HandshakeError):
        accepted = check_response(parse_response(answer(changes)), KEY, ["a"], ["x"])
        assert accepted.subprotocol in (None, "a")
        assert [extension.name for extension in accepted.extensions] in ([], ["x"])
