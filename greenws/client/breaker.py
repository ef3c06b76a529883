"""A circuit breaker: who would only be refused again does not ask. Decisions about time, without time.

    CLOSED ──so many failures in a row──▶ OPEN ──cooldown──▶ HALF OPEN: one attempt, the probe
      ▲                                    ▲                     │
      └──────────── it succeeds ───────────┼─────────────────────┤
                                           └───── it fails ──────┘

One breaker serves all who connect to one server, so that a thousand clients of a dead server are one attempt every
``cooldown`` seconds (Nygard, "Release It!", 2007). It queues nobody: who gets no leave comes again in a time of their
own, so that its closing does not let a crowd go.
"""

from __future__ import annotations

THRESHOLD = 5  # failures in a row
COOLDOWN = 2.0  # seconds: for a dead server little, and not long to find out that it is back


class Breaker:
    """The state of one server. Every ``may_try`` that is true is followed by one of the other three.

    Args:
        threshold: how many failures in a row open it.
        cooldown: seconds without any attempt, and then from one probe to the next.
    """

    def __init__(self, threshold: int = THRESHOLD, cooldown: float = COOLDOWN) -> None:
        self._threshold = threshold
        self._cooldown = cooldown
        self._failures = 0
        self._until = 0.0  # while it is open
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Whether attempts must wait, but for a probe now and then."""
        return self._failures >= self._threshold

    def may_try(self, now: float) -> bool:
        """Whether there is leave for one attempt."""
        if not self.is_open:
            return True
        if self._is_probing or now < self._until:
            return False
        self._is_probing = True
        return True

    def succeeded(self) -> None:
        """The server answered as one that is well."""
        self._failures = 0
        self._is_probing = False

    def failed(self, now: float) -> None:
        """The attempt failed."""
        self._failures += 1
        self._until = now + self._cooldown
        self._is_probing = False

    def gave_up(self) -> None:
        """The attempt was given up before there was a result."""
        self._is_probing = False
