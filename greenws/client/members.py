"""What a pool's decisions are made of: its rules, endpoints, members and waiters, and the orders that come out."""

from __future__ import annotations

import dataclasses
from enum import Enum, auto
from types import CodeType
from typing import Any

from greenws.errors import ConfigError


class Phase(Enum):
    """Where in its life a member is."""

    OPENING = auto()
    IDLE = auto()
    LEASED = auto()
    CLOSED = auto()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings of a pool: see ``greenws.client.pool.ConnectionPool``."""

    min_idle: int = 0
    max_size: int = 100
    max_opening: int = 50
    max_idle_time: float | None = 300.0
    max_age: float | None = 3600.0
    check_after: float | None = 10.0
    max_lease_time: float | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, is_time = getattr(self, field.name), "float" in str(field.type)
            if value is None and is_time:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float) if is_time else int):
                raise ConfigError(f"{field.name} must be a number{' or None' if is_time else ''}, not {value!r}")
            if value < 0 or value == 0 and field.name not in ("min_idle", "check_after"):
                raise ConfigError(f"{field.name} must be more than 0, not {value!r}")
        if self.min_idle > self.max_size:
            raise ConfigError(f"min_idle is {self.min_idle}, but max_size allows {self.max_size} connections")


@dataclasses.dataclass(eq=False, slots=True)
class Endpoint:
    """One of the places a pool connects to, and how it has done."""

    url: str
    idle: dict[Member, None] = dataclasses.field(default_factory=dict, repr=False)  # the one used last is the last
    opening: int = 0
    leased: int = 0
    failures: int = 0  # in a row
    blamed: int = 0  # only a member with a higher number says anything new
    retry_at: float = 0.0
    refuses: bool = False  # the last attempt failed in a way that another one would, too
    turn: int = 0  # when it last lent a member, counted in leases

    @property
    def size(self) -> int:
        """How many members it has."""
        return self.opening + self.leased + len(self.idle)


@dataclasses.dataclass(eq=False, slots=True)
class Member:
    """One connection of a pool, or the attempt to open one.

    Attributes:
        since: when its present phase began.
        expires_at: when it is too old to be leased again.
        is_stale: it was idle for so long that it is to be checked before it is used. Set when it is leased.
        is_proven: somebody has used it and returned it in good order.
        conn: what the pool has opened.
        leased_at: which line of which function has leased it last.
    """

    number: int
    endpoint: Endpoint
    since: float
    opened_at: float = 0.0
    expires_at: float = float("inf")
    phase: Phase = Phase.OPENING
    is_stale: bool = False
    is_proven: bool = False
    conn: Any = None
    leased_at: tuple[CodeType, int] | None = None

    @property
    def user(self) -> str:
        """Who has leased it, for people."""
        if self.leased_at is None:
            return "a greenlet"
        code, line = self.leased_at
        return f"{code.co_qualname} ({code.co_filename}:{line})"


@dataclasses.dataclass(eq=False, slots=True)
class Waiter:
    """Who wants a member. ``member`` is what they got; ``wake`` is for the pool."""

    member: Member | None = None
    wake: Any = None


@dataclasses.dataclass(slots=True)
class Orders:
    """What the pool is to do now. A woken waiter has its member, or none because the pool has been closed.

    ``leaked`` are members whose lease has lasted too long. They are closed, too.
    """

    open: list[Member] = dataclasses.field(default_factory=list)
    close: list[Member] = dataclasses.field(default_factory=list)
    wake: list[Waiter] = dataclasses.field(default_factory=list)
    leaked: list[Member] = dataclasses.field(default_factory=list)
