"""Where two readers may differ, and why. What no rule explains is a fault of one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from greenws.protocol.frames import MAX_HEADER
from tests.frame_cases import Event, kind
from tests.interop.differential.readers import THEIRS, Ours
from tests.interop.differential.streams import Stream
from tests.wire import LAST, frame


@dataclass(frozen=True, slots=True)
class Difference:
    """The first event in which a reader differs from us; None where one says nothing more."""

    reader: str
    stream: Stream
    ours: Event | None
    theirs: Event | None

    def is_ours(self, *codes: int) -> bool:
        """Whether we fail the connection with one of these."""
        return self.ours in [("error", code) for code in codes]

    def is_theirs(self, *codes: int) -> bool:
        return self.theirs in [("error", code) for code in codes]

    def has(self, *faults: str) -> bool:
        return not self.stream.faults.isdisjoint(faults)


@dataclass(frozen=True, slots=True)
class Rule:
    """A difference that is explained."""

    name: str
    readers: tuple[str, ...]
    reason: str
    explains: Callable[[Difference], bool]


BOTH = ("websockets", "wsproto")

RULES = (
    Rule(
        "long form",
        ("websockets",),
        "It accepts a length that is not in its shortest form. RFC 6455 §5.2 says that it must be, so we refuse.",
        lambda d: d.is_ours(1002) and d.has("long form"),
    ),
    Rule(
        "size first",
        ("websockets",),
        "It compares the length with its limit before it looks at reserved bits, at the rules of control frames, "
        "at the length's highest bit and at the order of frames. We say what is wrong before we say what is too much.",
        lambda d: d.is_ours(1002) and d.is_theirs(1009) and d.has("header", "order"),
    ),
    Rule(
        "control frames count",
        ("websockets",),
        "A control frame between fragments is held against what the message has left of its limit. RFC 6455 §5.5 knows "
        "no such limit, and a ping is not part of the message.",
        lambda d: d.is_theirs(1009) and d.ours is not None and kind(d.ours) in ("ping", "pong", "close"),
    ),
    Rule(
        "close inside a message",
        ("websockets",),
        "It fails on a Close between fragments. RFC 6455 §5.4 lets control frames in there; §5.5.1 makes no exception.",
        lambda d: d.is_theirs(1002) and d.ours is not None and kind(d.ours) == "close" and d.has("close inside"),
    ),
    Rule(
        "reason first",
        ("websockets",),
        "Of a Close whose code may not be sent and whose reason is not UTF-8, it looks at the reason first.",
        lambda d: d.is_ours(1002) and d.is_theirs(1007) and d.has("close"),
    ),
    Rule(
        "half a surrogate",
        BOTH,
        "Python's incremental decoder waits for a surrogate's third byte, which cannot mend it. We fail at the second.",
        lambda d: d.is_ours(1007) and d.theirs is not None and d.has("surrogate"),
    ),
    Rule(
        "close code 1014",
        ("wsproto",),
        "It does not know 1014 (Bad Gateway), which IANA registered after 1012 and 1013.",
        lambda d: d.is_theirs(1002) and d.has("close 1014"),
    ),
    Rule(
        "no limit of fragments",
        BOTH,
        "max_fragments has no counterpart there.",
        lambda d: d.is_ours(1009) and not d.is_theirs(1009) and d.has("fragments"),
    ),
    Rule(
        "no limit of size",
        ("wsproto",),
        "max_size has no counterpart there.",
        lambda d: d.is_ours(1009) and not d.is_theirs(1009) and d.has("size"),
    ),
)

# These hold only if both come to the same end, or to one that another rule explains, when the bytes go on.
LATE = (
    Rule(
        "late",
        BOTH,
        "We fail as soon as a byte shows that we must. They look at a header when it is whole, at the order of frames "
        "and at text when a frame is whole or at least begun, and at half a surrogate when its third byte is there.",
        lambda d: d.theirs is None and d.ours is not None and kind(d.ours) == "error",
    ),
    Rule(
        "limit before the key",
        ("websockets",),
        "It compares the length with its limit before the masking key is there; we read a header as a whole.",
        lambda d: d.ours is None and d.is_theirs(1009) and d.has("cut"),
    ),
)


def judge(stream: Stream) -> tuple[list[str], list[Difference]]:
    """The rules that explain this stream's differences, and the differences that none explains."""
    ours = read(Ours(stream, "compiled"), stream.pieces)
    found, left = [], []
    pure = read(Ours(stream, "pure"), stream.pieces)
    if pure != ours:
        left.append(Difference("pure", stream, *_first_difference(ours, pure)))
    for name in THEIRS:
        difference = compare(name, stream, ours, stream.pieces)
        if difference is None:
            continue
        rule = explain(difference) or _explain_late(difference)
        if rule is None:
            left.append(difference)
        else:
            found.append(f"{name}: {rule}")
    return found, left


def explain(difference: Difference) -> str | None:
    """The name of the rule that explains it."""
    return _find(RULES, difference)


def _find(rules: tuple[Rule, ...], difference: Difference) -> str | None:
    return next((rule.name for rule in rules if difference.reader in rule.readers and rule.explains(difference)), None)


def _explain_late(difference: Difference) -> str | None:
    rule = _find(LATE, difference)
    if rule is None:
        return None
    stream = difference.stream
    noise = bytes(stream.max_size + MAX_HEADER)  # ends any frame
    for more in (b"", frame(LAST), frame(LAST, b"\x80\x80"), noise):
        pieces = (*stream.pieces, stream.rest + more)
        later = compare(difference.reader, stream, read(Ours(stream, "compiled"), pieces), pieces)
        if later is None:
            return rule
        if None not in (later.ours, later.theirs) and (other := explain(later)):
            return f"{rule}, then {other}"
    return None


def compare(name: str, stream: Stream, ours: list[Event], pieces: tuple[bytes, ...]) -> Difference | None:
    theirs = read(THEIRS[name](stream), pieces)
    return None if theirs == ours else Difference(name, stream, *_first_difference(ours, theirs))


def read(reader: object, pieces: tuple[bytes, ...]) -> list[Event]:
    for piece in pieces:
        reader.receive(piece)  # type: ignore[attr-defined]
    return reader.events  # type: ignore[attr-defined,no-any-return]


def _first_difference(ours: list[Event], theirs: list[Event]) -> tuple[Event | None, Event | None]:
    size = max(len(ours), len(theirs))
    pairs = zip(ours + [None] * (size - len(ours)), theirs + [None] * (size - len(theirs)), strict=True)
    return next(pair for pair in pairs if pair[0] != pair[1] or type(pair[0]) is not type(pair[1]))
