"""Request heads over real sockets: those that are refused get one answer and the end, those that are not work."""

from __future__ import annotations

from functools import partial

import pytest

from tests.hostile.heads import NO_HEAD, SILENCE, Head, Other, broken, refused, served
from tests.hostile.peer import BYE, BYE_ANSWER, HI, Answer, Peer, ask, attack, read_answer, read_frames, read_refusal
from tests.hostile.site import STACKS, Site
from tests.hostile.ways import WAYS, cut, everywhere


def check(site: Site, head: Head, answer: Answer) -> None:
    other = head.elsewhere.get(site.stack)
    if other is not None:
        assert answer.status == other.status, other.why
        return
    assert answer.status in head.statuses
    for name, value in (head.headers or {}).items():
        assert answer.headers.get(name) == value, name


def check_refused(site: Site, head: Head, way: str) -> None:
    """One answer, and no handler."""
    other = head.elsewhere.get(site.stack)
    for pieces in cut(head.wire, way):
        with attack(site) as peer:
            peer.send(pieces)
            if other is not None and other.status in (SILENCE, NO_HEAD):
                check_no_answer(peer, other)
            else:
                check(site, head, read_refusal(peer))
            is_served = other is not None and other.status == 101
            assert (len(site.opened), site.messages, len(site.environs) <= 1) == (int(is_served), [], True)


def check_no_answer(peer: Peer, other: Other) -> None:
    """What other stacks do with what is no HTTP of today."""
    peer.site.honest.echo()
    if other.status == NO_HEAD:
        peer.site.wait_until(peer.read)
    assert not peer.data.startswith(b"HTTP/"), other.why


@pytest.mark.parametrize(
    ("site", "path", "row", "way"),
    [
        *everywhere(partial(broken, upgrade=True), ["/event"]),
        *everywhere(partial(broken, upgrade=False), ["/admin"], ["ours"]),
    ],
    indirect=["site"],
)
def test_a_broken_head_reaches_no_application(site: Site, path: str, row: Head, way: str) -> None:
    """On our server. What stock gunicorn reads more loosely than we, the application refuses."""
    check_refused(site, row, way)
    if site.stack != "gunicorn" and site.stack not in row.elsewhere:
        assert site.environs == []


@pytest.mark.parametrize(
    ("site", "path", "row", "way"),
    everywhere(refused, ["/event", "/lean", "/view"]),
    indirect=["site"],
)
def test_a_refused_upgrade_reaches_no_handler(site: Site, path: str, row: Head, way: str) -> None:
    check_refused(site, row, way)


@pytest.mark.parametrize(
    ("site", "path", "row", "way"),
    everywhere(served),
    indirect=["site"],
)
def test_a_good_handshake_works_whatever_it_looks_like(site: Site, path: str, row: Head, way: str) -> None:
    """H35: the frames come with the handshake, and are handled when the handler has agreed."""
    if site.stack in row.elsewhere:
        check_refused(site, row, way)
        return
    for pieces in cut(row.wire + HI + BYE, way):
        with attack(site) as peer:
            peer.send(pieces)
            answer = read_answer(peer.read_to_end())
            check(site, row, answer)
            assert read_frames(answer.rest) == ["hi", BYE_ANSWER]
            site.wait_until(lambda: site.closes)
            assert (site.messages, site.closes, len(site.opened)) == (["hi"], [1000], 1)


@pytest.mark.parametrize("way", WAYS)
def test_frames_behind_a_refused_handshake_are_not_read(site: Site, way: str) -> None:
    """H35: neither as frames nor as requests."""
    for head, behind, status in (
        (ask("/refused"), HI, 403),
        (ask("/event", without=(b"Host",)), HI, 400),
        (ask("/event", without=(b"Upgrade",)), HI, 426),
        (ask("/event", b"Upgrade: websocket", without=(b"Sec-WebSocket-Key",)), ask("/admin"), 400),
        (ask("/nowhere"), ask("/admin"), 404),
    ):
        for pieces in cut(head + behind, way):
            with attack(site) as peer:
                peer.send(pieces)
                assert read_refusal(peer).status == status
                assert (site.opened, site.messages, len(site.environs) <= 1) == ([], [], True)


@pytest.mark.parametrize("path", ["/%0d%0aX-B:%20b", "/%1b%5b2J", "/%c2%85", "/event%00", "/event%0a", "/%2e%2e/event"])
@pytest.mark.parametrize("way", WAYS)
def test_escaped_characters_in_a_path_stay_escaped(site: Site, path: str, way: str) -> None:
    """H32. What the log may hold is looked at after every case."""
    for pieces in cut(ask(path), way):
        with attack(site) as peer:
            peer.send(pieces)
            answer = read_refusal(peer)
            assert answer.status in (400, 404)
            assert "x-b" not in answer.headers
            assert site.opened == []
    assert len(site.log) == 1


@pytest.mark.parametrize("path", ["/event", "/lean"])
@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        pytest.param([b"X_Forwarded_For: 1.1.1.1"], None, id="H37 underscore"),
        pytest.param([b"X_Forwarded_For: 1.1.1.1", b"X-Forwarded-For: 2.2.2.2"], "2.2.2.2", id="H38 both"),
        pytest.param([b"X-Forwarded-For: 2.2.2.2", b"X-Forwarded_For: 1.1.1.1"], "2.2.2.2", id="H38 both, mixed"),
    ],
)
def test_a_header_with_an_underscore_is_not_seen(site: Site, path: str, lines: list[bytes], seen: str | None) -> None:
    with attack(site) as peer:
        peer.send([ask(path, *lines) + HI])
        site.wait_until(lambda: site.messages)
        (environ,), (conn,) = site.environs, site.connections
        assert environ.get("HTTP_X_FORWARDED_FOR") == seen
        assert conn.remote_addr == environ["REMOTE_ADDR"] == "127.0.0.1", "nobody said that this hop may be trusted"
        del conn


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (b"x, chat, y", "chat"),
        (b"chat, mqtt", "mqtt"),
        (b"Chat", None),
        (b"chat2, __class__", None),
        (b"mqttx,x,chat", "chat"),
    ],
)
@pytest.mark.parametrize("site", STACKS, indirect=True)
def test_a_subprotocol_is_chosen_only_from_those_offered(site: Site, offered: bytes, chosen: str | None) -> None:
    """H40, H46."""
    with attack(site) as peer:
        peer.send([ask("/chosen", b"Sec-WebSocket-Protocol: " + offered) + HI + BYE])
        answer = read_answer(peer.read_to_end())
        assert (answer.status, answer.headers.get("sec-websocket-protocol")) == (101, chosen)
