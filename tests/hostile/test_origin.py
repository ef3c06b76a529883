"""Origins over real sockets: a page of another site gets 403 and no handler (RFC 6455 §10.2)."""

from __future__ import annotations

import pytest

from tests.hostile.peer import BYE, BYE_ANSWER, HI, WAYS, ask, attack, cut, read_answer, read_frames, read_refusal
from tests.hostile.site import ALLOWED, Site

# The routes at /list and /leanlist allow https://app.example.
FOREIGN = [
    ("O1 other host", b"https://other.example", 403),
    ("O2 null", b"null", 403),
    ("O3 more behind it", b"https://app.example.evil", 403),
    ("O4 more before it", b"https://evilapp.example", 403),
    ("O4 a subdomain", b"https://evil.app.example", 403),
    ("O5 other port", b"https://app.example:444", 403),
    ("O6 not encrypted", b"http://app.example", 403),
    ("O7 its name as a user", b"https://app.example@evil.example", 403),
    ("O8 backtick", b"https://app.example`.evil.example", 403),
    ("O8 dollar", b"https://app.example$.evil.example", 403),
    ("a path", b"https://app.example/", 403),
    ("no scheme", b"app.example", 403),
    ("not ASCII", b"https://app.ex\xe4mple", 403),
    ("nothing", b"", 403),
    ("O9 two in one", b"https://app.example, https://app.example", 400),
    ("O9 two with a space", b"https://app.example https://evil.example", 400),
]


def check_refused(site: Site, wire: bytes, way: str, status: int) -> None:
    for pieces in cut(wire, way):
        with attack(site) as peer:
            peer.send(pieces)
            assert read_refusal(peer).status == status
            assert (site.opened, site.messages) == ([], [])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", ["/list", "/leanlist"])
@pytest.mark.parametrize(("origin", "status"), [row[1:] for row in FOREIGN], ids=[row[0] for row in FOREIGN])
def test_another_origin_is_refused(site: Site, path: str, origin: bytes, status: int, way: str) -> None:
    check_refused(site, ask(path, b"Origin: " + origin) + HI, way, status)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", ["/list", "/leanlist", "/event", "/lean"])
def test_two_origin_headers_are_refused(site: Site, path: str, way: str) -> None:
    """O9, whichever comes first."""
    ours, theirs = b"Origin: " + ALLOWED.encode(), b"Origin: https://evil.example"
    for lines in ((ours, theirs), (theirs, ours), (ours, ours)):
        check_refused(site, ask(path, *lines) + HI, way, 400)


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
    check_refused(site, ask(path, b"Origin: " + origin) + HI, "whole", 403)


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
def test_an_allowed_origin_and_what_is_no_browser_are_served(site: Site, path: str, lines: list[bytes]) -> None:
    with attack(site) as peer:
        peer.send([ask(path, *lines) + HI + BYE])
        answer = read_answer(peer.read_to_end())
        assert (answer.status, read_frames(answer.rest)) == (101, ["hi", BYE_ANSWER])
