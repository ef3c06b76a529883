"""Request heads that are refused, and some that only look bad: H and O of the list of hostile input.

A row says what our server answers. Where a server that is not ours reads or answers a head itself, another answer of
its stack stands beside it, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.hostile.peer import HI, UPGRADE, ask

KEY = b"Sec-WebSocket-Key"
VERSION = b"Sec-WebSocket-Version"
SPEAKS_13 = {"sec-websocket-version": "13"}
TO_WEBSOCKET = {"upgrade": "websocket"}
PARTS = (b"Upgrade", b"Connection", KEY, VERSION)

HIXIE = (b"Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5", b"Sec-WebSocket-Key2: 12998 5 Y3 1  .P00")
# A TLS 1.2 hello, as far as it is the same for all.
TLS_HELLO = bytes.fromhex("16030100c0010000bc0303") + bytes(32) + b"\x00\x00\x02\x13\x01\x01\x00" + bytes(150)


Headers = dict[str, str | None]


@dataclass(frozen=True)
class Other:
    """The answer of another stack, and why it is another."""

    status: int
    why: str


@dataclass(frozen=True)
class Head:
    """A request.

    Attributes:
        name: its id, and what is wrong with it.
        wire: the bytes.
        statuses: with which it may be answered.
        headers: that the answer has; None is one that it must not have.
        elsewhere: the other answers, by stack.
    """

    name: str
    wire: bytes
    statuses: tuple[int, ...]
    headers: Headers | None = None
    elsewhere: Mapping[str, Other] = field(default_factory=dict)


NO_HEAD, SILENCE = 0, -1  # for a status: an answer without a head, and none until the peer goes

LF_IS_ENOUGH = {"nginx": Other(101, "it takes LF alone for a line's end, and writes CRLF to us")}
LEAVES_IT_OUT = {"nginx": Other(101, "it leaves out a header whose name is not letters, digits and dashes")}
SPEAKS_1_1 = {"nginx": Other(101, "it speaks HTTP/1.1 to us, whatever 1.x it was asked in")}
OWN_CONNECTION = {"nginx": Other(101, "a Connection header is for one hop: it writes its own when there is an Upgrade")}
HOST_STANDS = "it passes on the path; the Host header stands, and is what the application is told"
PATH_ALONE = {"nginx": Other(101, HOST_STANDS), "gunicorn": Other(101, HOST_STANDS)}
ADDS_LINES = {"nginx": Other(431, "it adds headers of its own, so that we get more than we allow")}
NO_ROUTE = {"gunicorn": Other(404, "it asks the application, which has no such route")}
WAITS_FOR_A_LINE = {"gunicorn": Other(SILENCE, "it waits for the end of a line, without a deadline")}
NOWHERE: Mapping[str, Other] = {}
LINE_IS_LONGER = {"gunicorn": Other(414, "its limit of a line is 4,094 bytes")}


def broken(path: str, *, upgrade: bool) -> list[Head]:
    """What the parser refuses, so that no application hears of it: in an upgrade and in a request for a page."""
    at = path.encode()

    def row(
        name: str,
        *lines: bytes,
        line: bytes = b"",
        without: tuple[bytes, ...] = (),
        status: int = 400,
        elsewhere: Mapping[str, Other] = NOWHERE,
    ) -> Head:
        wire = ask(path, *lines, line=line, without=without + (() if upgrade else PARTS))
        return Head(name, wire, (status,), None, elsewhere)

    def target(name: str, text: bytes, method: bytes = b"GET", elsewhere: Mapping[str, Other] = NOWHERE) -> Head:
        line = method + b" " + text + b" HTTP/1.1"
        return row(f"{name} {text.decode('latin-1')!r}", line=line, elsewhere=elsewhere)

    padding = 8192 - len(b"GET %s? HTTP/1.1" % at)
    lines = 1 + (len(PARTS) if upgrade else 0)
    return [
        Head(
            "H3 no version at all",
            b"GET " + at + b"\r\n\r\n",
            (400, 505),
            elsewhere={"nginx": Other(NO_HEAD, "it speaks HTTP/0.9: our refusal without its head")},
        ),
        Head("H3 preface of HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
        *(
            Head(f"H3 {version.decode()}", ask(path, line=b"GET " + at + b" " + version), (400, 505))
            for version in (b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.", b"HTTP/11", b"http/1.1", b"HTP/1.1")
        ),
        Head("H3 HTTP/1.2", ask(path, line=b"GET " + at + b" HTTP/1.2"), (400, 505), elsewhere=SPEAKS_1_1),
        row("H4 no host", without=(b"Host",)),
        row("H5 two hosts", b"Host: app.example"),
        row("H5 two different hosts", b"Host: evil.example"),
        row("H18 length and chunked", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        row("H18 chunked and length", b"Transfer-Encoding: chunked", b"Content-Length: 5"),
        row("H19 two different lengths", b"Content-Length: 5", b"Content-Length: 6"),
        *(
            row(f"H20 length {value.decode()}", b"Content-Length: " + value)
            for value in (b"+5", b"-1", b"0x5", b"1_0", b"5, 5", b"5,5", b"5 5", b"1e1", b"12345678901234567890")
        ),
        *(
            Head(f"H21 coding {value.decode()}", ask(path, b"Transfer-Encoding: " + value), (400, 501))
            for value in (b"chunked, identity", b"xchunked", b"identity", b"gzip, chunked", b"chunked,chunked")
        ),
        row("H21 two codings", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        row("H21 chunked twice", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        row("H22 space before the colon", b"X-A : a"),
        row("H22 tab before the colon", b"X-A\t: a"),
        row("H23 folded line", b"X-A: a", b" b"),
        row("H23 line folded with a tab", b"X-A: a", b"\tX-B: b"),
        row("H23 space before the first header", line=b"GET %s HTTP/1.1\r\n X-A: a" % at),
        row("H24 LF alone between headers", b"X-A: a\nX-B: b", elsewhere=LF_IS_ENOUGH),
        row("H24 LF alone behind the first line", line=b"GET %s HTTP/1.1\nX-A: a" % at, elsewhere=LF_IS_ENOUGH),
        Head("H24 LF alone everywhere", ask(path).replace(b"\r\n", b"\n"), (400,), elsewhere=LF_IS_ENOUGH),
        Head("H24 LF alone in the end", ask(path)[:-4] + b"\n\n", (400,), elsewhere=LF_IS_ENOUGH),
        row("H25 CR alone in a value", b"X-A: a\rX-B: b"),
        row("H25 CR alone in a value, twice", b"X-A: a\r\rX-B: b"),
        row("H25 CR alone in the first line", line=b"GET %s\r HTTP/1.1" % at),
        *(
            row(f"H26 {byte:#04x} in a value", b"X-A: a" + bytes([byte]) + b"b")
            for byte in (0, 1, 7, 8, 11, 12, 14, 27, 31, 127)
        ),
        *(row(f"H26 {byte:#04x} in a name", b"X-A" + bytes([byte]) + b": b") for byte in (0, 1, 27, 127)),
        *(
            row(f"H26 {byte:#04x} in a name", b"X-A" + bytes([byte]) + b": b", elsewhere=LEAVES_IT_OUT)
            for byte in (34, 40, 64, 233)
        ),
        row("H27 line without a colon", b"X-A", elsewhere=LEAVES_IT_OUT),
        row("H27 line without a name", b": a"),
        row("H28 line of 8,193 bytes", line=b"GET %s?%s HTTP/1.1" % (at, b"x" * (padding + 1)), status=414),
        row("H29 101 headers", *[b"X-A: a"] * (101 - lines), status=431),
        row(
            "H30 headers over 16 KiB",
            *[b"X-A: " + b"a" * 6000] * 3,
            status=431,
            elsewhere={"gunicorn": Other(101, "its limits are 100 headers of 8,190 bytes each")},
        ),
        target("H31 another authority", b"http://evil.example" + at, elsewhere=PATH_ALONE),
        target("H31 another port", b"http://app.example:81" + at, elsewhere=PATH_ALONE),
        target("H31 a user", b"http://x@app.example" + at, elsewhere={"gunicorn": PATH_ALONE["gunicorn"]}),
        target("H31 authority form", b"app.example:80"),
        target("H31 CONNECT", b"app.example:80", b"CONNECT", elsewhere=NO_ROUTE),
        target("H31 asterisk", b"*"),
        target("H31 OPTIONS", b"*", b"OPTIONS", elsewhere=NO_ROUTE),
        target("H32 escape character", at + b"\x1b[2J"),
        target("H32 NEL", at + b"\xc2\x85"),
        target("H32 fragment", at + b"#a", elsewhere={"gunicorn": Other(101, "it cuts the fragment off")}),
        Head("H33 TLS hello", TLS_HELLO, (400,), elsewhere=WAITS_FOR_A_LINE),
        Head(
            "H33 TLS hello of SSL 2",
            bytes.fromhex("802e010002001500000010") + bytes(37),
            (400,),
            elsewhere=WAITS_FOR_A_LINE,
        ),
    ]


def refused(path: str) -> list[Head]:
    """Requests in order whose upgrade is refused: the application may see them, but no handler gets a connection."""
    at = path.encode()

    def row(
        name: str,
        status: int | tuple[int, ...],
        *lines: bytes,
        body: bytes = b"",
        headers: Headers | None = None,
        elsewhere: Mapping[str, Other] = NOWHERE,
        **options: Any,
    ) -> Head:
        statuses = status if isinstance(status, tuple) else (status,)
        return Head(name, ask(path, *lines, **options) + body, statuses, headers, elsewhere)

    def instead(name: str, status: int | tuple[int, ...], *lines: bytes, **options: Any) -> Head:
        """Other headers in the place of those with the same names."""
        names = tuple(line.partition(b":")[0] for line in lines)
        return row(name, status, *lines, without=names, **options)

    return [
        row("H1 POST", 405, line=b"POST %s HTTP/1.1" % at),
        row("H1 POST with a body", (400, 405), b"Content-Length: 8", line=b"POST %s HTTP/1.1" % at, body=HI),
        row("H2 HTTP/1.0", (400, 505), line=b"GET %s HTTP/1.0" % at, elsewhere=SPEAKS_1_1),
        row("H6 no upgrade", 426, without=(b"Upgrade",), headers=TO_WEBSOCKET),
        row("H6 a page is asked for", 426, b"Connection: close", without=PARTS, headers=TO_WEBSOCKET),
        instead("H7 upgrade to another", 426, b"Upgrade: notwebsocket", headers=TO_WEBSOCKET),
        instead("H7 upgrade to HTTP/2", 426, b"Upgrade: h2c", headers=TO_WEBSOCKET),
        instead("H8 other connection option", 400, b"Connection: notupgrade", elsewhere=OWN_CONNECTION),
        row("H8 no connection option", 400, without=(b"Connection",), elsewhere=OWN_CONNECTION),
        row("H10 no key", 400, without=(KEY,)),
        instead("H10 empty key", 400, KEY + b": "),
        instead("H11 key of 15 bytes", 400, KEY + b": AAAAAAAAAAAAAAAAAAAA"),
        instead("H11 key of 17 bytes", 400, KEY + b": AAAAAAAAAAAAAAAAAAAAAAA="),
        instead("H12 key that is not base64", 400, KEY + b": dGhlIHNhbXBsZSBub25jZ*=="),
        instead("H12 key without its end", 400, KEY + b": dGhlIHNhbXBsZSBub25jZQ"),
        instead("H12 key of 24 signs", 400, KEY + b": ========================"),
        row("H13 two keys", 400, KEY + b": AAAAAAAAAAAAAAAAAAAAAA=="),
        *(
            instead(f"H14 version {number}", 426, VERSION + b": %d" % number, headers=SPEAKS_13 | TO_WEBSOCKET)
            for number in (0, 7, 8, 12, 14)
        ),
        row("H15 no version", (400, 426), without=(VERSION,), headers=SPEAKS_13),
        *(
            instead(f"H15 version {value.decode()}", (400, 426), VERSION + b": " + value, headers=SPEAKS_13)
            for value in (b"013", b"13, 8", b"8, 13", b"13,13", b"", b"+13", b"x")
        ),
        row("H15 two versions", (400, 426), VERSION + b": 8", headers=SPEAKS_13),
        row("H16 body", 400, b"Content-Length: 8", body=HI),
        row("H17 chunked body", 400, b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        row("H34 hixie-76", (400, 426), *HIXIE, without=(KEY, VERSION), body=b"^n:ds[4U"),
        *(
            row(f"H41 subprotocol {value.decode('latin-1')}", 400, b"Sec-WebSocket-Protocol: " + value)
            for value in (b"a b", b'"a"', b"a;b", b"a,b c", b"a/b", b"\xe9", b"a\tb", b"a, \xc2\x85")
        ),
        row("H41 CR in a subprotocol", 400, b"Sec-WebSocket-Protocol: a\rX-A: b"),
        row("H41 LF in a subprotocol", 400, b"Sec-WebSocket-Protocol: a\nX-A: b", elsewhere=LF_IS_ENOUGH),
        row("H42 subprotocol twice", 400, b"Sec-WebSocket-Protocol: a, b, a"),
        row("H42 subprotocol twice, on two lines", 400, b"Sec-WebSocket-Protocol: a", b"Sec-WebSocket-Protocol: a"),
        *(
            row(f"H43 extensions {value.decode()}", 400, b"Sec-WebSocket-Extensions: " + value)
            for value in (b";;,=", b"a;", b"a;=1", b"a b", b'a;b="', b"a;b=c d", b";", b'a;b="c,d"')
        ),
    ]


def served(path: str) -> list[Head]:
    """Handshakes that look odd and are right, or ask for what is not given: 101."""
    at = path.encode()
    plain: Headers = {"sec-websocket-protocol": None, "sec-websocket-extensions": None, "x-b": None}

    def row(name: str, *lines: bytes, elsewhere: Mapping[str, Other] = NOWHERE, **options: Any) -> Head:
        return Head(name, ask(path, *lines, **options), (101,), plain, elsewhere)

    padding = 8192 - len(b"GET %s? HTTP/1.1" % at)
    size = len(ask(path)) + len(b"X-A: \r\n") * 2
    spaces = b" " * 7000
    return [
        row("H9 several connection options", b"Connection: keep-alive, Upgrade", without=(b"Connection",)),
        row("H9 any case", b"connection: UPGRADE", b"UPGRADE: WebSocket", without=(b"Connection", b"Upgrade")),
        row("H9 two lines", b"Connection: keep-alive"),
        row("H16 body of no bytes", b"Content-Length: 0"),
        row("H28 line of 8,192 bytes", line=b"GET %s?%s HTTP/1.1" % (at, b"x" * padding), elsewhere=LINE_IS_LONGER),
        row("H29 100 headers", *[b"X-A: a"] * (100 - len(UPGRADE)), elsewhere=ADDS_LINES),
        row(
            "H30 headers of 16 KiB",
            b"X-A: " + b"a" * 6000,
            b"X-A: " + b"a" * (16384 - size - 6000),
            elsewhere=ADDS_LINES | {"gunicorn": Other(431, "its limit of a header is 8,190 bytes")},
        ),
        row("H31 its own authority", line=b"GET http://app.example%s HTTP/1.1" % at),
        row("H34 hixie-76, and all that is needed now", *HIXIE),
        row("H35 frames behind the handshake"),
        row("H39 7 KB of spaces before a subprotocol", b"Sec-WebSocket-Protocol:" + spaces + b"a"),
        row("H39 7 KB of spaces between subprotocols", b"Sec-WebSocket-Protocol: a," + spaces + b",b"),
        row("H40 unknown subprotocols", b"Sec-WebSocket-Protocol: x, y", b"Sec-WebSocket-Protocol: z"),
        *(
            row(f"H44 {value.decode()}", b"Sec-WebSocket-Extensions: permessage-deflate; " + value)
            for value in (b"server_max_window_bits=99", b"server_max_window_bits=7", b'server_max_window_bits=""')
        ),
        row("H45 200 offers", b"Sec-WebSocket-Extensions: " + b", ".join([b"permessage-deflate"] * 200)),
        row("H45 parameter twice", b"Sec-WebSocket-Extensions: permessage-deflate; a; a"),
        row("H46 names of an object's insides", b"Sec-WebSocket-Protocol: __class__, constructor, __proto__"),
        row("H46 extensions named like that", b"Sec-WebSocket-Extensions: __class__; constructor=__proto__"),
        row(
            "H46 parameters named like that", b"Sec-WebSocket-Extensions: permessage-deflate; __class__; constructor=1"
        ),
    ]


def foreign(path: str) -> list[Head]:
    """Origins that a route which allows https://app.example refuses: no handler gets a connection."""
    ours, theirs = b"Origin: https://app.example", b"Origin: https://evil.example"

    def row(name: str, *lines: bytes, status: int = 403) -> Head:
        return Head(name, ask(path, *lines) + HI, (status,))

    return [
        row("O1 other host", b"Origin: https://other.example"),
        row("O2 null", b"Origin: null"),
        row("O3 more behind it", b"Origin: https://app.example.evil"),
        row("O4 more before it", b"Origin: https://evilapp.example"),
        row("O4 a subdomain", b"Origin: https://evil.app.example"),
        row("O5 other port", b"Origin: https://app.example:444"),
        row("O6 not encrypted", b"Origin: http://app.example"),
        row("O7 its name as a user", b"Origin: https://app.example@evil.example"),
        row("O8 backtick", b"Origin: https://app.example`.evil.example"),
        row("O8 dollar", b"Origin: https://app.example$.evil.example"),
        row("a path", b"Origin: https://app.example/"),
        row("no scheme", b"Origin: app.example"),
        row("not ASCII", b"Origin: https://app.ex\xe4mple"),
        row("nothing", b"Origin: "),
        row("O9 two in one", ours + b", https://app.example", status=400),
        row("O9 two with a space", ours + b" https://evil.example", status=400),
        row("O9 two headers, ours first", ours, theirs, status=400),
        row("O9 two headers, ours last", theirs, ours, status=400),
        row("O9 two headers of the same", ours, ours, status=400),
    ]
