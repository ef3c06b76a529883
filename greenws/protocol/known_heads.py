"""Request heads that differ from one before in the key of their handshake (RFC 6455 §4.1) and in their cookies only.

That is how those look who come back after an outage, all at once: the clients of one kind. What was read of the first,
and checked, serves for the others. Ordinary Python; known_heads.pxd types it for the compiler.
"""

from __future__ import annotations

import re

from greenws.errors import HandshakeError

from .handshake import _KEY, UpgradeRequest, check_request
from .head_limits import DEFAULT_LIMITS, HeadLimits
from .http import RequestHead, read_request

MAX_KNOWN = 128  # heads
MAX_SIZE = 2048  # bytes of a head that is kept, without what is not kept of it

_BEFORE_KEY = b"\r\nSec-WebSocket-Key: "
_KEY_SIZE = 24
_BEFORE_COOKIES = b"\r\nCookie: "
_COOKIES = re.compile(rb"[!-~](?:[ -~]*[!-~])?")  # read as they are sent; no other header depends on them
# Whoever sends one of them is one person, whose head comes once, and holds what is not to stay in memory.
_PERSONAL = ("authorization", "proxy-authorization")


class RequestReader:
    """Reads request heads as ``read_request`` does.

    Args:
        limits: of the heads.
    """

    def __init__(self, limits: HeadLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        # By what is around the key and the cookies; with the places of their headers, the second -1 if there are none.
        self._known: dict[bytes, tuple[RequestHead, int, int]] = {}

    def read(self, data: bytes) -> tuple[RequestHead, int] | None:
        """See ``read_request``: the same bytes give the same, whatever was read before."""
        before = data.find(_BEFORE_KEY) + len(_BEFORE_KEY)
        if before < len(_BEFORE_KEY):
            return read_request(data, self._limits)
        behind = before + _KEY_SIZE
        key = data[before:behind].decode("latin-1")
        if not _KEY.fullmatch(key):
            return read_request(data, self._limits)
        cookies = None
        begin = data.find(_BEFORE_COOKIES) + len(_BEFORE_COOKIES)
        if begin < len(_BEFORE_COOKIES):
            around = data[:before] + data[behind:]
        else:
            end = data.find(b"\r", begin)
            if not _COOKIES.fullmatch(data, begin, end):
                return read_request(data, self._limits)
            cookies = data[begin:end].decode("latin-1")
            if begin < before:
                around = data[:begin] + data[end:before] + data[behind:]
            else:
                around = data[:before] + data[behind:begin] + data[end:]
        known = self._known.get(around)
        if known is not None and len(data) <= self._limits.size:
            return _with(known[0], known[1], key, known[2], cookies), len(data)
        found = read_request(data, self._limits)
        if found is not None and found[1] == len(data) and len(around) <= MAX_SIZE:
            self._keep(around, found[0], key, cookies)
        return found

    def _keep(self, around: bytes, head: RequestHead, key: str, cookies: str | None) -> None:
        if head.get("Sec-WebSocket-Key") != key or head.get("Cookie") != cookies:
            return  # there are two, or more behind it
        if head.query or any(head.get(name) is not None for name in _PERSONAL):
            return
        try:
            head.asked = check_request(head.method, head.version, head.get)
        except HandshakeError:
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        place = head.headers.index(("Sec-WebSocket-Key", key))
        cookies_place = -1 if cookies is None else head.headers.index(("Cookie", cookies))
        kept = _with(head, place, key, cookies_place, None if cookies is None else "")
        self._known[around] = kept, place, cookies_place


def _with(head: RequestHead, place: int, key: str, cookies_place: int, cookies: str | None) -> RequestHead:
    """Returns a copy that has another key and other cookies."""
    headers = head.headers.copy()
    headers[place] = ("Sec-WebSocket-Key", key)
    values = head._values.copy()
    values["sec-websocket-key"] = key
    if cookies is not None:
        headers[cookies_place] = ("Cookie", cookies)
        values["cookie"] = cookies
    asked = head.asked
    copy = RequestHead(
        head.version, headers, values, head.method, head.target, head.path, head.query, head.content_length, False
    )
    # As UpgradeRequest(…) does, which is a function of Python's.
    copy.asked = tuple.__new__(UpgradeRequest, (key, asked.subprotocols, asked.extensions, asked.origin, asked.host))
    return copy
