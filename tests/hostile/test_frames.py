"""The table of tests/frame_cases.py over real sockets: frames W, text U, and closing K of the list of hostile input."""

from __future__ import annotations

import pytest

from tests.frame_cases import ALL, Case, Event, close
from tests.hostile.peer import WAYS, attack, cut, read_frames
from tests.hostile.site import Site

LONG = 2500  # bytes; to send more of them one by one takes its time

STYLES = ("/event", "/view", "/lean", "/leanview")


def is_message(event: Event) -> bool:
    return not isinstance(event, tuple)


def answers(case: Case) -> list[Event]:
    """What an echo server says to all this, and to the Close that ends it."""
    said: list[Event] = []
    for event in case.events:
        if is_message(event):
            said.append(event)
        elif event[0] in ("ping", "close"):
            said.append(("pong", event[1]) if event[0] == "ping" else ("close", event[1], ""))
    return said


def check_good(site: Site, case: Case, said: list[Event]) -> None:
    """Everything is answered in order; the last is the peer's own Close."""
    assert said == answers(case)
    assert site.messages == [event for event in case.events if is_message(event)]
    assert site.closes == [case.events[-1][1]]


def check_bad(site: Site, case: Case, said: list[Event]) -> None:
    """The last is a Close that says why. Of what came before it, nothing invalid reached the application."""
    *before, (kind, code, reason) = said
    assert (kind, code) == ("close", case.events[-1][1])
    assert reason
    valid = [event for event in case.events if is_message(event)]
    assert site.messages == valid[: len(site.messages)]
    assert before == answers(case)[: len(before)]
    assert site.closes == [code]


def params() -> list[object]:
    return [
        pytest.param(case, way, id=f"{case.name}-{way}", marks=[pytest.mark.slow] * (len(case.wire) > LONG and way != "whole"))
        for case in ALL
        for way in WAYS
    ]


@pytest.mark.parametrize(("case", "way"), params())
@pytest.mark.parametrize("path", STYLES)
def test_frames(site: Site, path: str, case: Case, way: str) -> None:
    is_bad = case.events[-1][0] == "error"
    if is_message(case.events[-1]) or case.events[-1][0] in ("ping", "pong"):
        case = Case(case.name, case.wire + close(1000), (*case.events, ("close", 1000, "")), 0)
    for pieces in cut(case.wire, way):
        with attack(site) as peer:
            peer.upgrade(path)
            peer.send(pieces)
            said = read_frames(peer.read_to_end())
            if is_bad:
                peer.socket.close()
            site.wait_until(lambda: site.closes)
            (check_bad if is_bad else check_good)(site, case, said)
