"""The server's side of the opening handshake: each MUST of RFC 6455 §4."""

from __future__ import annotations

import base64
import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenws.errors import HandshakeError
from greenws.protocol.handshake import (
    ExtensionOffer,
    UpgradeRequest,
    accept_key,
    check_request,
    choose_subprotocol,
    upgrade_answer,
    upgrade_headers,
    wants_websocket,
)
from greenws.protocol.http import response_head

pytestmark = pytest.mark.usefixtures("each_build")

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
REQUEST = {
    "Host": "app.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}
RESPONSE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT}

ALLOW = (("Allow", "GET"),)
UPGRADE = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
VERSION = (("Sec-WebSocket-Version", "13"),)
DEFLATE = ExtensionOffer("permessage-deflate", (("client_max_window_bits", None),))

Changes = dict[str, str | None]


def check(changes: Changes | None = None, method: str = "GET", version: str = "1.1") -> UpgradeRequest:
    """Checks a valid handshake with some headers changed, or left out where they are None."""
    return check_request(method, version, {**REQUEST, **(changes or {})}.get)


def key_of(size: int) -> str:
    return base64.b64encode(bytes(size)).decode()


@pytest.mark.parametrize(
    ("changes", "status", "headers"),
    [
        pytest.param({"Upgrade": None}, 426, UPGRADE, id="no upgrade"),
        pytest.param({"Upgrade": "notwebsocket"}, 426, UPGRADE, id="upgrade to another"),
        pytest.param({"Upgrade": "websocket/13"}, 426, UPGRADE, id="upgrade with a version"),
        pytest.param({"Upgrade": "h2c"}, 426, UPGRADE, id="upgrade to HTTP/2"),
        pytest.param({"Connection": None}, 400, (), id="no connection header"),
        pytest.param({"Connection": "notupgrade"}, 400, (), id="connection with another option"),
        pytest.param({"Connection": "keep-alive"}, 400, (), id="connection kept alive"),
        pytest.param({"Host": None}, 400, (), id="no host"),
        pytest.param({"Host": ""}, 400, (), id="empty host"),
        pytest.param({"Host": "a,b"}, 400, (), id="two hosts"),
        pytest.param({"Content-Length": "5"}, 400, (), id="body"),
        pytest.param({"Content-Length": "00"}, 400, (), id="odd length"),
        pytest.param({"Transfer-Encoding": "chunked"}, 400, (), id="chunked body"),
        *(
            pytest.param({"Sec-WebSocket-Version": value}, 426, UPGRADE + VERSION, id=f"version {value}")
            for value in ("0", "7", "8", "12", "14", "130", "255")
        ),
        *(
            pytest.param({"Sec-WebSocket-Version": value}, 400, VERSION, id=f"version {value}")
            for value in (None, "", "013", "13, 8", "13,13", "1 3", "+13", "-13", "13.0", "x", "\xb9\xb3", "1313")
        ),
        *(
            pytest.param({"Sec-WebSocket-Key": value}, 400, (), id=f"key {value}")
            for value in (
                None,
                "",
                key_of(15),
                key_of(17),
                KEY[:-1],
                KEY + "=",
                KEY[:-2],
                KEY + "," + KEY,
                KEY.replace("d", "*"),
                KEY.replace("d", "-"),  # another alphabet of base64
                KEY.replace("Q==", "R=="),  # bits that no encoder sets
                " " + KEY[1:],
                KEY[:-1] + "\n",
                "\xe9" * 24,
                "=" * 24,
            )
        ),
        pytest.param(
            {"Sec-WebSocket-Version": None, "Sec-WebSocket-Key": None, "Sec-WebSocket-Key1": "4 @1  46546xW%0l 1 5"},
            400,
            VERSION,
            id="hixie-76",
        ),
        *(
            pytest.param({"Origin": value}, 400, (), id=f"origin {value}")
            for value in ("https://a,https://b", "https://a https://b", "https://a\t", "https://a\x00", "https://a\x7f")
        ),
        *(
            pytest.param({"Sec-WebSocket-Protocol": value}, 400, (), id=f"subprotocol {value}")
            for value in ("", " , ", "a b", '"a"', "a,b\r", "a\n", "a,b,a", "a,a", "é", "a/b", "a;b", " " * 7000)
        ),
        *(
            pytest.param({"Sec-WebSocket-Extensions": value}, 400, (), id=f"extension {value}")
            for value in (";;,=", "", "a;", "a b", 'a;b="', "a;b=c d")
        ),
    ],
)
def test_refuses_a_request(changes: Changes, status: int, headers: tuple[tuple[str, str], ...]) -> None:
    check()
    with pytest.raises(HandshakeError) as caught:
        check(changes)
    assert (caught.value.status, caught.value.headers) == (status, headers)


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "get", ""])
def test_refuses_other_methods(method: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        check(method=method)
    assert (caught.value.status, caught.value.headers) == (405, ALLOW)


@pytest.mark.parametrize("version", ["1.0", "HTTP/1.0", "2", "HTTP/2.0", "HTTP/0.9", ""])
def test_refuses_other_versions_of_http(version: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        check(version=version)
    assert caught.value.status == 505


def test_the_first_rule_that_is_broken_decides() -> None:
    """In this order, so that a plain request hears 426 and not what a handshake would lack."""
    changes: Changes = {"Upgrade": None, "Connection": None, "Host": None, "Content-Length": "1"}
    changes |= {"Sec-WebSocket-Version": "12", "Sec-WebSocket-Key": "x", "Origin": " ", "Sec-WebSocket-Protocol": ""}
    found = []
    for method, version, repaired in [
        ("POST", "1.0", ()),
        ("GET", "1.0", ()),
        ("GET", "1.1", ()),
        ("GET", "1.1", ("Upgrade",)),
        ("GET", "1.1", ("Upgrade", "Connection")),
        ("GET", "1.1", ("Upgrade", "Connection", "Host")),
        ("GET", "1.1", ("Upgrade", "Connection", "Host", "Content-Length")),
    ]:
        with pytest.raises(HandshakeError) as caught:
            check({name: value for name, value in changes.items() if name not in repaired}, method, version)
        found.append(caught.value.status)
    assert found == [405, 505, 426, 400, 400, 400, 426]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "UPGRADE,keep-alive"},
        {"Upgrade": "WebSocket"},
        {"Upgrade": "h2c, websocket"},
        {"Host": "[::1]:8000"},
        {"Content-Length": "0"},
        {"Content-Length": "", "Transfer-Encoding": ""},  # what some WSGI servers say when there is none
        {"Sec-WebSocket-Key": key_of(16)},
        {"Sec-WebSocket-Key": "/+/+/+/+/+/+/+/+/+/+/w=="},
        {"X-Other": "a\x00b"},
    ],
)
def test_takes_a_valid_request(changes: Changes) -> None:
    headers = {**REQUEST, **changes}
    assert check(changes) == UpgradeRequest(headers["Sec-WebSocket-Key"] or "", (), (), None, headers["Host"] or "")


def test_takes_the_version_as_wsgi_has_it() -> None:
    assert check(version="HTTP/1.1") == check()


def test_reads_what_is_asked_for() -> None:
    request = check(
        {
            "Origin": "https://app.example",
            "Sec-WebSocket-Protocol": "chat.v2 ,chat.v1",
            "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits, x-other;a=1",
        }
    )
    assert request.origin == "https://app.example"
    assert request.subprotocols == ("chat.v2", "chat.v1")
    assert request.extensions == (DEFLATE, ExtensionOffer("x-other", (("a", "1"),)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a;b=1;b=2", ()),
        ("a;b;b, c;b", (ExtensionOffer("c", (("b", None),)),)),
        ('permessage-deflate;server_max_window_bits=""', None),
        (",".join(["a"] * 32), (ExtensionOffer("a"),) * 32),
        (",".join(["a"] * 33), ()),
        (",".join(["permessage-deflate"] * 200), ()),
        ("a" + ";b" * 129, ()),
        ("a" + "".join(f";b{number}" for number in range(128)), None),
        ("a" + "".join(f";b{number}" for number in range(129)), ()),
    ],
)
def test_declines_what_no_honest_client_offers(value: str, expected: tuple[ExtensionOffer, ...] | None) -> None:
    extensions = check({"Sec-WebSocket-Extensions": value}).extensions
    assert len(extensions) == 1 if expected is None else extensions == expected


def test_declines_more_subprotocols_than_anybody_has() -> None:
    names = [f"p{number}" for number in range(33)]
    assert check({"Sec-WebSocket-Protocol": ",".join(names[:32])}).subprotocols == tuple(names[:32])
    assert check({"Sec-WebSocket-Protocol": ",".join(names)}).subprotocols == ()


@pytest.mark.parametrize("value", [" " * 7000 + "a", "a" + " " * 7000 + ",b", "," * 16000, "a," * 8000, "a" * 16000])
@pytest.mark.parametrize("name", ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Upgrade", "Connection"])
def test_long_values_take_no_long_time(name: str, value: str) -> None:
    assert cheapest({name: value}) < 0.005


@pytest.mark.parametrize(
    "value",
    [
        "a" + ";b" * 8000,
        "a;b=" + '"' * 16000,
        "a;b" + " " * 16000 + "c",
        'a;b="' + "\\a" * 8000,
        "a;" + "b" * 16000 + "=",
    ],
)
def test_long_extensions_take_no_long_time(value: str) -> None:
    assert cheapest({"Sec-WebSocket-Extensions": value}) < 0.005


def cheapest(changes: Changes) -> float:
    """Seconds of the processor that a check takes, the best of five: a busy machine makes no test fail."""
    times = []
    for _ in range(5):
        start = time.thread_time()
        with contextlib.suppress(HandshakeError):
            check(changes)
        times.append(time.thread_time() - start)
    return min(times)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("websocket", True),
        ("WEBSOCKET", True),
        ("a, websocket", True),
        ("websockets", False),
        ("", False),
        (None, False),
    ],
)
def test_knows_who_wants_a_websocket(value: str | None, expected: bool) -> None:
    assert wants_websocket({"Upgrade": value}.get) is expected


def test_answers_the_key_of_the_rfc() -> None:
    assert accept_key(KEY) == ACCEPT


@pytest.mark.parametrize(
    ("offered", "supported", "expected"),
    [
        (("a", "b"), ("b", "a"), "b"),
        (("a", "b"), ("c", "a"), "a"),
        (("a",), ("b",), None),
        (("a",), ("A",), None),
        ((), ("a",), None),
        (("a",), (), None),
    ],
)
def test_chooses_the_servers_favourite(
    offered: tuple[str, ...], supported: tuple[str, ...], expected: str | None
) -> None:
    assert choose_subprotocol(offered, supported) == expected


def test_answers_an_upgrade() -> None:
    request = check({"Sec-WebSocket-Protocol": "a, b"})
    assert upgrade_headers(request) == list(RESPONSE.items())
    assert upgrade_headers(request, "b", "x;y=1") == [
        *RESPONSE.items(),
        ("Sec-WebSocket-Protocol", "b"),
        ("Sec-WebSocket-Extensions", "x;y=1"),
    ]


@pytest.mark.parametrize("agreed", [(None, None), ("b", None), (None, "x;y=1"), ("a", "x;y=1")])
def test_the_whole_answer_is_a_101_with_these_headers(agreed: tuple[str | None, str | None]) -> None:
    request = check({"Sec-WebSocket-Protocol": "a, b"})
    assert upgrade_answer(request, *agreed) == response_head(
        101, "Switching Protocols", upgrade_headers(request, *agreed)
    )


def test_never_answers_with_a_subprotocol_that_was_not_offered() -> None:
    with pytest.raises(ValueError, match="did not offer the subprotocol 'c'"):
        upgrade_headers(check({"Sec-WebSocket-Protocol": "a, b"}), "c")


HEADER_NAMES = st.sampled_from(
    [*REQUEST, "Origin", "Content-Length", "Transfer-Encoding", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"]
)


@given(st.dictionaries(HEADER_NAMES, st.none() | st.text(max_size=30) | st.text('a,;=" 013\\'), max_size=4))
def test_any_headers_are_taken_or_refused_with_our_error(changes: Changes) -> None:
    with contextlib.suppress(HandshakeError):
        request = check(changes)
        assert len(base64.b64decode(request.key, validate=True)) == 16
