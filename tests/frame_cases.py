"""What a client may send behind its handshake, and what must come of it. One table for the decoder and for the server.

An event is written as a ``str`` or ``bytes`` for a message, ``("ping", payload)``, ``("pong", payload)``,
``("close", code, reason)``, and ``("error", code)`` for a failure of the connection.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.wire import (
    BEGIN_BINARY,
    BEGIN_TEXT,
    BINARY,
    CLOSE,
    KEY,
    LAST,
    MORE,
    PING,
    PONG,
    TEXT,
    frame,
    header,
    unmasked,
)

LIMIT = 1000  # bytes of a message
FRAGMENTS = 4096

Event = str | bytes | tuple[str, bytes] | tuple[str, int] | tuple[str, int, str]

HUGE = 2**63 - 1
HELLO = frame(TEXT, b"hi")


@dataclass(frozen=True)
class Case:
    """Bytes of a client.

    Attributes:
        name: what is sent.
        wire: the bytes.
        events: what comes of them.
        at: after how many bytes the last event is there.
    """

    name: str
    wire: bytes
    events: tuple[Event, ...]
    at: int

    @property
    def messages(self) -> list[Event]:
        return [event for event in self.events if kind(event) == "message"]

    @property
    def is_bad(self) -> bool:
        return kind(self.events[-1]) == "error"

    @property
    def is_closed(self) -> bool:
        return kind(self.events[-1]) == "close"


def kind(event: Event) -> str:
    return event[0] if isinstance(event, tuple) else "message"


def good(name: str, wire: bytes, *events: Event) -> Case:
    return Case(name, wire, events, len(wire))


def bad(name: str, wire: bytes, code: int = 1002, *, before: tuple[Event, ...] = (), at: int = 0) -> Case:
    """Fails with the last of ``wire``, or after ``at`` bytes. A message that follows must not be read."""
    return Case(name, wire + HELLO, (*before, ("error", code)), at or len(wire))


def bad_header(name: str, wire: bytes, payload: bytes = b"") -> Case:
    """Its first two bytes say what is wrong."""
    return bad(name, wire + KEY + payload, at=2)


def bad_text(name: str, payload: str, at: int) -> Case:
    """Text in one frame that is wrong with the byte at ``at``, counted from 1."""
    wire = frame(TEXT, bytes.fromhex(payload))
    return bad(name, wire, 1007, at=6 + at)


def fragments(*payloads: bytes, first: int = BEGIN_BINARY) -> bytes:
    """A message in several frames."""
    kinds = [first, *[MORE] * (len(payloads) - 2), LAST]
    return b"".join(frame(kind, payload) for kind, payload in zip(kinds, payloads, strict=True))


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


HEADERS = [
    # W1: masking, RFC 6455 §5.1
    *(
        bad(f"W1 unmasked frame {first:#x} of {len(payload)} bytes", unmasked(first, payload), at=2)
        for first in (TEXT, BINARY, PING, PONG, CLOSE, BEGIN_TEXT, LAST)
        for payload in (b"", b"\x03\xe8")
    ),
    # W2 to W4: reserved bits without an extension, §5.2
    *(
        bad_header(f"W{2 + bit} reserved bit {bit + 1} on {first:#x}", bytes([first | 0x40 >> bit, 0x80]))
        for bit in (0, 1, 2)
        for first in (TEXT, BINARY, PING, PONG, CLOSE, BEGIN_TEXT, LAST)
    ),
    bad_header("W2-4 all reserved bits", b"\xf1\x80"),
    # W5, W6: opcodes without a meaning, §5.2
    *(bad_header(f"W5 opcode {opcode}", bytes([0x80 | opcode, 0x80])) for opcode in range(3, 8)),
    *(bad_header(f"W6 opcode {opcode}", bytes([0x80 | opcode, 0x80])) for opcode in range(11, 16)),
    bad_header("W5 opcode 3, not final", b"\x03\x80"),
    # W7, W8: control frames, §5.5
    *(
        bad_header(f"W7 control frame {first:#x} of {size} bytes", header(first, size), bytes(126))
        for first in (PING, PONG, CLOSE)
        for size in (126, 65536)
    ),
    *(
        bad_header(f"W8 fragmented control frame {first & 15}", bytes([first & 15, 0x80]))
        for first in (PING, PONG, CLOSE)
    ),
    # W11, W17: lengths, §5.2
    bad("W11 length with its highest bit set", b"\x82\xff\x80" + bytes(7), at=3),
    bad("W11 length of all ones", b"\x82\xff" + b"\xff" * 8, at=3),
    *(bad(f"W17 length {length} in 16 bits", b"\x82\xfe" + length.to_bytes(2, "big"), at=4) for length in (0, 1, 125)),
    *(
        bad(f"W17 length {length} in 64 bits", b"\x82\xff" + length.to_bytes(8, "big"), at=10)
        for length in (0, 125, 126, 65535)
    ),
]

ORDER = [
    bad("W9 continuation first", frame(LAST, b"a"), at=6),
    bad("W9 continuation first, not final", frame(MORE, b"a"), at=6),
    bad("W9 continuation behind a message", HELLO + frame(LAST), before=("hi",)),
    bad("W10 text inside fragmented text", frame(BEGIN_TEXT, b"a") + frame(TEXT)),
    bad("W10 binary inside fragmented text", frame(BEGIN_TEXT, b"a") + frame(BINARY)),
    bad("W10 second beginning", frame(BEGIN_BINARY, b"a") + frame(BEGIN_BINARY)),
    good(
        "W20 ping between fragments",
        frame(BEGIN_TEXT, b"a") + frame(PING, b"p") + frame(LAST, b"b"),
        ("ping", b"p"),
        "ab",
    ),
    good(
        "W20 pings and pongs between fragments",
        frame(BEGIN_BINARY, b"a")
        + frame(PING)
        + frame(MORE, b"b")
        + frame(PONG, b"q")
        + frame(PING, b"r" * 125)
        + frame(LAST),
        ("ping", b""),
        ("pong", b"q"),
        ("ping", b"r" * 125),
        b"ab",
    ),
    good("W26 mask of zeros", frame(TEXT, b"hi", bytes(4)) + frame(PING, b"p", bytes(4)), "hi", ("ping", b"p")),
    good(
        "two masks in one message",
        frame(BEGIN_TEXT, b"abcde") + frame(LAST, b"fghij", b"\x80\xff\x00\x01"),
        "abcdefghij",
    ),
    good("empty messages", frame(TEXT) + frame(BINARY) + fragments(b"", b"", first=BEGIN_TEXT), "", b"", ""),
    good("unasked pong", frame(PONG) + frame(PONG, b"x" * 125), ("pong", b""), ("pong", b"x" * 125)),
    good("every byte", frame(BINARY, bytes(range(256))), bytes(range(256))),
]

LIMITS = [
    good("message as large as it may be", frame(BINARY, bytes(LIMIT)), bytes(LIMIT)),
    good("fragments as large as they may be", fragments(bytes(LIMIT - 1), b"a", b""), bytes(LIMIT - 1) + b"a"),
    bad("W12 length 2^63-1", header(BINARY, HUGE) + KEY, 1009),
    bad("W13 one byte and 2^63-1", frame(BEGIN_BINARY, b"a") + header(LAST, HUGE) + KEY, 1009),
    bad("W13 one byte and 2^63-1, not final", frame(BEGIN_TEXT, b"a") + header(MORE, HUGE) + KEY, 1009),
    bad("W14 limit + 1 declared", header(BINARY, LIMIT + 1) + KEY, 1009),
    bad("W14 limit + 1 declared in a fragment", header(BEGIN_TEXT, LIMIT + 1) + KEY, 1009),
    bad("W15 limit + 1 in two fragments", frame(BEGIN_BINARY, bytes(LIMIT)) + header(LAST, 1) + KEY, 1009),
    bad(
        "W15 limit + 1 in three",
        frame(BEGIN_BINARY, bytes(LIMIT - 1)) + frame(MORE, b"a") + header(MORE, 1) + KEY,
        1009,
    ),
    good("as many fragments as there may be", fragments(*[b""] * (FRAGMENTS - 1), b"a"), b"a"),
    good("as many fragments as there may be, and again", fragments(*[b""] * FRAGMENTS) * 2, b"", b""),
    bad("W16 4,097 empty fragments", frame(BEGIN_BINARY) + frame(MORE) * (FRAGMENTS - 1) + header(MORE, 0) + KEY, 1009),
]
# As many bytes as fit into the limit, so that only the number can be what is wrong.
SMALL_FRAGMENTS = bad(
    "W16 4,097 fragments of one byte",
    frame(BEGIN_TEXT, b"a") + frame(MORE, b"a") * (FRAGMENTS - 1) + header(MORE, 1) + KEY,
    1009,
)

UTF8 = [
    bad_text("U1 bytes that begin no character", "fffe", 1),
    bad_text("U1 lone continuation byte", "80", 1),
    bad_text("U1 bad byte behind good ones", "61c3a9ff", 4),
    bad_text("U2 surrogate", "eda080", 2),
    bad_text("U2 low surrogate", "edbfbf", 2),
    bad_text("U2 pair of surrogates", "eda080edb080", 2),
    bad_text("U3 overlong slash", "c0af", 1),
    bad_text("U3 overlong two bytes", "c1bf", 1),
    bad_text("U3 overlong three bytes", "e09fbf", 2),
    bad_text("U3 overlong four bytes", "f08fbfbf", 2),
    bad_text("U4 above U+10FFFF", "f4908080", 2),
    bad_text("U4 far above U+10FFFF", "f5808080", 1),
    bad_text("U5 cut behind one byte", "c3", 1),
    bad_text("U5 cut behind two bytes", "61e282", 3),
    bad_text("U5 cut behind three bytes", "f09f9882f09f98", 7),
    bad_text("U5 next character begins too early", "e28261", 3),
    bad("U5 cut at the end of the last fragment", frame(BEGIN_TEXT, b"\xe2") + frame(LAST, b"\x82"), 1007),
    bad("U5 cut, then an empty fragment", frame(BEGIN_TEXT, b"\xe2\x82") + frame(LAST), 1007),
    bad("U6 bad byte in the second fragment", frame(BEGIN_TEXT, b"a") + frame(MORE, b"b\xff"), 1007),
    bad("U6 bad byte in a frame that is not there yet", header(BEGIN_TEXT, 900) + frame(LAST, b"\xff")[2:], 1007),
    bad("U6 surrogate over two fragments", frame(BEGIN_TEXT, b"\xed") + frame(MORE, b"\xa0"), 1007),
    bad("U6 at once", frame(BEGIN_TEXT, b"\xff") + frame(MORE, b"more"), 1007, at=7),
    bad("U7 close reason that is not UTF-8", close(1000, b"\xff"), 1007),
    bad("U7 close reason that is cut", close(1000, b"ok \xe2\x82"), 1007),
    bad("U7 surrogate in a close reason", close(4000, b"\xed\xa0\x80"), 1007),
    bad_text("U8 five bytes", "f888808080", 1),
    bad_text("U8 six bytes", "fc8480808080", 1),
    good(
        "U9 characters split by fragments",
        fragments(b"\xf0", b"\x9f", b"\x98\x82\xc3", b"\xa9", first=BEGIN_TEXT),
        "😂é",
    ),
    *(
        good(f"U10 U+{ord(character):04X}", frame(TEXT, character.encode()), character)
        for character in "\0\x7f\x80\u07ff\u0800\ud7ff\ue000\ufdd0\ufffd\ufffe\uffff\U00010000\U0001fffe\U0010ffff"
    ),
    good("binary need not be UTF-8", frame(BINARY, b"\xff\xed\xa0\x80"), b"\xff\xed\xa0\x80"),
]

CLOSING = [
    bad("K1 close with half a code", frame(CLOSE, b"\x03")),
    *(
        bad(f"K2 close code {code}", close(code))
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ),
    *(
        good(f"K3 close code {code}", close(code), ("close", code, ""))
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
    ),
    good("K3 close with a reason", close(1000, "até já".encode()), ("close", 1000, "até já")),
    good("K3 close with the longest reason", close(4999, b"x" * 123), ("close", 4999, "x" * 123)),
    good("K4 close without a code", frame(CLOSE), ("close", 1005, "")),
    Case("W21 data after a close", close(1000) + HELLO + frame(BINARY, b"x"), (("close", 1000, ""),), 8),
    Case("W21 nonsense after a close", close(1001) + b"\xff" * 20, (("close", 1001, ""),), 8),
    Case(
        "W22 request after a close", close(1000) + b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n", (("close", 1000, ""),), 8
    ),
    Case("W23 second close", close(1000) + close(1001), (("close", 1000, ""),), 8),
    Case("W23 second close that is wrong", close(1000) + close(1005), (("close", 1000, ""),), 8),
    Case(
        "close inside a fragmented message",
        frame(BEGIN_TEXT, b"a") + close(4000) + frame(LAST, b"b"),
        (("close", 4000, ""),),
        15,
    ),
    Case("close behind a message", HELLO + close(1000), ("hi", ("close", 1000, "")), 16),
]

ALL = [*HEADERS, *ORDER, *LIMITS, *UTF8, *CLOSING]
