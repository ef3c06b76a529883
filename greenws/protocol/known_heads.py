"""Request heads that differ from one before in nothing but the key of their handshake (RFC 6455 §4.1).

That is how those look who come back after an outage, all at once: the clients of one kind. What was read of the first,
and checked, serves for the others. Ordinary Python; known_heads.pxd types it for the compiler.
"""

from __future__ import annotations

from greenws.errors import HandshakeError

from .handshake import _KEY, UpgradeRequest, check_request
from .head_limits import DEFAULT_LIMITS, HeadLimits
from .http import RequestHead, read_request

MAX_KNOWN = 128  # heads
MAX_SIZE = 2048  # bytes of a head that is kept

_BEFORE_KEY = b"\r\nSec-WebSocket-Key: "
_KEY_SIZE = 24
# Whoever sends one of them is one person, whose head comes once, and holds what is not to stay in memory.
_PERSONAL = ("cookie", "authorization", "proxy-authorization")


class RequestReader:
    """Reads request heads as ``read_request`` does.

    Args:
        limits: of the heads.
    """

    def __init__(self, limits: HeadLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        # By what is around the key; with the place of its header.
        self._known: dict[bytes, tuple[RequestHead, int]] = {}

    def read(self, data: bytes) -> tuple[RequestHead, int] | None:
        """See ``read_request``: the same bytes give the same, whatever was read before."""
        before = data.find(_BEFORE_KEY) + len(_BEFORE_KEY)
        if before < len(_BEFORE_KEY):
            return read_request(data, self._limits)
        behind = before + _KEY_SIZE
        key = data[before:behind].decode("latin-1")
        if not _KEY.fullmatch(key):
            return read_request(data, self._limits)
        around = data[:before] + data[behind:]
        known = self._known.get(around)
        if known is not None:
            return _with_key(known[0], known[1], key), len(data)
        found = read_request(data, self._limits)
        if found is not None and found[1] == len(data) <= MAX_SIZE:
            self._keep(around, found[0], key)
        return found

    def _keep(self, around: bytes, head: RequestHead, key: str) -> None:
        if head.get("Sec-WebSocket-Key") != key:
            return  # there are two, or more behind it
        if head.query or any(head.get(name) is not None for name in _PERSONAL):
            return
        try:
            head.asked = check_request(head.method, head.version, head.get)
        except HandshakeError:
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[around] = head, head.headers.index(("Sec-WebSocket-Key", key))


def _with_key(head: RequestHead, place: int, key: str) -> RequestHead:
    headers = head.headers.copy()
    headers[place] = ("Sec-WebSocket-Key", key)
    values = head._values.copy()
    values["sec-websocket-key"] = key
    asked = head.asked
    copy = RequestHead(
        head.version, headers, values, head.method, head.target, head.path, head.query, head.content_length, False
    )
    copy.asked = UpgradeRequest(key, asked.subprotocols, asked.extensions, asked.origin, asked.host)
    return copy
