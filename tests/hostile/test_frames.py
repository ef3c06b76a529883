"""The table of tests/frame_cases.py over real sockets: frames W, text U, and closing K of the list of hostile input.

The answer is the same on every stack.
"""

from __future__ import annotations

import pytest

from tests.frame_cases import ALL, SMALL_FRAGMENTS, Case, Event, close, kind
from tests.hostile.peer import BYE, BYE_ANSWER, attack, read_frames
from tests.hostile.site import STACKS, Site
from tests.hostile.ways import cut, everywhere
from tests.wire import BEGIN_TEXT, LAST, MORE, frame


def answers(case: Case, wanted: str) -> list[Event]:
    """What an echo server says to all this: messages, pongs, or the answer to the peer's Close."""
    if wanted == "message":
        return case.messages
    if wanted == "pong":
        return [("pong", event[1]) for event in case.events if kind(event) == "ping"]
    return [("close", case.events[-1][1], "")]


def check_good(site: Site, case: Case, said: list[Event]) -> None:
    """Everything is answered, the Close last. A pong need not wait for the messages before it."""
    for wanted in ("message", "pong", "close"):
        assert [event for event in said if kind(event) == wanted] == answers(case, wanted)
    assert kind(said[-1]) == "close"
    assert site.messages == case.messages
    assert site.closes == [case.events[-1][1]]


def check_bad(site: Site, case: Case, said: list[Event]) -> None:
    """The last is a Close that says why. What was valid before it may have reached the application, nothing else."""
    (_, code), (*before, (last, said_code, reason)) = case.events[-1], said
    assert (last, said_code) == ("close", code)
    assert reason
    assert site.messages == case.messages[: len(site.messages)]
    assert [event for event in before if kind(event) == "message"] == case.messages[: len(before)]
    assert site.closes == [code]


@pytest.mark.parametrize(
    ("site", "path", "row", "way"),
    # The messages of /list may be as large as those fragments together.
    [*everywhere(lambda path: ALL), *everywhere(lambda path: [SMALL_FRAGMENTS], ["/list"])],
    indirect=["site"],
)
def test_frames(site: Site, path: str, row: Case, way: str) -> None:
    case = row
    if not case.is_bad and not case.is_closed:
        case = Case(case.name, case.wire + close(1000), (*case.events, ("close", 1000, "")), len(case.wire) + 8)
    for pieces in cut(case.wire, way):
        with attack(site) as peer:
            peer.upgrade(path)
            peer.send(pieces)
            said = read_frames(peer.read_to_end())
            peer.socket.close()
            site.wait_until(lambda: site.closes)
            (check_bad if case.is_bad else check_good)(site, case, said)
            assert site.opened == [path]
            assert len(site.environs) == 1, "HTTP behind the upgrade"
            # The server may close behind a Close, and then more bytes are told so. A failed peer gets time to read why.
            is_told = case.is_closed and case.at < len(case.wire) or site.stack == "nginx"
            assert not peer.was_reset or way != "whole" and is_told


@pytest.mark.parametrize(
    ("site", "path"),
    [("ours", "/list"), ("ours", "/leanlist"), *((stack, "/list") for stack in STACKS[1:])],
    indirect=["site"],
)
def test_a_mebibyte_of_characters_that_are_all_split(site: Site, path: str) -> None:
    """U9. Each of the 4,096 fragments, and so the limit of a message, ends inside a character."""
    text = "😂" * (1 << 18)
    payload = text.encode()
    rest = [payload[i : i + 256] for i in range(257, len(payload), 256)]
    wire = b"".join(
        [frame(BEGIN_TEXT, payload[:257]), *(frame(MORE, part) for part in rest[:-1]), frame(LAST, rest[-1])]
    )
    with attack(site) as peer:
        peer.upgrade(path)
        peer.send([*(wire[i : i + 65536] for i in range(0, len(wire), 65536)), BYE])
        assert read_frames(peer.read_to_end()) == [text, BYE_ANSWER]
