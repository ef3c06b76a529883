"""How long to wait before connecting again: decisions about time, without time.

A loss is answered by a random delay, anything up to a limit ("full jitter": Brooker, "Exponential Backoff And Jitter",
AWS Architecture Blog, 2015), so a thousand clients that lost one server do not come back in one burst. A failure is
answered by as long again as has been waited since the loss. That doubles the time from attempt to attempt, and keeps
the distances between clients, so there is no burst later either: see ``docs/decisions/a-client-keeps-its-place.md``.
"""

from __future__ import annotations

import datetime
import random
import socket
from collections.abc import Callable, Iterable
from email.utils import parsedate_to_datetime

from greenws.errors import ConnectError, HandshakeError
from greenws.protocol.codes import CloseCode

# Seconds, at most, before the first further attempt. RFC 6455 §7.2.3 names 0 to 5 as reasonable. By 8, ten thousand
# clients are 1,250 attempts a second, which is what one core has been seen to accept.
FIRST_DELAY = 8.0
MAX_DELAY = 60.0
MAX_RETRY_AFTER = 600.0  # a server that says more is asked again all the same
# IANA's registry of close codes says 5 to 30 seconds of 1012. We take so much of that as brings all back within 20.
RESTART_DELAY = (5.0, 18.0)
# Answers that may be others in a while (RFC 9110 §15.5.9, RFC 6585 §4, RFC 9110 §15.6). All others stay what they are.
_TEMPORARY = frozenset((0, 408, 425, 429, 500, 502, 503, 504))


class Backoff:
    """The delays of one client.

    Args:
        first: the most seconds behind the first loss or failure.
        most: what no delay exceeds.
        random: returns a number from 0 to 1.
    """

    def __init__(
        self, first: float = FIRST_DELAY, most: float = MAX_DELAY, random: Callable[[], float] = random.random
    ) -> None:
        self._first = first
        self._most = most
        self._random = random
        self._waited = 0.0

    def reset(self) -> None:
        """A connection has lasted: what was before does not count."""
        self._waited = 0.0

    def delay_after_failure(self) -> float:
        """Returns how many seconds to wait after an attempt that failed, or that was not made.

        It is as long again as has been waited so far. The first of all is a random one.
        """
        return self._count(self._limit()) if self._waited else self._draw()

    def delay_after_close(self, code: int) -> float:
        """Returns how many seconds to wait after a connection that ended with this code: a random time.

        After 1012, a restart, 5 to 18 seconds. After 1013, try again later, never less than the first delay.
        """
        if code == CloseCode.SERVICE_RESTART:
            low, high = RESTART_DELAY
            return self._count(low + self._random() * (high - low))
        return self._draw() + (self._first if code == CloseCode.TRY_AGAIN_LATER else 0.0)

    def _limit(self) -> float:
        return min(self._most, max(self._first, self._waited))

    def _draw(self) -> float:
        return self._count(self._random() * self._limit())

    def _count(self, delay: float) -> float:
        self._waited += delay
        return delay

    def delay_after_refusal(self, headers: Iterable[tuple[str, str]], now: datetime.datetime) -> float:
        """Returns how many seconds to wait after an HTTP answer: what its Retry-After says, and the delay on top."""
        return self.delay_after_failure() + retry_after(headers, now)


def retry_after(headers: Iterable[tuple[str, str]], now: datetime.datetime) -> float:
    """Returns the seconds of a Retry-After header (RFC 9110 §10.2.3), at most MAX_RETRY_AFTER; 0 without one."""
    value = next((value for name, value in headers if name.lower() == "retry-after"), "")
    if value.isascii() and value.isdecimal():
        return min(float(value), MAX_RETRY_AFTER)
    try:
        seconds = (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no date, or one without a time zone
        return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def is_hopeless(error: BaseException) -> bool:
    """Whether an attempt of a warm-up, which has little time, need not be made again.

    A name that does not exist may come to exist: who reconnects tries on. A warm-up says so instead.
    """
    if isinstance(error, HandshakeError | ConnectError) and not is_temporary(error):
        return True
    cause = error.__cause__
    return isinstance(cause, socket.gaierror) and cause.errno in (socket.EAI_NONAME, socket.EAI_NODATA)


def is_temporary(error: Exception) -> bool:
    """Whether a later attempt may fare better than this one."""
    if isinstance(error, HandshakeError):
        return error.status in _TEMPORARY
    return not (isinstance(error, ConnectError) and error.is_final)
