"""Request and response heads, read strictly (RFC 9110, RFC 9112).

Every head passes here before anything acts on it, so that no two readers can disagree about it. llhttp splits the
fields; what it lets through and a server must not is refused here: targets in a form we do not serve, two hosts,
lengths that two servers could read differently. Where the RFC lets us repair or refuse, we refuse.

Ordinary Python; http.pxd types it for the compiler.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import httptools

from greenws.errors import HandshakeError, RequestError

from .grammar import encode_head, has_token, is_host
from .head_limits import DEFAULT_LIMITS
from .head_limits import HeadLimits as HeadLimits
from .head_limits import head_end as head_end

_ABSOLUTE_TARGET = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,19}")  # below 2**64, which is as far as some servers count
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[^\r\n]*)?\r\n")
_REASONS = {status.value: status.phrase for status in HTTPStatus}
# Two of these are an attack, even two of the same (RFC 9112 §3.2, §6.1, §6.3).
_ONCE = frozenset(("host", "content-length", "transfer-encoding"))


class _Head:
    """The headers of a head.

    Attributes:
        version: "1.1" or "1.0".
        headers: in the order and with the names sent; values as latin-1 text without the space around them.
    """

    def __init__(self, version: str, headers: list[tuple[str, str]], values: dict[str, str]) -> None:
        self.version = version
        self.headers = headers
        self._values = values

    def get(self, name: str) -> str | None:
        """The value of a header in any case, or None. Several lines become one: ``a,b`` (RFC 9110 §5.3)."""
        return self._values.get(name.lower())


class RequestHead(_Head):
    """A request's head, all of its rules kept.

    Attributes:
        method: as sent; methods are case-sensitive.
        target: the request target as sent.
        path: the target's path, still percent-encoded; it begins with "/".
        query: what follows "?" in the target, or "".
        content_length: of the body, or None when the request does not say.
        is_chunked: whether the body is sent in chunks.
        asked: what ``check_request`` returns for it, where that is known already, else None.
    """

    def __init__(
        self,
        version: str,
        headers: list[tuple[str, str]],
        values: dict[str, str],
        method: str,
        target: str,
        path: str,
        query: str,
        content_length: int | None,
        is_chunked: bool,
    ) -> None:
        self.version = version
        self.headers = headers
        self._values = values
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.content_length = content_length
        self.is_chunked = is_chunked
        self.asked: Any = None

    def __repr__(self) -> str:
        """Without what may hold a secret: headers hold cookies, a query may hold a token."""
        return f"<RequestHead {self.method} {self.path!r} HTTP/{self.version}>"

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to use the connection again (RFC 9112 §9.3)."""
        connection = self._values.get("connection")
        return not has_token(connection, "close") and (self.version == "1.1" or has_token(connection, "keep-alive"))


class ResponseHead(_Head):
    """A response's head."""

    def __init__(
        self, version: str, headers: list[tuple[str, str]], values: dict[str, str], status: int, reason: str
    ) -> None:
        super().__init__(version, headers, values)
        self.status = status
        self.reason = reason

    def __repr__(self) -> str:
        """Without the headers, which may hold cookies."""
        return f"<ResponseHead HTTP/{self.version} {self.status} {self.reason!r}>"


def parse_request(head: bytes, limits: HeadLimits = DEFAULT_LIMITS) -> RequestHead:
    """Reads a whole request head: the bytes up to ``head_end``.

    Raises:
        RequestError: the head breaks a rule. Any bytes give this or a head, nothing else.
    """
    read = read_request(head, limits)
    if read is None or read[1] != len(head):
        raise RequestError(400, "this is not one whole HTTP request")
    return read[0]


def read_request(data: bytes, limits: HeadLimits = DEFAULT_LIMITS) -> tuple[RequestHead, int] | None:
    """Reads the request head at the beginning of ``data``, as soon as it is whole.

    Returns:
        The head and the position behind it; None while bytes are missing.

    Raises:
        RequestError: no acceptable head can come of these bytes.
    """
    stop = head_end(data, limits)
    if stop < 0:
        return None
    return _read_head(data[:stop]), stop


def _read_head(head: bytes) -> RequestHead:
    if head.startswith(b"HTTP/"):
        raise RequestError(400, "this is an answer, not a request")
    method, target, protocol = head[: head.find(b"\r")].decode("ascii").split(" ")
    version = protocol[5:]
    try:
        headers, values = _read_fields(httptools.HttpRequestParser, head)
    except httptools.HttpParserInvalidMethodError as error:
        raise RequestError(501, "the method is not known") from error  # RFC 9110 §9.1
    except httptools.HttpParserError as error:
        raise RequestError(400, "the request is not valid HTTP/1.1") from error
    host = values.get("host")
    # RFC 9112 §3.2: 400 for no host, two hosts, or what is not a host.
    if version == "1.1" if host is None else not is_host(host):
        raise RequestError(400, "the request needs one valid Host header")
    path, query = _split_target(target, host)
    content_length, is_chunked = _read_framing(values, version)
    return RequestHead(version, headers, values, method, target, path, query, content_length, is_chunked)


class _Fields:
    """What llhttp calls for each header."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.found.append((name.decode("ascii"), value.strip(b" \t").decode("latin-1")))


def _read_fields(
    parser: type[httptools.HttpRequestParser | httptools.HttpResponseParser], head: bytes
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Returns the headers as sent, and their joined values by lower-case name."""
    fields = _Fields()
    try:
        parser(fields).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # it only says that what follows the head is not HTTP
    headers = fields.found
    values = {name.lower(): value for name, value in headers}
    return headers, values if len(values) == len(headers) else _join_lines(headers)


def _join_lines(headers: list[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value)
    if any(len(values.get(name, ())) > 1 for name in _ONCE):
        raise RequestError(400, "a header that may come once comes twice")
    # RFC 9110 §5.3; RFC 6265 §5.4 for cookies.
    return {name: ("; " if name == "cookie" else ",").join(lines) for name, lines in values.items()}


def _split_target(target: str, host: str | None) -> tuple[str, str]:
    """Returns path and query of an origin-form or absolute-form target (RFC 9112 §3.2.1, §3.2.2)."""
    if not target.startswith("/") and (absolute := _ABSOLUTE_TARGET.fullmatch(target)):
        # §3.2.2 would let the authority win over Host. Both go on to the application, so they must agree.
        if host is None or absolute[1].lower() != host.lower():
            raise RequestError(400, "the request's target and its Host differ")
        target = absolute[2] if absolute[2].startswith("/") else "/" + absolute[2]
    # Not the other forms: "host:port" is for proxies, "*" has no path. A fragment is never sent (RFC 9110 §7.1).
    if not target.startswith("/") or "#" in target:
        raise RequestError(400, "the request's target is not a path")
    path, _, query = target.partition("?")
    return path, query


def _read_framing(values: dict[str, str], version: str) -> tuple[int | None, bool]:
    """Returns the body's length, or None, and whether it is chunked (RFC 9112 §6.1 to §6.3)."""
    coding, length = values.get("transfer-encoding"), values.get("content-length")
    if coding is not None:
        # Both at once is how requests are smuggled. In 1.0 there was no chunking, so who sends it is not to be trusted.
        if coding.lower() != "chunked" or length is not None or version == "1.0":
            raise RequestError(400, "the request's body is not framed in a way that is safe to read")
        return None, True
    if length is None:
        return None, False
    if not _LENGTH.fullmatch(length):
        raise RequestError(400, "the Content-Length is not a number")
    return int(length), False


def parse_response(head: bytes, limits: HeadLimits = DEFAULT_LIMITS) -> ResponseHead:
    """Reads a whole response head: the bytes up to ``head_end``.

    Raises:
        HandshakeError: status 0, the head breaks a rule. Any bytes give this or a head, nothing else.
    """
    try:
        if head_end(head, limits) != len(head) or not head.startswith(b"HTTP/"):
            raise RequestError(400, "it is not one whole HTTP response")
        stop = head.find(b"\r")
        # With a status of 101, httptools mistakes missing Upgrade headers for an error. head_end read the line anyway.
        headers, values = _read_fields(httptools.HttpResponseParser, b"HTTP/1.1 200 OK" + head[stop:])
    except (RequestError, httptools.HttpParserError) as error:
        raise HandshakeError(0, f"the server's answer cannot be read: {error}") from error
    line = head[:stop].decode("latin-1")
    return ResponseHead(line[5:8], headers, values, int(line[9:12]), line[13:])


def join_chunks(data: bytes) -> bytes:
    """Returns what the chunks of a body hold (RFC 9112 §7.1), as far as they are there and in order."""
    body, at = b"", 0
    while (line := _CHUNK_SIZE.match(data, at)) and (size := int(line[1], 16)):
        body += data[line.end() : line.end() + size]
        at = line.end() + size + 2
    return body


def response_head(status: int, reason: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Puts a response head together, blank line included.

    Raises:
        ValueError: for a status that is none, and for CR, LF and other control characters, which could begin a header
            of their own.
    """
    if not 100 <= status <= 599:
        raise ValueError(f"{status} is not an HTTP status")
    return encode_head(f"HTTP/1.1 {status} {reason}", headers)


def environ_headers(head: RequestHead) -> dict[str, str]:
    """Returns the headers under their CGI and WSGI names: ``HTTP_X_Y``, ``CONTENT_TYPE``, ``CONTENT_LENGTH``.

    Names with an underscore are left out: they would become the same names as those with a dash, so that a client could
    pass off its ``X_Forwarded_For`` as the one a proxy vouches for.
    """
    environ = {}
    for name, value in head._values.items():
        if "_" not in name:
            environ[environ_key(name)] = value
    return environ


@lru_cache(256)  # most clients send the same names
def environ_key(name: str) -> str:
    """Returns the name that a header has in CGI and WSGI."""
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


def error_response(error: RequestError, date: str | None = None) -> bytes:
    """Returns the whole answer to a request that is refused. The connection is to be closed behind it.

    Args:
        error: says why.
        date: now, which an answer below 500 must say (RFC 9110 §6.6.1).
    """
    body = error.message.encode() + b"\n"
    options = ["close"] + [value for name, value in error.headers if name.lower() == "connection"]
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Connection", ", ".join(options)),
        *((name, value) for name, value in error.headers if name.lower() != "connection"),
        *(() if date is None else (("Date", date),)),
    ]
    return response_head(error.status, _REASONS.get(error.status, ""), headers) + body
