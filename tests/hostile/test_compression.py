"""Compressed bytes that are hostile: Z of the list of hostile input, on a route with compression, over real sockets."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from greenws import Compression
from tests.frame_cases import Case, kind
from tests.hostile.deflated import DEFLATED, HELLO, MEBIBYTE, OFFER, RSV1, TAIL, bomb
from tests.hostile.peer import BYE, Peer, ask, attack, read_answer, read_frames, read_refusal
from tests.hostile.site import Site, Sites
from tests.hostile.ways import cut, everywhere
from tests.wire import BINARY, TEXT, frame

KEEPING = Compression(server_no_context_takeover=False, client_no_context_takeover=False)


@pytest.fixture(scope="module", params=[True, KEEPING], ids=["fresh", "keeping"])
def sites(request: pytest.FixtureRequest) -> Iterator[Sites]:
    with closing(Sites(compression=request.param)) as sites:
        yield sites


def upgrade(peer: Peer, path: str) -> None:
    """A handshake that offers compression and is answered with it."""
    answer = peer.upgrade(path, OFFER)
    assert answer.headers["sec-websocket-extensions"].startswith("permessage-deflate")


@pytest.mark.parametrize(("site", "path", "row", "way"), everywhere(lambda path: DEFLATED), indirect=["site"])
def test_compressed_frames(site: Site, path: str, row: Case, way: str) -> None:
    """What is wrong fails the connection and delivers nothing; what is right is answered."""
    wire = row.wire if row.is_bad else row.wire + BYE
    for pieces in cut(wire, way):
        with attack(site) as peer:
            upgrade(peer, path)
            peer.send(pieces)
            *said, (last, code, reason) = read_frames(peer.read_to_end())
            peer.socket.close()
            site.wait_until(lambda: site.closes)
            assert last == "close"
            assert site.messages == row.messages
            if row.is_bad:
                assert (said, ("error", code), bool(reason)) == ([], row.events[-1], True)
            else:
                assert said == [("pong", event[1]) if kind(event) == "ping" else event for event in row.events]
            assert site.closes == [code]


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
