"""Compressed bytes that are hostile: Z of the list of hostile input, on a route with compression, over real sockets."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenws import Compression
from tests.frame_cases import LIMIT as SMALL
from tests.hostile.peer import BYE, BYE_ANSWER, WAYS, Peer, ask, attack, cut, read_answer, read_frames, read_refusal
from tests.hostile.site import Site, serve
from tests.wire import BEGIN_BINARY, BEGIN_TEXT, BINARY, LAST, MORE, PING, TEXT, frame

MEBIBYTE = 1 << 20
RSV1 = 0x40
TAIL = b"\x00\x00\xff\xff"
KEEPING = Compression(server_no_context_takeover=False, client_no_context_takeover=False)
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
HELLO = bytes.fromhex("f248cdc9c90700")
FINAL = bytes.fromhex("f348cdc9c90700")  # the same in a last block
STYLES = ("/event", "/view", "/lean", "/leanview")


@pytest.fixture(scope="module", params=[True, KEEPING], ids=["fresh", "keeping"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    yield from serve(compression=request.param)


def upgrade(peer: Peer, path: str) -> None:
    """A handshake that offers compression and is answered with it."""
    peer.send([ask(path, OFFER)])
    peer.site.wait_until(lambda: peer.read() or b"\r\n\r\n" in peer.data)
    answer = read_answer(peer.data)
    assert answer.status == 101
    assert answer.headers["sec-websocket-extensions"].startswith("permessage-deflate")
    peer.data = answer.rest


def bomb(size: int) -> bytes:
    stream, block = zlib.compressobj(9, zlib.DEFLATED, -15), bytes(MEBIBYTE)
    parts = [stream.compress(block[: min(size - at, MEBIBYTE)]) for at in range(0, size, MEBIBYTE)]
    return b"".join(parts) + stream.flush(zlib.Z_SYNC_FLUSH)[: -len(TAIL)]


LITTLE = bomb(SMALL + 1)
assert len(LITTLE) < 40

CASES = {
    "Z2 limit + 1": (frame(BINARY | RSV1, LITTLE), 1009),
    "Z3 in fragments": (frame(BEGIN_BINARY | RSV1, LITTLE[:5]) + frame(MORE) + frame(LAST, LITTLE[5:]), 1009),
    "Z4 RSV1 on a continuation": (frame(BEGIN_TEXT | RSV1, HELLO[:3]) + frame(LAST | RSV1, HELLO[3:]), 1002),
    "Z5 RSV1 on a ping": (frame(PING | RSV1, b"?"), 1002),
    "Z6 corrupt": (frame(TEXT | RSV1, b"\xff" * 20), 1007),
    "Z6 a reference to what was never sent": (frame(TEXT | RSV1, bytes.fromhex("f200110000")), 1007),
    "Z8 data behind the last block": (frame(TEXT | RSV1, FINAL + b"\xff\xff\xff"), 1007),
    "Z8 a bomb behind the last block": (frame(TEXT | RSV1, FINAL + LITTLE), 1009),
    "no UTF-8": (frame(TEXT | RSV1, bytes.fromhex("faff0f00")), 1007),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("path", STYLES)
def test_fails_the_connection_and_delivers_nothing(site: Site, path: str, name: str, way: str) -> None:
    wire, code = CASES[name]
    for pieces in cut(wire, way):
        with attack(site) as peer:
            upgrade(peer, path)
            peer.send(pieces)
            ((kind, said, reason),) = read_frames(peer.read_to_end())
            assert (kind, said) == ("close", code)
            assert reason
            peer.socket.close()
            site.wait_until(lambda: site.closes)
            assert (site.messages, site.closes) == ([], [code])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", STYLES)
def test_good_messages(site: Site, path: str, way: str) -> None:
    """Z7, Z8: a ping between fragments, and a message of two streams, are as they should be."""
    wire = (
        frame(BEGIN_TEXT | RSV1, HELLO[:2])
        + frame(PING, b"?")
        + frame(LAST, HELLO[2:])
        + frame(TEXT | RSV1, FINAL + HELLO)
        + frame(TEXT | RSV1, b"\x00")
        + BYE
    )
    for pieces in cut(wire, way):
        with attack(site) as peer:
            upgrade(peer, path)
            peer.send(pieces)
            said = read_frames(peer.read_to_end())
            assert said[0] == ("pong", b"?")
            assert said[1:] == ["Hello", "HelloHello", "", BYE_ANSWER]


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/list", "/leanlist"])
def test_a_bomb_of_nearly_a_gibibyte(site: Site, path: str) -> None:
    """Z1. 900 KB that would become 0.9 GiB end the connection when a mebibyte has come out."""
    wire = frame(BINARY | RSV1, bomb(900 * MEBIBYTE))
    assert 800_000 < len(wire) < MEBIBYTE
    for _ in range(2):  # the first one may make what is kept
        before, begin = resident(), time.perf_counter()
        with attack(site) as peer:
            upgrade(peer, path)
            peer.send([wire])
            ((kind, code, _),) = read_frames(peer.read_to_end())
            took = time.perf_counter() - begin
            assert (kind, code) == ("close", 1009)
            assert site.messages == []
    assert took < 0.5, "it was inflated to its end"
    assert resident() - before < 5 * MEBIBYTE


def test_a_bomb_for_a_route_that_refuses_its_peer(site: Site) -> None:
    """Z9. What comes right behind a handshake is not looked at before the route has accepted."""
    with attack(site) as peer:
        peer.send([ask("/refused", OFFER) + frame(BINARY | RSV1, bomb(100 * MEBIBYTE))])
        peer.site.wait_until(peer.read)
        assert peer.was_reset or read_refusal(peer).status == 403
        assert site.messages == []


def test_what_cannot_be_agreed_on_is_declined(site: Site) -> None:
    """H44, H45."""
    offers = [
        b"; server_max_window_bits=99", b"; server_max_window_bits=7", b'; server_max_window_bits=""',
        b"; client_max_window_bits=16", b"; x=y", b"; client_max_window_bits; client_max_window_bits",
    ]  # fmt: skip
    for offer in offers:
        with attack(site) as peer:
            peer.send([ask("/event", b"Sec-WebSocket-Extensions: permessage-deflate" + offer)])
            site.wait_until(lambda peer=peer: peer.read() or b"\r\n\r\n" in peer.data)
            answer = read_answer(peer.data)
            assert answer.status == 101
            assert "sec-websocket-extensions" not in answer.headers
            peer.send([frame(TEXT | RSV1, HELLO)])
            site.wait_until(peer.read)
            ((kind, code, _),) = read_frames(read_answer(peer.data).rest)
            assert (kind, code) == ("close", 1002)


def test_incompressible_messages_of_the_largest_size(site: Site) -> None:
    """They grow by deflating, and are taken all the same."""
    noise = random.Random(6).randbytes(MEBIBYTE)
    stream = zlib.compressobj(1, zlib.DEFLATED, -15)
    deflated = (stream.compress(noise) + stream.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]
    assert len(deflated) > MEBIBYTE
    with attack(site) as peer:
        upgrade(peer, "/list")
        peer.send([frame(BINARY | RSV1, deflated)])
        site.wait_until(lambda: site.messages)
        assert site.messages == [noise]
