"""Streams of a client, right or with one or two faults, all of them made from a number."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random

from tests.wire import BEGIN_BINARY, BEGIN_TEXT, BINARY, CLOSE, LAST, MORE, PING, PONG, TEXT

SIZES = (0, 1, 2, 7, 124, 125, 126, 127, 128, 299, 300, 301)  # around the lengths' forms and the small limit
LARGE_SIZES = (65534, 65535, 65536, 65537, 69999, 70000, 70001)
CODES = (*range(1000, 1017), 0, 999, 2999, 3000, 3999, 4000, 4999, 5000, 65535)
CHARACTERS = ("a", "é", "€", "😂", "\ud7ff", "\ue000", "\uffff", "\U0010ffff")
SURROGATE = bytes.fromhex("eda080")
BAD_TEXTS = (SURROGATE, *map(bytes.fromhex, ("ff", "c0af", "f4908080", "80", "e28261", "f8888080", "c2", "f09f98")))


@dataclass(frozen=True, slots=True)
class Stream:
    """What a client sends.

    Attributes:
        pieces: the bytes, as they arrive.
        rest: what the last frame lacks, when the stream ends inside it.
        faults: what is wrong with it, or may be.
        max_size, max_fragments: the limits it is read with.
    """

    pieces: tuple[bytes, ...]
    rest: bytes
    faults: frozenset[str]
    max_size: int
    max_fragments: int


def make_stream(number: int) -> Stream:
    """The same number always makes the same stream."""
    return _Writer(Random(number)).write()


class _Writer:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.frames: list[bytes] = []
        self.faults: set[str] = set()
        self.is_large = random.random() < 0.01
        self.max_size = 70_000 if self.is_large else 300
        self.max_fragments = random.choice((4, 4096))

    def write(self) -> Stream:
        steps = [self.random.choice(_STEPS) for _ in range(self.random.randrange(6))]
        for _ in range(self.random.choice((0, 0, 1, 1, 1, 2))):
            steps.insert(self.random.randrange(len(steps) + 1), self.random.choice(_FAULTS))
        for step in steps:
            step(self)
        wire, rest = b"".join(self.frames), b""
        if self.frames and self.random.random() < 0.3:
            self.faults.add("cut")
            missing = self.random.randrange(1, min(len(self.frames[-1]), 400) + 1)
            wire, rest = wire[:-missing], wire[-missing:]
        places = sorted(self.random.randrange(len(wire) + 1) for _ in range(self.random.randrange(4)))
        pieces = tuple(wire[start:stop] for start, stop in pairwise((0, *places, len(wire))))
        return Stream(pieces, rest, frozenset(self.faults), self.max_size, self.max_fragments)

    # ---- one frame

    def frame(
        self, first: int, payload: bytes, *, length: int | None = None, form: int = 0, masked: bool = True
    ) -> None:
        """``length`` is what it says its length is; ``form`` how many bytes it says it in, if not as few as will do."""
        length = len(payload) if length is None else length
        if first & 15 < 8 and length > self.max_size:
            self.faults.add("size")
        form = form or (1 if length < 126 else 2 if length < 65536 else 8)
        short, long = {1: (length, b""), 2: (126, length.to_bytes(8, "big")[-2:]), 8: (127, length.to_bytes(8, "big"))}[
            form
        ]
        head = bytes((first, short | (0x80 if masked else 0))) + long
        if masked:
            key = self.random.choice((bytes(4), self.random.randbytes(4)))
            pattern = (key * (len(payload) // 4 + 1))[: len(payload)]
            number = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
            payload, head = number.to_bytes(len(payload), "big"), head + key
        self.frames.append(head + payload)

    def size(self) -> int:
        sizes = SIZES + LARGE_SIZES if self.is_large else SIZES
        return self.random.choice(sizes) if self.random.random() < 0.4 else self.random.randrange(12)

    def text(self, size: int) -> bytes:
        characters = self.random.choice(CHARACTERS).encode() + self.random.choice(CHARACTERS).encode()
        text = (characters * (size // len(characters) + 1))[:size].decode(errors="ignore").encode()
        return text + b"." * (size - len(text))

    # ---- what is right, but for its size

    def message(self) -> None:
        is_text = self.random.random() < 0.6
        size = self.size()
        self.data(is_text, self.text(size) if is_text else self.random.randbytes(size))

    def data(self, is_text: bool, payload: bytes) -> None:
        count = self.random.choice((1, 1, 1, 2, 3, 4, 5, 6))
        if len(payload) > self.max_size:
            self.faults.add("size")
        if count == 1:
            self.frame(TEXT if is_text else BINARY, payload)
            return
        if count > self.max_fragments:
            self.faults.add("fragments")
        places = sorted(self.random.randrange(len(payload) + 1) for _ in range(count - 1))
        for number, (start, stop) in enumerate(pairwise((0, *places, len(payload)))):
            if number and self.random.random() < 0.3:
                self.control()
            first = (BEGIN_TEXT if is_text else BEGIN_BINARY) if number == 0 else LAST if number == count - 1 else MORE
            self.frame(first, payload[start:stop])

    def control(self) -> None:
        self.frame(self.random.choice((PING, PONG)), self.random.randbytes(self.random.choice((0, 1, 4, 124, 125))))

    def close(self) -> None:
        reason = self.text(self.random.choice((0, 1, 5, 122, 123)))
        self.frame(CLOSE, self.random.choice((b"", self.code() + reason)))

    def code(self) -> bytes:
        code: int = self.random.choice(CODES)
        if code == 1014:
            self.faults.add("close 1014")
        return code.to_bytes(2, "big")

    # ---- what is wrong

    def unmasked(self) -> None:
        self.frame(self.random.choice((TEXT, BINARY, PING, CLOSE)), b"ab"[: self.random.randrange(3)], masked=False)

    def reserved(self) -> None:
        self.faults.add("header")
        first = self.random.choice((TEXT, BINARY, PING, LAST)) | self.random.choice((0x40, 0x20, 0x10, 0x70))
        self.frame(first, b"a" * self.size())

    def opcode(self) -> None:
        self.frame(self.random.choice((0x80, 0)) | self.random.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15)), b"a")

    def long_control(self) -> None:
        self.faults.add("header")
        self.frame(self.random.choice((PING, PONG, CLOSE)), bytes(self.random.choice((126, 127, 300, 301, 65536))))

    def fragmented_control(self) -> None:
        self.frame(self.random.choice((PING, PONG, CLOSE)) & 15, b"a")

    def stray(self) -> None:
        self.faults.add("order")
        self.frame(self.random.choice((MORE, LAST)), self.random.randbytes(self.size()))

    def begun_inside(self) -> None:
        self.faults.add("order")
        self.frame(self.random.choice((BEGIN_TEXT, BEGIN_BINARY)), b"a" * self.size())
        self.message()

    def long_form(self) -> None:
        self.faults.add("long form")
        form = self.random.choice((2, 8))
        size = self.random.choice((0, 1, 125) if form == 2 else (0, 1, 125, 126, 127, 300))
        self.frame(self.random.choice((TEXT, BINARY, LAST)), b"a" * size, form=form)

    def highest_bit(self) -> None:
        self.faults |= {"header", "size"}
        self.frame(BINARY, b"a" * self.size(), length=self.random.choice((2**63, 2**64 - 1, 2**63 + 1)), form=8)

    def huge(self) -> None:
        self.faults.add("size")
        self.frame(
            self.random.choice((BINARY, BEGIN_TEXT)), b"a" * self.size(), length=self.random.choice((2**63 - 1, 2**32))
        )

    def bad_text(self) -> None:
        bad = self.random.choice(BAD_TEXTS)
        if bad == SURROGATE:
            self.faults.add("surrogate")
        self.data(True, self.text(self.size()) + bad + self.text(self.random.randrange(4)))

    def close_inside(self) -> None:
        self.faults.add("close inside")
        self.frame(BEGIN_TEXT, b"a")
        self.close()

    def bad_close(self) -> None:
        self.faults.add("close")
        self.frame(CLOSE, self.random.choice((b"\x03", b"\x13", self.code() + self.random.choice(BAD_TEXTS))))

    def noise(self) -> None:
        self.faults |= {"header", "size", "order", "long form", "close", "noise"}
        self.frames.append(self.random.randbytes(self.random.randrange(1, 40)))


_STEPS = (_Writer.message, _Writer.message, _Writer.message, _Writer.control, _Writer.message, _Writer.close)
_FAULTS = (
    _Writer.unmasked,
    _Writer.reserved,
    _Writer.opcode,
    _Writer.long_control,
    _Writer.fragmented_control,
    _Writer.stray,
    _Writer.begun_inside,
    _Writer.long_form,
    _Writer.highest_bit,
    _Writer.huge,
    _Writer.bad_text,
    _Writer.bad_text,
    _Writer.close_inside,
    _Writer.bad_close,
    _Writer.noise,
)
