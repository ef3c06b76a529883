"""What a decoder returns beside whole messages, which are plain ``str`` and ``bytes``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer asks for a pong with the same payload (RFC 6455 §5.5.2)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping, or an unasked sign of life (RFC 6455 §5.5.3)."""

    payload: bytes


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
