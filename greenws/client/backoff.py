"""How long to wait before connecting again, and whether to try at all: decisions about time, without time.

The limit grows exponentially, and the delay is anything up to it ("full jitter"), so that a thousand clients that lost
one server do not come back in one burst (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Iterable
from email.utils import parsedate_to_datetime

from greenws.errors import ConnectError, HandshakeError
from greenws.protocol.codes import CloseCode

FIRST_DELAY = 5.0  # seconds at most before the first further attempt: RFC 6455 §7.2.3
MAX_DELAY = 60.0
MAX_RETRY_AFTER = 600.0  # a server that says more is asked again all the same
RESTART_DELAY = (5.0, 30.0)  # what IANA's registry of close codes says of 1012
# Answers that may be others in a while (RFC 9110 §15.5.9, RFC 6585 §4, RFC 9110 §15.6). All others stay what they are.
_TEMPORARY = frozenset((0, 408, 425, 429, 500, 502, 503, 504))


class Backoff:
    """The delays of one client.

    Args:
        first: the most seconds behind the first failure; the most doubles with each further one.
        most: what it never exceeds.
        random: returns a number from 0 to 1.
    """

    def __init__(
        self, first: float = FIRST_DELAY, most: float = MAX_DELAY, random: Callable[[], float] = random.random
    ) -> None:
        self._first = first
        self._most = most
        self._random = random
        self.failures = 0

    def reset(self) -> None:
        """A connection has lasted: what was before does not count."""
        self.failures = 0

    def next_delay(self) -> float:
        """Returns how many seconds to wait after one more failure."""
        limit = min(self._most, self._first * 2.0 ** min(self.failures, 60))
        self.failures += 1
        return self._random() * limit

    def jitter(self) -> float:
        """Returns anything up to the first delay."""
        return self._random() * self._first

    def delay_after_close(self, code: int) -> float:
        """Returns how many seconds to wait after a connection that ended with this code.

        After 1012, a restart, 5 to 30 seconds. After 1013, try again later, never less than the first delay.
        """
        delay = self.next_delay()
        if code == CloseCode.SERVICE_RESTART:
            low, high = RESTART_DELAY
            return low + self._random() * (high - low)
        return self._first + delay if code == CloseCode.TRY_AGAIN_LATER else delay

    def delay_after_refusal(self, headers: Iterable[tuple[str, str]], now: datetime.datetime) -> float:
        """Returns how many seconds to wait after an HTTP answer: what its Retry-After says, and the delay on top."""
        return self.next_delay() + retry_after(headers, now)


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


def is_temporary(error: Exception) -> bool:
    """Whether a later attempt may fare better than this one."""
    if isinstance(error, HandshakeError):
        return error.status in _TEMPORARY
    return not (isinstance(error, ConnectError) and error.is_final)
