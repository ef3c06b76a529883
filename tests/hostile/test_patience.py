"""Clients that do not go on, do not answer, or leave without a word: each is waited for so long and no longer."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from greenws.config import Config
from tests.frame_cases import close
from tests.hostile.peer import HI, ask, attack, read_frames, read_refusal
from tests.hostile.site import DEADLINE, OurSite, serve
from tests.hostile.ways import STYLES
from tests.wire import BEGIN_TEXT, BINARY, KEY, MORE, PING, frame, header

PATIENCE = 0.3  # seconds: far more than the rest of a case takes


@pytest.fixture(scope="module")
def impatient() -> Iterator[OurSite]:
    yield from serve(Config(handshake_timeout=PATIENCE), message_timeout=PATIENCE, close_timeout=PATIENCE)


# ---- heads


@pytest.mark.slow
@pytest.mark.parametrize("wire", [b"G", b"GET /event", ask("/event")[:-2], ask("/event")[:-1], b"GET / HTTP/1.1\r\nA:"])
def test_half_a_head_and_silence(impatient: OurSite, wire: bytes) -> None:
    """H36."""
    with attack(impatient) as peer:
        peer.send([wire])
        assert read_refusal(peer).status == 408
        assert impatient.environs == []


@pytest.mark.slow
def test_silence_from_the_beginning(impatient: OurSite) -> None:
    """H36. Nothing was asked, so nothing is answered: browsers open connections to have them ready."""
    with attack(impatient) as peer:
        assert peer.read_to_end() == b""
        assert not peer.was_reset


@pytest.mark.slow
def test_a_head_that_trickles_in(impatient: OurSite) -> None:
    """H36. The time counts from the beginning and not from the last byte."""
    begin = time.monotonic()
    with attack(impatient) as peer:
        peer.send_slowly(ask("/event", b"X-A: " + b"a" * 8000))
        assert read_refusal(peer).status == 408
        assert impatient.environs == []
    assert time.monotonic() - begin < PATIENCE + DEADLINE


# ---- messages


@pytest.mark.slow
@pytest.mark.parametrize("path", STYLES)
@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"\x81", id="half a header"),
        pytest.param(HI[:4], id="half a key"),
        pytest.param(HI[:-1], id="a byte is missing"),
        pytest.param(frame(BEGIN_TEXT, b"a"), id="the last fragment is missing"),
        pytest.param(frame(BEGIN_TEXT) + frame(MORE) + header(PING, 5), id="half a ping inside"),
    ],
)
def test_a_message_that_is_never_finished(impatient: OurSite, path: str, wire: bytes) -> None:
    """W19. An earlier message, and pings that are in order, buy it no time."""
    with attack(impatient) as peer:
        peer.upgrade(path)
        peer.send([HI, wire])
        hi, (last, code, reason) = read_frames(peer.read_to_end())
        assert (hi, last, code) == ("hi", "close", 1008)
        assert reason
        assert not peer.was_reset
        assert impatient.messages == ["hi"]


@pytest.mark.slow
def test_a_message_that_trickles_in(impatient: OurSite) -> None:
    """W19. Neither bytes nor whole fragments begin the time anew."""
    begin = time.monotonic()
    for fragments in (header(BINARY, 1000) + KEY + bytes(990), frame(BEGIN_TEXT) + frame(MORE, b"a") * 500):
        with attack(impatient) as peer:
            peer.upgrade("/event")
            peer.send([fragments[:6]])
            peer.send_slowly(fragments[6:])
            ((last, code, _),) = read_frames(peer.read_to_end())
            assert (last, code) == ("close", 1008)
            assert impatient.messages == []
    assert time.monotonic() - begin < 2 * (PATIENCE + DEADLINE)


# ---- the end


@pytest.mark.slow
@pytest.mark.parametrize("path", STYLES)
def test_a_peer_that_does_not_answer_our_close(impatient: OurSite, path: str) -> None:
    """K5."""
    with attack(impatient) as peer:
        peer.upgrade(path)
        impatient.wait_until(lambda: impatient.opened)
        impatient.connections[0].close(4000, "bye")
        assert read_frames(peer.read_to_end()) == [("close", 4000, "bye")]
        impatient.wait_until(lambda: not impatient.connections and impatient.closes == [4000])


@pytest.mark.slow
def test_a_peer_that_stays_after_it_has_failed(impatient: OurSite) -> None:
    """K5. It has been told, and keeps its end open: ours is closed all the same."""
    with attack(impatient) as peer:
        peer.upgrade("/event")
        peer.send([frame(0x83)])
        assert read_frames(peer.read_to_end())[0][:2] == ("close", 1002)
        assert impatient.connections
        impatient.wait_until(lambda: not impatient.connections)


@pytest.mark.parametrize("path", STYLES)
@pytest.mark.parametrize("theirs", [close(1000), close(4999, b"theirs"), frame(0x88)])
def test_both_close_at_once(site: OurSite, path: str, theirs: bytes) -> None:
    """K6. The peer's Close is on its way when ours leaves."""
    with attack(site) as peer:
        peer.upgrade(path)
        site.wait_until(lambda: site.opened)
        peer.socket.send(theirs)
        site.connections[0].close(4001, "ours")
        assert read_frames(peer.read_to_end()) == [("close", 4001, "ours")]
        site.wait_until(lambda: site.closes == [4001])
        assert not peer.was_reset


@pytest.mark.parametrize("path", STYLES)
@pytest.mark.parametrize("wire", [b"", b"\x81", HI[:-1], frame(BEGIN_TEXT, b"a"), frame(0x8A), HI])
@pytest.mark.parametrize("how", ["W27 reset", "W28 half-close", "closed"])
def test_a_peer_that_goes_without_a_close(site: OurSite, path: str, wire: bytes, how: str) -> None:
    """Nothing is sent to it any more, and the handler hears 1006 once."""
    with attack(site) as peer:
        peer.upgrade(path)
        site.wait_until(lambda: site.opened)
        peer.send([wire])
        if how == "W28 half-close":
            peer.socket.shutdown(socket.SHUT_WR)
            assert read_frames(peer.read_to_end()) == (["hi"] if wire == HI else [])
        else:
            if how == "W27 reset":
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.socket.close()
        site.wait_until(lambda: site.closes)
        assert (site.closes, site.messages) == ([1006], ["hi"] if wire == HI else [])
        assert not site.connections
