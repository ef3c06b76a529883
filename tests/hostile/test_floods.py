"""Too many connections, and too many frames that nobody asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile import floods
from tests.hostile.floods import KIBIBYTE, MEBIBYTE
from tests.hostile.peer import BYE, BYE_ANSWER, HI, Peer, ask, attack, read_answer, read_frames, read_refusal
from tests.hostile.site import OurSite, Site, serve
from tests.hostile.ways import STYLES
from tests.wire import PING, PONG, TEXT, frame


@pytest.fixture(scope="module")
def full() -> Iterator[OurSite]:
    """Has room for the honest client and for one more."""
    yield from serve(max_connections=2)


@pytest.fixture(scope="module")
def tolerant() -> Iterator[OurSite]:
    """Counts no control frames, so that something else must bound what they cost."""
    yield from serve(max_control_rate=10**9)


@pytest.mark.parametrize("path", ["/event", "/lean", "/view"])
def test_a_connection_too_many_is_sent_away(full: Site, path: str) -> None:
    """H47. And the place is free again when somebody has gone."""
    with attack(full) as first:
        first.upgrade("/event")
        for _ in range(3):
            second = Peer(full)
            second.send([ask(path) + HI])
            answer = read_refusal(second)
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) > 0
            second.socket.close()
        assert (full.opened, full.messages) == (["/event"], [])
        first.send([BYE])
        assert read_frames(first.read_to_end()) == [BYE_ANSWER]
        third = Peer(full)
        third.send([ask(path) + HI + BYE])
        assert read_frames(read_answer(third.read_to_end()).rest) == ["hi", BYE_ANSWER]
        third.socket.close()


@pytest.mark.parametrize("path", ["/event", "/view"])
@pytest.mark.parametrize("payload", [b"", b"x" * 125])
def test_ten_thousand_unasked_pongs(site: Site, path: str, payload: bytes) -> None:
    """W24: served, or told 1008 by the rate. Here it is the rate."""
    with attack(site) as peer:
        peer.upgrade(path)
        peer.send([frame(PONG, payload) * 10_000 + HI])
        ((last, code, _),) = read_frames(peer.read_to_end())
        assert (last, code) == ("close", 1008)
        assert not peer.was_reset
        peer.socket.close()
        site.wait_until(lambda: site.closes == [1008])
        assert site.messages == []


@pytest.mark.parametrize("path", STYLES)
def test_nothing_behind_a_control_frame_too_many_is_looked_at(site: Site, path: str) -> None:
    """RFC 6455 §7.1.7. A message before it is answered first, while what is behind it is there already."""
    with attack(site) as peer:
        peer.upgrade(path)
        peer.send([HI + frame(PONG) * 101 + frame(TEXT, b"bad") + frame(PONG) + BYE])
        *before, (last, code, _) = read_frames(peer.read_to_end())
        assert (last, code) == ("close", 1008)
        assert before in ([], ["hi"])
        peer.socket.close()
        site.wait_until(lambda: site.closes == [1008])
        assert site.messages in ([], ["hi"])


def test_as_many_control_frames_as_are_allowed(site: Site) -> None:
    """A peer that asks a hundred times gets a hundred answers."""
    with attack(site) as peer:
        peer.upgrade("/event")
        peer.send([b"".join(frame(PING, b"%d" % i) for i in range(99)) + BYE])
        assert read_frames(peer.read_to_end()) == [*(("pong", b"%d" % i) for i in range(99)), BYE_ANSWER]


@pytest.mark.parametrize("payload", [b"", b"x" * 125])
def test_half_a_million_pings_of_a_peer_that_reads_nothing(site: Site, payload: bytes) -> None:
    """W25, with the settings that everybody gets."""
    flood = frame(PING, payload) * 500_000
    with attack(site) as peer:
        peer.upgrade("/event")
        before = memory()
        peer.send(flood[i : i + 65536] for i in range(0, len(flood), 65536))
        assert memory() - before < 4 * MEBIBYTE
        *pongs, (last, code, _) = read_frames(peer.read_to_end())
        assert (last, code) == ("close", 1008)
        assert 0 < len(pongs) <= 100
        assert not peer.was_reset


@pytest.mark.slow
def test_the_answers_to_pings_are_bounded_whatever_the_rate(tolerant: Site) -> None:
    """W25. The newest pong answers all pings before it (RFC 6455 §5.5.3), so the others need not wait to be read."""
    flood = frame(PING, b"x" * 125) * 499_999 + frame(PING, b"newest")  # to keep all answers would take 60 MiB
    with attack(tolerant) as peer:
        peer.upgrade("/event")
        before = memory()
        peer.send(flood[i : i + 65536] for i in range(0, len(flood), 65536))
        assert memory() - before < 8 * MEBIBYTE
        tolerant.wait_until(lambda: peer.read() or peer.data.endswith(b"newest"))
        assert len(peer.data) < len(flood) // 4
        peer.data = b""
        peer.send([BYE])
        assert read_frames(peer.read_to_end()) == [BYE_ANSWER]


# ---- what they cost a server that has a process of its own


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_what_half_a_million_pings_cost_that_are_not_counted() -> None:
    """W25. The peer never reads."""
    assert floods.pings(125).memory <= 64 * KIBIBYTE


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_what_half_a_million_fragments_of_one_byte_cost() -> None:
    """W16. With the settings that everybody gets, and where they are not counted.

    Then what has come is there, and what it leaves behind while it grows: a bytearray grows by an eighth each time.
    """
    assert floods.fragments().memory <= MEBIBYTE
    assert floods.fragments(max_fragments=floods.WITHOUT_LIMIT).memory <= 4 * floods.COUNT


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_frame_that_comes_byte_by_byte_costs_no_more_than_twice_its_size() -> None:
    """W18."""
    assert floods.trickle(32 * KIBIBYTE).memory <= 64 * KIBIBYTE


@pytest.mark.slow
def test_what_a_bomb_of_nearly_a_gibibyte_costs() -> None:
    """Z1. A machine that is busy may be slow; to inflate it to its end would take seconds on any."""
    cost = floods.bombs()
    assert cost.memory <= 5 * MEBIBYTE
    assert cost.cpu < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("path", "most"), [("/compressed", 3), ("/keeping", 77 + 59)])
def test_what_contexts_of_compression_cost(path: str, most: int) -> None:
    """Z10. As docs/compression.md says; some KiB come and go."""
    assert floods.contexts(path, messages=5 if path == "/keeping" else 1) <= 1.1 * most * KIBIBYTE


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_five_thousand_half_sent_handshakes() -> None:
    """H36. Each has its answer at its deadline, and meanwhile others are served."""
    halves = floods.halves(timeout=2.0)
    assert halves.statuses == {b"HTTP/1.1 408"}
    assert halves.memory <= 8 * KIBIBYTE
    assert halves.late[0] > 1.5  # in steps of a tenth of a second
    assert halves.p99 < 2


def memory() -> int:
    """The resident bytes of this process, in which the server runs."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
