"""Heads: any bytes give a head or one refusal with 400, 414, 431, 501 or 505, and the same one however they are cut.

What is read has no control character, a path, names that are tokens, and at most one way to find the body's end.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fuzz.target import fuzz, timed
from greenws.errors import HandshakeError, RequestError
from greenws.protocol import grammar, head_limits, http, known_heads
from greenws.protocol.head_limits import DEFAULT_LIMITS, HeadLimits

LIMITS = HeadLimits(line=200, headers=5, size=600)
READER = known_heads.RequestReader()
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def verdict(data: bytes) -> int:
    """Where the head ends, 0 while bytes are missing; below 0 it is refused with that status."""
    try:
        return max(http.head_end(data, LIMITS), 0)
    except RequestError as error:
        return -error.status


def check(data: bytes) -> None:
    """The invariant."""
    end = timed(verdict, data)
    assert end >= 0 or -end in (400, 414, 431, 505)
    assert end <= LIMITS.size
    for size in range(0, len(data), 1 + len(data) // 300):
        assert verdict(data[:size]) in ((0, end) if end <= 0 or size >= end else (0,))
    for limits in (LIMITS, DEFAULT_LIMITS):
        read_request(data[:end] if end > 0 else data, limits)
    assert again(READER.read, data) == again(http.read_request, data)


def again(read: Callable[[bytes], tuple[http.RequestHead, int] | None], data: bytes) -> object:
    """What is read, or the status of the refusal: the same whatever was read before."""
    try:
        found = timed(read, data)
    except RequestError as error:
        return error.status
    return found and (found[0].headers, found[0].target, found[0].content_length, found[1])


def read_request(data: bytes, limits: HeadLimits) -> None:
    """A head, whole or not, is read as a request and as a response."""
    try:
        head = timed(http.parse_request, data, limits)
    except RequestError as error:
        assert error.status in (400, 414, 431, 501, 505)
    else:
        assert head.path.startswith("/")
        assert head.content_length is None or not head.is_chunked
        assert not any(CONTROL.search(value) or not grammar.is_token(name) for name, value in head.headers)
        assert all(CONTROL.search(value) is None for value in http.environ_headers(head).values())
    try:
        assert 100 <= timed(http.parse_response, data, limits).status < 600
    except HandshakeError as error:
        assert error.status == 0


if __name__ == "__main__":
    fuzz(check, grammar, head_limits, http, known_heads)
