"""permessage-deflate without a connection: what is agreed on, and messages there and back."""

from __future__ import annotations

import importlib.util
import random
import sys
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from greenws.config import Compression
from greenws.errors import ProtocolError
from tests.codecs import BUILDS, load
from tests.protocol.decoding import decode
from tests.wire import BEGIN_TEXT, LAST, MORE, PING, TEXT, at_every_split, frame

TAIL = b"\x00\x00\xff\xff"
RSV1 = 0x40
LIMIT = 1 << 20
HELLO = bytes.fromhex("f248cdc9c90700")  # RFC 7692 §7.2.3.1
AGAIN = bytes.fromhex("f200110000")  # §7.2.3.2: the same in the context of the first
TAKEOVER = {"server_no_context_takeover": False, "client_no_context_takeover": False}
DEFAULT = Compression()
KEEPING = Compression(**TAKEOVER)


@pytest.fixture(params=[*BUILDS, "without ISA-L"])
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    if request.param in BUILDS:
        return load(request.param)
    codec = load("compiled")
    monkeypatch.setitem(sys.modules, "isal", None)
    spec = importlib.util.spec_from_file_location("greenws.protocol.deflate", codec.deflate.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "greenws.protocol.deflate", module)
    spec.loader.exec_module(module)
    assert module._isal is None
    return SimpleNamespace(**{**vars(codec), "deflate": module})


def choose(codec: SimpleNamespace, header: str, options: Compression = DEFAULT) -> str | None:
    """What the server answers to a client's header."""
    chosen = codec.deflate.choose_offer(codec.extensions.parse_extensions(header), options)
    return None if chosen is None else chosen[1].removeprefix("permessage-deflate").replace("; ", ";").lstrip(";")


FRESH = "server_no_context_takeover;client_no_context_takeover"


@pytest.mark.parametrize(
    ("offer", "options", "answer"),
    [
        ("", {}, FRESH),
        ("", TAKEOVER, ""),
        (";client_max_window_bits", TAKEOVER, ""),
        (";client_max_window_bits", {**TAKEOVER, "client_max_window_bits": 10}, "client_max_window_bits=10"),
        (";client_max_window_bits=9", {**TAKEOVER, "client_max_window_bits": 10}, "client_max_window_bits=9"),
        (";client_max_window_bits=8", TAKEOVER, "client_max_window_bits=8"),
        # It cannot be told to use a smaller window: then none is kept for it.
        ("", {**TAKEOVER, "client_max_window_bits": 10}, "client_no_context_takeover"),
        (";server_max_window_bits=10", TAKEOVER, "server_max_window_bits=10"),
        (";server_max_window_bits=15", TAKEOVER, "server_max_window_bits=15"),
        (";server_max_window_bits=12", {**TAKEOVER, "server_max_window_bits": 9}, "server_max_window_bits=9"),
        ("", {**TAKEOVER, "server_max_window_bits": 9}, "server_max_window_bits=9"),
        (";server_no_context_takeover", TAKEOVER, "server_no_context_takeover"),
        (";client_no_context_takeover", TAKEOVER, "client_no_context_takeover"),
        (f";{FRESH};server_max_window_bits=8;client_max_window_bits=11", TAKEOVER,
         f"{FRESH};server_max_window_bits=8;client_max_window_bits=11"),
        (';client_max_window_bits="11"', TAKEOVER, "client_max_window_bits=11"),
        # declined: RFC 7692 §7.1
        *(
            (f";{name}={value}", {}, None)
            for name in ("server_max_window_bits", "client_max_window_bits")
            for value in ("7", "16", "99", "08", "015", "-9", "9.0", "x", "1e1", '""', "٩".encode().hex())
        ),
        (";server_max_window_bits", {}, None),
        (";server_no_context_takeover=1", {}, None),
        (';client_no_context_takeover=""', {}, None),
        (";level=9", {}, None),
        (";__class__", {}, None),
        (";client_max_window_bits;client_max_window_bits=9", {}, None),
        (";server_no_context_takeover;server_no_context_takeover", {}, None),
    ],
)  # fmt: skip
def test_a_server_answers_an_offer_or_declines_it(
    codec: SimpleNamespace, offer: str, options: dict[str, Any], answer: str | None
) -> None:
    assert choose(codec, "permessage-deflate" + offer, Compression(**options)) == answer


def test_a_server_takes_the_first_offer_it_can_accept(codec: SimpleNamespace) -> None:
    header = (
        "permessage-foo, permessage-deflate; server_max_window_bits=16, permessage-deflate; server_max_window_bits=9, "
        "permessage-deflate"
    )
    assert choose(codec, header, KEEPING) == "server_max_window_bits=9"
    assert choose(codec, "x-webkit-deflate-frame, Permessage-Deflate") is None


@pytest.mark.parametrize(
    ("options", "offer"),
    [
        ({}, f"{FRESH};client_max_window_bits"),
        (TAKEOVER, "client_max_window_bits"),
        (
            {**TAKEOVER, "server_max_window_bits": 9, "client_max_window_bits": 10},
            "server_max_window_bits=9;client_max_window_bits=10",
        ),
    ],
)
def test_a_client_offers_what_it_is_told(codec: SimpleNamespace, options: dict[str, Any], offer: str) -> None:
    made = codec.deflate.make_offer(Compression(**options))
    assert made.replace("; ", ";") == f"permessage-deflate;{offer}"


def read(codec: SimpleNamespace, answer: str, options: Compression) -> Any:
    (extension,) = codec.extensions.parse_extensions("permessage-deflate" + answer)
    agreement = codec.deflate.read_answer(extension, options)
    return (
        agreement.server_no_context_takeover,
        agreement.client_no_context_takeover,
        agreement.server_max_window_bits,
        agreement.client_max_window_bits,
    )


@pytest.mark.parametrize(
    ("answer", "options", "agreed"),
    [
        ("", TAKEOVER, (False, False, 15, 15)),
        (";server_no_context_takeover", {}, (True, True, 15, 15)),  # what we have offered to do, we do
        (f";{FRESH}", TAKEOVER, (True, True, 15, 15)),
        (";client_max_window_bits=9;server_max_window_bits=10", TAKEOVER, (False, False, 10, 9)),
        ("", {**TAKEOVER, "client_max_window_bits": 10}, (False, False, 15, 10)),
        (";server_max_window_bits=10", {**TAKEOVER, "server_max_window_bits": 10}, (False, False, 10, 15)),
    ],
)
def test_a_client_holds_to_the_answer(
    codec: SimpleNamespace, answer: str, options: dict[str, Any], agreed: tuple[bool, bool, int, int]
) -> None:
    assert read(codec, answer, Compression(**options)) == agreed


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        ("", {}),  # no server_no_context_takeover, which we have asked for
        ("", {**TAKEOVER, "server_max_window_bits": 10}),
        (";server_max_window_bits=11", {**TAKEOVER, "server_max_window_bits": 10}),
        (";client_max_window_bits=11", {**TAKEOVER, "client_max_window_bits": 10}),
        (";client_max_window_bits", TAKEOVER),
        (";server_max_window_bits", TAKEOVER),
        (";server_max_window_bits=16", TAKEOVER),
        (";unknown", TAKEOVER),
        (";server_no_context_takeover;server_no_context_takeover", TAKEOVER),
    ],
)
def test_a_client_refuses_what_is_no_answer(codec: SimpleNamespace, answer: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="server"):
        read(codec, answer, Compression(**options))


# ---- messages


def sides(codec: SimpleNamespace, options: Compression = DEFAULT, **agreed: Any) -> tuple[Any, Any]:
    """The server's side and the client's of one agreement."""
    fresh = {"server_no_context_takeover": True, "client_no_context_takeover": True}
    agreement = codec.deflate.Agreement(**(agreed if options is KEEPING else {**fresh, **agreed}))
    return tuple(codec.deflate.make_deflate(agreement, options, is_server=side) for side in (True, False))


def inflate(side: Any, data: bytes, size: int) -> bytes:
    """A message that is given whole and is at most this large."""
    inflation = side.begin()
    inflation.feed(data, True)
    message = inflation.read(size + 1)
    assert not inflation.has_more
    assert len(message) <= size
    return message  # type: ignore[no-any-return]


def messages(count: int, seed: int = 1) -> list[bytes]:
    """Of the sizes where something may go wrong, and alike, so that one could refer to another."""
    chance = random.Random(seed)
    source = chance.randbytes(3000) * 2 + b"the same words, the same words " * 2000
    return [
        source[(at := chance.randrange(len(source))) : at + chance.choice([0, 1, 2, 30, 300, 5000, 40000])]
        for _ in range(count)
    ]


@pytest.mark.parametrize("level", range(1, 10))
@pytest.mark.parametrize("options", [DEFAULT, KEEPING], ids=["fresh", "keeping"])
def test_what_one_side_deflates_the_other_inflates(codec: SimpleNamespace, options: Compression, level: int) -> None:
    agreement = codec.deflate.Agreement(options is DEFAULT, options is DEFAULT)
    server, client = (
        codec.deflate.make_deflate(agreement, Compression(level=level), is_server=side) for side in (True, False)
    )
    for sender, receiver in ((server, client), (client, server)):
        for message in messages(60, level):
            deflated = sender.encode(message)
            if deflated is None:
                assert options is DEFAULT
            else:
                assert not deflated.endswith(TAIL)
                assert inflate(receiver, deflated, 50000) == message


def test_the_examples_of_the_rfc(codec: SimpleNamespace) -> None:
    """RFC 7692 §7.2.3."""
    stored = b"\x00\x05\x00\xfa\xffHello\x00"
    final = bytes.fromhex("f348cdc9c9070000")
    two_blocks = bytes.fromhex("f248050000 00ffffcac9c90700")
    stored_final = b"\x00\x05\x00\xfa\xffHello\x01"  # its tail belongs to a last block
    for payload in (HELLO, stored, final, two_blocks, stored_final):
        for options in (DEFAULT, KEEPING):
            assert inflate(sides(codec, options)[0], payload, 5) == b"Hello"
    keeping, _ = sides(codec, KEEPING)
    assert [inflate(keeping, payload, 5) for payload in (HELLO, AGAIN, b"\x00", HELLO)] == [b"Hello"] * 2 + [
        b"",
        b"Hello",
    ]
    assert sides(codec)[0].encode(b"") is None
    assert inflate(keeping, sides(codec, KEEPING)[0].encode(b""), 5) == b""


@pytest.mark.parametrize("options", [DEFAULT, KEEPING], ids=["fresh", "keeping"])
def test_a_final_block_ends_a_stream_and_not_the_message(codec: SimpleNamespace, options: Compression) -> None:
    """Z8; RFC 7692 §7.2.3.4. Without the byte behind it, too, as it is clear what was meant."""
    final = bytes.fromhex("f348cdc9c90700")
    server, _ = sides(codec, options)
    assert inflate(server, final, 5) == b"Hello"
    assert inflate(server, final + HELLO, 10) == b"HelloHello"
    assert inflate(server, final + final + b"\x00", 10) == b"HelloHello"
    assert inflate(server, HELLO, 5) == b"Hello"


BAD = {
    "reserved block type": b"\x07\x00",
    "garbage": b"\xff" * 40,
    "behind the last block": bytes.fromhex("f348cdc9c90700") + b"\xff\xff",
    "a distance too far": AGAIN,
    "too many streams": b"\x03\x00" * 100 + b"\x00",
    "its last block ends in the tail": b"\x03",
    "its last block is half of the tail": bytes.fromhex("010000"),
}


@pytest.mark.parametrize("options", [DEFAULT, KEEPING], ids=["fresh", "keeping"])
@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_refuses_what_deflate_does_not_make(codec: SimpleNamespace, options: Compression, data: bytes) -> None:
    """Z6."""
    with pytest.raises(ProtocolError) as error:
        inflate(sides(codec, options)[0], data, LIMIT)
    assert error.value.close_code == 1007


@pytest.mark.parametrize("options", [DEFAULT, KEEPING], ids=["fresh", "keeping"])
def test_a_message_may_have_just_so_many_streams(codec: SimpleNamespace, options: Compression) -> None:
    empty, most = b"\x03\x00", codec.inflate.MAX_STREAMS
    assert most == 32
    assert inflate(sides(codec, options)[0], empty * (most - 1) + HELLO, 5) == b"Hello"
    with pytest.raises(ProtocolError) as error:
        inflate(sides(codec, options)[0], empty * most + HELLO, 5)
    assert error.value.close_code == 1007


@pytest.mark.parametrize("options", [DEFAULT, KEEPING], ids=["fresh", "keeping"])
def test_refuses_a_message_that_is_cut_off(codec: SimpleNamespace, options: Compression) -> None:
    """Wherever: the end of its last block is missed. In a context, too, where others came before it."""
    deflated = zlib.compressobj(6, zlib.DEFLATED, -15)
    first = (deflated.compress(bytes(range(200))) + deflated.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]
    message = b"never delivered in part " * 3 + bytes(range(200))
    if options is DEFAULT:
        deflated = zlib.compressobj(6, zlib.DEFLATED, -15)
    whole = (deflated.compress(message) + deflated.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]
    for cut in range(1, len(whole) - 2):
        server, _ = sides(codec, options)
        inflate(server, first, LIMIT)
        with pytest.raises(ProtocolError) as error:
            inflate(server, whole[:cut], LIMIT)
        assert error.value.close_code == 1007
    server, _ = sides(codec, options)
    inflate(server, first, LIMIT)
    assert inflate(server, whole, LIMIT) == message


def test_what_is_a_few_bytes_smaller_goes_out_deflated(codec: SimpleNamespace) -> None:
    server, client = sides(codec, Compression(level=6))
    message = b"hello hello hello"
    deflated = server.encode(message)
    assert len(message) - 2 * len(TAIL) < len(deflated) < len(message)
    assert inflate(client, deflated, len(message)) == message


def test_what_gets_no_smaller_goes_out_as_it_is(codec: SimpleNamespace) -> None:
    server, _ = sides(codec, Compression(level=6))
    same = 0
    for size in range(1, 20):
        message = bytes(range(size)) * 2
        stream = zlib.compressobj(6, zlib.DEFLATED, -15)
        deflated = (stream.compress(message) + stream.flush(zlib.Z_FULL_FLUSH))[: -len(TAIL)]
        assert server.encode(message) == (deflated if len(deflated) < len(message) else None)
        same += len(deflated) == len(message)
    assert same


@pytest.mark.parametrize(
    ("level", "bits", "has_context", "is_isal"),
    [
        (1, 15, False, True),
        (3, 15, False, True),
        (4, 15, False, False),  # it has no such level
        (1, 9, False, True),
        (1, 8, False, False),  # nor such a window
        (1, 15, True, True),
        (1, 14, True, False),  # zlib keeps less of a small one
    ],
)
def test_isal_deflates_where_it_pays(
    codec: SimpleNamespace, level: int, bits: int, has_context: bool, is_isal: bool
) -> None:
    stream = codec.deflate.Compressor(level, bits, has_context)._new()
    assert is_isals(stream) == (is_isal and codec.deflate._isal is not None)


def is_isals(stream: object) -> bool:
    return "isal" in type(stream).__module__


def test_a_block_that_lacks_its_end_is_not_read_on(codec: SimpleNamespace) -> None:
    """It may be as large as the limit, and still it is not too large but broken."""
    cut = b"\x00\x64\x00\x9b\xff" + bytes(60)  # of a hundred; our tail passes for six more
    with pytest.raises(ProtocolError) as error:
        inflate(sides(codec)[0], cut, 66)
    assert error.value.close_code == 1007


@pytest.mark.parametrize("is_server", [True, False])
def test_one_direction_may_have_a_context_and_the_other_none(codec: SimpleNamespace, is_server: bool) -> None:
    agreement = codec.deflate.Agreement(is_server, not is_server)
    ours, other = (codec.deflate.make_deflate(agreement, KEEPING, is_server=is_server) for _ in range(2))
    assert not ours.compressor.has_context
    assert [inflate(ours, payload, 5) for payload in (HELLO, AGAIN)] == [b"Hello"] * 2
    with pytest.raises(ProtocolError):
        inflate(other, AGAIN, 5)  # of another connection


def test_an_empty_payload_is_an_empty_message(codec: SimpleNamespace) -> None:
    for options in (DEFAULT, KEEPING):
        server, _ = sides(codec, options)
        assert [inflate(server, data, 5) for data in (b"", HELLO, b"")] == [b"", b"Hello", b""]


@pytest.mark.parametrize("options", [DEFAULT, KEEPING], ids=["fresh", "keeping"])
def test_a_message_inflates_to_the_same_however_it_is_given(codec: SimpleNamespace, options: Compression) -> None:
    """In pieces, with several streams in it, and read a few bytes at a time."""
    final, hello = bytes.fromhex("f348cdc9c90700"), b"Hello"
    cases = {HELLO: hello, final: hello, final + final: hello * 2, final + b"\x00": hello, final + HELLO: hello * 2}
    cases |= {b"\x00\x05\x00\xfa\xffHello\x01": hello, b"": b""}
    for data, message in cases.items():
        for cut in range(len(data) + 1):
            for size in (1, 4, 5, 6, 20):
                inflation, found = sides(codec, options)[0].begin(), b""
                for part, is_last in ((data[:cut], False), (data[cut:], True)):
                    inflation.feed(part, is_last)
                    while inflation.has_more:
                        piece = inflation.read(size)
                        assert len(piece) == size or not inflation.has_more
                        found += piece
                assert found == message


def bomb(size: int) -> bytes:
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflated.compress(bytes(size)) + deflated.flush(zlib.Z_SYNC_FLUSH)[: -len(TAIL)]


@pytest.mark.parametrize("options", [DEFAULT, KEEPING], ids=["fresh", "keeping"])
@pytest.mark.parametrize("size", [1, 1000, LIMIT])
def test_counts_what_comes_out(codec: SimpleNamespace, options: Compression, size: int) -> None:
    """Z2. To the byte; a sum of several streams as well."""
    final = bytes.fromhex("f348cdc9c90700")
    for deflated, message in ((bomb(size), bytes(size)), (final + bomb(size), b"Hello" + bytes(size))):
        wire = frame(0x82 | RSV1, deflated)
        for limit, events in ((len(message), [message]), (len(message) - 1, [("error", 1009)])):
            server, _ = sides(codec, options)
            assert decode(codec, [wire], extension=server, max_size=limit) == events


def fits(data: bytes, message: bytes, bits: int) -> bool:
    """Whether an inflater that has no more than this window can read it: it puts out a few bytes at a time."""
    stream, out = zlib.decompressobj(-bits), b""
    try:
        while len(out) < len(message):
            out += stream.decompress(data, 7)
            data = stream.unconsumed_tail
    except zlib.error:
        return False
    return out == message


@pytest.mark.parametrize("level", [1, 2, 3, 6])
@pytest.mark.parametrize("bits", range(8, 16))
def test_refers_no_further_back_than_agreed(codec: SimpleNamespace, bits: int, level: int) -> None:
    """One block again and again, at distances around the window's size."""
    chance = random.Random(bits)
    block = chance.randbytes(40)
    for step in (-262, 0, 1):
        distance = (1 << bits) + step
        message = block + chance.randbytes(max(distance, 60) - len(block)) + block + b"x" * 99
        assert fits(codec.deflate.Compressor(level, bits, True).encode(message) + TAIL, message, bits)


def test_a_window_that_is_too_large_would_be_seen() -> None:
    """That the test above can fail."""
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    chance = random.Random(1)
    message = (block := chance.randbytes(100)) + chance.randbytes(1000) + block
    deflated = stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH)
    assert not fits(deflated, message, 10)
    assert fits(deflated, message, 11)


def test_a_small_window_is_inflated_with_a_small_one(codec: SimpleNamespace) -> None:
    for bits in range(8, 16):
        server, client = sides(codec, KEEPING, server_max_window_bits=bits, client_max_window_bits=bits)
        for sender, receiver in ((server, client), (client, server)):
            for message in messages(40, bits):
                assert inflate(receiver, sender.encode(message), 50000) == message


def test_without_a_context_everything_is_shared_and_nothing_leaks(codec: SimpleNamespace) -> None:
    server, client = sides(codec)
    assert server is sides(codec)[0]
    assert server.compressor is client.compressor
    assert server.compressor is not sides(codec, Compression(level=9))[0].compressor
    assert server is not sides(codec, Compression(threshold=1))[0]
    assert server.compressor is sides(codec, KEEPING, server_no_context_takeover=True)[0].compressor
    secret = random.Random(7).randbytes(500)
    alone = server.encode(secret * 2)
    assert server.encode(secret * 2) == alone
    assert sides(codec, KEEPING)[0] is not sides(codec, KEEPING)[0]
    assert inflate(server, HELLO, 5) == b"Hello"
    with pytest.raises(ProtocolError):
        inflate(server, AGAIN, 5)


def encode(side: Any, message: bytes) -> bytes:
    return side.encode(message)  # type: ignore[no-any-return]


def lend(side: Any, message: bytes) -> bytes:
    """A message deflated as long ones are, by a stream that is lent for it."""
    stream = side.compressor.lend()
    deflated = stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH)
    side.compressor.give_back(stream)
    return deflated[: -len(TAIL)]  # type: ignore[no-any-return]


@pytest.mark.parametrize("ways", [(lend, lend), (lend, encode), (encode, lend, encode)])
def test_a_long_message_belongs_to_the_context(codec: SimpleNamespace, ways: tuple[Any, ...]) -> None:
    message = random.Random(7).randbytes(500)
    server, client = sides(codec, KEEPING)
    first, *others = (way(server, message) for way in ways)
    assert len(first) > 500
    assert max(map(len, others)) < 100
    assert [inflate(client, deflated, 500) for deflated in (first, *others)] == [message] * len(ways)


def test_a_long_message_without_a_context_leaves_nothing(codec: SimpleNamespace) -> None:
    message = random.Random(7).randbytes(500)
    server, _ = sides(codec)
    alone = server.encode(message * 2)
    assert len(lend(server, message)) > 500
    assert len(lend(server, message)) > 500
    assert server.encode(message * 2) == alone


def test_a_context_makes_messages_smaller_and_goes_out_as_it_is(codec: SimpleNamespace) -> None:
    server, client = sides(codec, KEEPING)
    message = random.Random(3).randbytes(500)
    first, second = server.encode(message), server.encode(message)
    assert len(first) >= len(message) > 100 > len(second)
    assert [inflate(client, data, 500) for data in (first, second)] == [message] * 2
    assert sides(codec)[0].encode(message) is None


def test_several_threads_deflate_at_once(codec: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes while another has the stream makes its own."""
    compressor = codec.deflate.Compressor(1, 15, False)
    results: list[bytes | None] = []
    new: Callable[[], Any] = compressor._new

    class Nested:
        def __init__(self) -> None:
            self.stream = new()

        def compress(self, data: bytes) -> bytes:
            if not results:
                results.append(None)
                results[0] = compressor.encode(data)
            return self.stream.compress(data)  # type: ignore[no-any-return]

        def flush(self, mode: int) -> bytes:
            return self.stream.flush(mode)  # type: ignore[no-any-return]

    monkeypatch.setattr(codec.deflate.Compressor, "_new", lambda self: Nested())
    message = b"to be deflated " * 20
    assert compressor.encode(message) == results[0]
    assert len(compressor._idle) == 2


# ---- in frames


@pytest.mark.parametrize("options", [DEFAULT, KEEPING], ids=["fresh", "keeping"])
def test_messages_in_frames_at_every_split(codec: SimpleNamespace, options: Compression) -> None:
    """Z7: and a ping between the fragments of one."""
    wire = b"".join(
        [
            frame(TEXT | RSV1, HELLO),
            frame(TEXT, b"plain"),
            frame(BEGIN_TEXT | RSV1, HELLO[:3]),
            frame(PING, b"?"),
            frame(MORE),
            frame(LAST, HELLO[3:]),
            frame(0x82 | RSV1, b"\x00"),
        ]
    )
    expected = ["Hello", "plain", ("ping", b"?"), "Hello", b""]
    for pieces in at_every_split(wire):
        assert decode(codec, pieces, extension=sides(codec, options)[0]) == expected


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(BEGIN_TEXT | RSV1, HELLO) + frame(LAST | RSV1, HELLO), 1002),  # Z4
        (frame(PING | RSV1, b"?"), 1002),  # Z5
        (frame(TEXT | RSV1, b"\xff" * 9), 1007),  # Z6
        (frame(TEXT | RSV1, bytes.fromhex("faff0f00")), 1007),  # inflates to what is no UTF-8
        (frame(0x82 | RSV1, bomb(65)), 1009),  # Z2: 64 are allowed
        (frame(0x02 | RSV1, bomb(5000)[:3]) + frame(LAST, bomb(5000)[3:]), 1009),  # Z3
        (frame(0x82 | RSV1, bytes(64 + 4 + 64 + 1))[:8], 1009),  # by its header: it cannot inflate to less
        (frame(0x02 | RSV1, bytes(100)) + frame(LAST, bytes(33))[:6], 1009),
    ],
)
def test_what_is_wrong_with_a_compressed_message(codec: SimpleNamespace, wire: bytes, code: int) -> None:
    for pieces in ([wire], [wire[i : i + 1] for i in range(len(wire))]):
        extension = sides(codec)[0]
        assert decode(codec, pieces, extension=extension, max_size=64) == [("error", code)]


def test_what_does_not_get_smaller_may_get_a_little_larger(codec: SimpleNamespace) -> None:
    message = random.Random(2).randbytes(5000)
    stored = b"".join(b"\x00\x64\x00\x9b\xff" + message[i : i + 100] for i in range(0, 5000, 100)) + b"\x00"
    assert len(stored) > 5000
    wire = frame(0x82 | RSV1, stored)
    assert decode(codec, [wire], extension=sides(codec)[0], max_size=5000) == [message]
    parts = frame(0x02 | RSV1, stored[:4990]) + frame(LAST, stored[4990:])
    assert decode(codec, [parts], extension=sides(codec)[0], max_size=5000) == [message]


def test_what_is_as_large_as_it_may_get_is_read(codec: SimpleNamespace) -> None:
    payload = b"\x00\x01\x00\xfe\xff!" + b"\x00\x00\x00\xff\xff" * 25 + b"\x00"
    assert len(payload) == 64 + 64 // 16 + 64
    whole, parts = frame(TEXT | RSV1, payload), frame(BEGIN_TEXT | RSV1, payload[:99]) + frame(LAST, payload[99:])
    for wire in (whole, parts):
        assert decode(codec, [wire], extension=sides(codec)[0], max_size=64) == ["!"]


def test_each_message_is_counted_from_nothing(codec: SimpleNamespace) -> None:
    wire = frame(0x82 | RSV1, bomb(64)) * 3
    assert decode(codec, [wire], extension=sides(codec)[0], max_size=64) == [bytes(64)] * 3


class Noting:
    """One side, and the most that it had inflated, or was asked to inflate, of one message."""

    def __init__(self, side: Any) -> None:
        self._side = side
        self.most = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inflation, name)

    def begin(self) -> Noting:
        self._inflation = self._side.begin()
        self._got = 0
        return self

    def read(self, size: int) -> bytes:
        self.most = max(self.most, self._got + size)
        part: bytes = self._inflation.read(size)
        self._got += len(part)
        return part


def test_no_more_is_inflated_than_a_message_may_be_large(codec: SimpleNamespace) -> None:
    """The bomb is behind so much that this has been inflated before."""
    noise, limit = random.Random(3).randbytes(200_000), 250_000
    stream = zlib.compressobj(1, zlib.DEFLATED, -15)
    deflated = stream.compress(noise) + stream.flush(zlib.Z_SYNC_FLUSH) + bomb(1_000_000)
    side = Noting(sides(codec)[0])
    wire = frame(0x82 | RSV1, deflated)
    assert decode(codec, [wire], extension=side, max_size=limit) == [("error", 1009)]
    assert limit < side.most <= limit + 1
