"""Where a head ends, and how large it may become: asked while its bytes are still coming in (RFC 9112 §2.2, §3).

What can be refused is refused at once, so that nobody can make the server keep or wait for what it will never serve.
Ordinary Python; head_limits.pxd types it for the compiler.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from greenws.errors import RequestError

from .grammar import TCHAR


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """How large a head may be.

    Attributes:
        line: bytes of the request line, without its line end; more are answered 414.
        headers: header lines; more are answered 431.
        size: bytes of the whole head, with the blank line; more are answered 431.
    """

    line: int = 8192
    headers: int = 100
    size: int = 16384


DEFAULT_LIMITS = HeadLimits()

_TOKEN_BYTES = frozenset(byte for byte in range(128) if re.match(f"[{TCHAR}]", chr(byte)))
# RFC 9112 §3 and §4, 1.0 and 1.1 only. Single spaces: the lenient split of §3 is where two servers come to differ.
_REQUEST_LINE = rf"[{TCHAR}]+ [\x21-\x7e]+ HTTP/1\.[01]"
_STATUS_LINE = r"HTTP/1\.[01] [1-5][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?"
_START_LINE = re.compile(f"{_REQUEST_LINE}|{_STATUS_LINE}".encode("latin-1"))
_OTHER_VERSION = re.compile(rb"[^\r\n]* HTTP/[0-9]\.[0-9]")
_BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?!\n)")


def head_end(data: bytes | bytearray, limits: HeadLimits = DEFAULT_LIMITS) -> int:
    """Finds where the head at the beginning of ``data`` ends. For requests and responses.

    Its verdict does not depend on how the bytes were cut: call it again with all bytes whenever more have come. A call
    takes a microsecond or two.

    Returns:
        The position behind the blank line, or -1 while bytes are missing.

    Raises:
        RequestError: as soon as the bytes show that no acceptable head can come of them: 400 for what is not HTTP and
            for a bare CR or LF (RFC 9112 §2.2), 505 for other versions, 414 and 431 for what is over a limit.
    """
    if not data:
        return -1
    if data[0] not in _TOKEN_BYTES:  # a TLS hello, for one
        raise RequestError(400, "this is not HTTP")
    line_stop = data.find(b"\r", 0, limits.line + 1)
    if line_stop < 0:
        return _wait_for_line(data, limits)
    if not _START_LINE.fullmatch(data, 0, line_stop):
        raise _line_error(data, line_stop)
    found = data.find(b"\r\n\r\n", line_stop, limits.size)
    stop = min(len(data), limits.size) if found < 0 else found + 4
    _check_lines(data, stop, limits, found >= 0)
    if found < 0 and len(data) >= limits.size:
        raise RequestError(431, "the headers are too large", limit="max_head_size")
    return -1 if found < 0 else stop


def _wait_for_line(data: bytes | bytearray, limits: HeadLimits) -> int:
    if data.find(b"\n", 0, limits.line + 1) >= 0:
        raise RequestError(400, "a line ends without CR")
    if len(data) > limits.line:
        raise RequestError(414, "the first line is too long", limit="max_line_size")
    return -1


def _line_error(data: bytes | bytearray, stop: int) -> RequestError:
    if _OTHER_VERSION.fullmatch(data, 0, stop) and data[stop - 3 : stop] not in (b"1.0", b"1.1"):
        return RequestError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    return RequestError(400, "the first line is not valid")


def _check_lines(data: bytes | bytearray, stop: int, limits: HeadLimits, is_whole: bool) -> None:
    lines = data.count(b"\r\n", 0, stop)
    carriage_returns = data.count(b"\r", 0, stop)
    if not is_whole and data.endswith(b"\r", 0, stop):
        carriage_returns -= 1  # its LF may be under way
    if not lines == carriage_returns == data.count(b"\n", 0, stop):
        bare = _BARE_LINE_END.search(data, 0, stop)
        # Whichever rule is broken first decides, or the answer would depend on how the bytes were cut.
        if bare and data.count(b"\r\n", 0, bare.start()) <= limits.headers + 1:
            raise RequestError(400, "a line ends with CR or LF alone")
    if lines > limits.headers + 1 + is_whole:  # the request line, and the blank one
        raise RequestError(431, "there are too many headers", limit="max_headers")
