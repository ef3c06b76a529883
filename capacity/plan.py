"""What a run does, and what it must come to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run against one server.

    Attributes:
        connections: how many.
        rate: messages a second, of all connections together.
        size: bytes of a message.
        ramp, hold, drain: seconds.
        max_p99_ms: of the echo while all connections are open.
    """

    connections: int = 10_000
    rate: float = 2_000.0
    size: int = 64
    ramp: float = 40.0
    hold: float = 60.0
    drain: float = 10.0
    max_p99_ms: float = 100.0

    @property
    def seconds(self) -> float:
        """How long all of it takes."""
        return self.ramp + self.hold + self.drain

    def options(self) -> list[str]:
        """Returns it as options of the scenario. The p99 is that of one row, so it is not locust that looks at it."""
        values = {
            "--users": self.connections,
            "--interval": self.connections / self.rate,
            "--size": self.size,
            "--ramp": self.ramp,
            "--hold": self.hold,
            "--drain": self.drain,
            "--min-open": self.connections,
            "--max-fail-ratio": 0,
        }
        return [text for name, value in values.items() for text in (name, str(value))]
