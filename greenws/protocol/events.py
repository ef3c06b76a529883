"""What a decoder returns beside whole messages, which are plain ``str`` and ``bytes``.

Ordinary Python; events.pxd types it for the compiler.
"""

from __future__ import annotations

from dataclasses import dataclass


class ControlFrame:
    """A ping or a pong. Not to be changed."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.payload == other.payload

    def __hash__(self) -> int:
        return hash(self.payload)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(payload={self.payload!r})"


class Ping(ControlFrame):
    """The peer asks for a pong with the same payload (RFC 6455 §5.5.2)."""


class Pong(ControlFrame):
    """The answer to a ping, or an unasked sign of life (RFC 6455 §5.5.3)."""


@dataclass(frozen=True, slots=True)
class Close:
    """The peer's Close frame (RFC 6455 §5.5.1). The code is 1005 when the frame had none."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a message that is larger than what is held in memory. All parts of one message follow each other."""

    data: str | bytes
    is_last: bool

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True, slots=True)
class Pause:
    """There is more to come of what has been fed, but inflating it would take long: ask again in another turn."""
