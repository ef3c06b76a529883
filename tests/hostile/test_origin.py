"""Origins over real sockets: a page of another site gets 403 and no handler (RFC 6455 §10.2)."""

from __future__ import annotations

import pytest

from tests.hostile.heads import Head, foreign
from tests.hostile.peer import BYE, BYE_ANSWER, HI, ask, attack, read_answer, read_frames, read_refusal
from tests.hostile.site import STACKS, Site
from tests.hostile.ways import cut, everywhere


# These routes allow https://app.example.
@pytest.mark.parametrize(("site", "path", "row", "way"), everywhere(foreign, ["/list", "/leanlist"]), indirect=["site"])
def test_another_origin_is_refused(site: Site, path: str, row: Head, way: str) -> None:
    for pieces in cut(row.wire, way):
        with attack(site) as peer:
            peer.send(pieces)
            assert read_refusal(peer).status in row.statuses
            assert (site.opened, site.messages) == ([], [])


@pytest.mark.parametrize("path", ["/event", "/lean"])
@pytest.mark.parametrize(
    "origin",
    [
        b"https://app.example:444",
        b"http://app.example:81",
        b"http://evil.example",
        b"null",
        b"http://app.example.evil",
        b"",
    ],
)
def test_without_a_list_only_the_host_itself_is_allowed(site: Site, path: str, origin: bytes) -> None:
    with attack(site) as peer:
        peer.send([ask(path, b"Origin: " + origin) + HI])
        assert read_refusal(peer).status == 403
        assert (site.opened, site.messages) == ([], [])


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("/list", [b"Origin: https://app.example"]),
        ("/list", [b"Origin: https://app.example:443"]),
        ("/leanlist", [b"origin: HTTPS://APP.EXAMPLE"]),
        ("/event", [b"Origin: http://app.example"]),
        ("/event", [b"Origin: https://app.example"]),  # TLS ends at a proxy
        ("/lean", [b"Origin: http://app.example:80"]),
        ("/list", []),
        ("/event", []),
    ],
)
@pytest.mark.parametrize("site", STACKS, indirect=True)
def test_an_allowed_origin_and_what_is_no_browser_are_served(site: Site, path: str, lines: list[bytes]) -> None:
    with attack(site) as peer:
        peer.send([ask(path, *lines) + HI + BYE])
        answer = read_answer(peer.read_to_end())
        assert (answer.status, read_frames(answer.rest)) == (101, ["hi", BYE_ANSWER])
