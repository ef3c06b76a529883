"""The figures of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from greenws.bench.histogram import Histogram
from greenws.bench.plan import Plan
from greenws.bench.tally import Tally
from greenws.bench.usage import Usage


@dataclass(frozen=True, slots=True)
class Times:
    """Percentiles, in microseconds; None when nothing was timed."""

    p50: float | None
    p99: float | None
    p999: float | None
    largest: float | None

    @classmethod
    def of(cls, times: Histogram) -> Self:
        """Reads them from a histogram."""
        shares = (times.percentile(share) for share in (0.5, 0.99, 0.999, 1.0))
        return cls(*(None if value is None else round(value / 1000, 1) for value in shares))


@dataclass(frozen=True, slots=True)
class Cost:
    """What the server used for a number of messages or handshakes.

    Attributes:
        user_us, system_us: CPU time for each, in microseconds: its own code, and the kernel on its behalf. None when
            there was none to divide by.
        core: its share of one core.
    """

    user_us: float | None
    system_us: float | None
    core: float

    @classmethod
    def between(cls, before: Usage, after: Usage, count: int, seconds: float) -> Self:
        """Divides what was used between two moments by what was done."""
        user, system = after.user - before.user, after.system - before.system
        core = round((user + system) / seconds, 4) if seconds else 0.0
        if not count:
            return cls(None, None, core)
        return cls(round(user * 1e6 / count, 3), round(system * 1e6 / count, 3), core)

    @property
    def us(self) -> float | None:
        """User and system together."""
        return None if self.user_us is None or self.system_us is None else self.user_us + self.system_us


@dataclass(frozen=True, slots=True)
class Memory:
    """What the connections hold, in bytes for each; of the server's process, and of the kernel for both ends."""

    pss: float
    kernel: float

    @classmethod
    def between(cls, before: Usage, after: Usage, connections: int) -> Self:
        """Divides what was added between two moments by the number of connections."""
        return cls((after.pss - before.pss) / connections, (after.kernel - before.kernel) / connections)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run came to.

    Attributes:
        plan: what was asked for.
        opened, failed, lost: connections that were opened, that could not be, that ended too early.
        refusal: why the last one failed.
        wrong: messages that were not what was sent, or did not come.
        opening_seconds: for all connections.
        openings: from connecting to the 101.
        seconds, messages: how long was measured, and how many messages came back.
        answers: of a message, or of ``depth`` messages that left in one write.
        pings: of the server's, each of which was answered.
        client_core: the share of its core that the load took, of several processes the mean. Near 1 it was the limit,
            not the server.
        opening_cost, cost: of the server, for each connection opened and for each message.
        memory: of the server, for each connection.
    """

    plan: Plan
    opened: int
    failed: int
    lost: int
    refusal: str
    wrong: int
    opening_seconds: float
    openings: Times
    seconds: float
    messages: int
    answers: Times
    pings: int
    client_core: float
    opening_cost: Cost | None
    cost: Cost | None
    memory: Memory | None

    @property
    def is_good(self) -> bool:
        """Whether every connection was opened and stayed, and every message came back as it was sent."""
        return not (self.failed or self.lost or self.wrong)

    @property
    def opened_per_second(self) -> float:
        """Connections opened in a second."""
        return self.opened / self.opening_seconds

    @property
    def messages_per_second(self) -> float:
        """Messages that came back in a second."""
        return self.messages / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for JSON."""
        rates = {"opened_per_second": self.opened_per_second, "messages_per_second": self.messages_per_second}
        return {**asdict(self), **rates, "is_good": self.is_good}


@dataclass(slots=True)
class Clock:
    """The moments of a run: seconds, our own CPU time, and what the server had used."""

    at: float
    own: float
    usage: Usage | None


def make_result(plan: Plan, tally: Tally, moments: list[Clock]) -> Result:
    """Puts the figures together.

    Args:
        plan: what was asked for.
        tally: what was counted.
        moments: before opening, after it, after the rest, before the work, and after it.
    """
    begun, opened, rested, started, ended = moments
    opening_seconds, seconds = opened.at - begun.at, ended.at - started.at
    costs: list[Cost | None] = [None, None]
    memory = None
    if begun.usage and opened.usage and rested.usage and started.usage and ended.usage:
        costs[0] = Cost.between(begun.usage, opened.usage, tally.opened, opening_seconds)
        costs[1] = Cost.between(started.usage, ended.usage, tally.messages, seconds)
        memory = Memory.between(begun.usage, rested.usage, tally.opened)
    first, last = (begun, opened) if plan.mode == "handshake" else (started, ended)
    return Result(
        plan=plan,
        opened=tally.opened,
        failed=tally.failed,
        lost=tally.lost,
        refusal=tally.refusal,
        wrong=tally.wrong,
        opening_seconds=opening_seconds,
        openings=Times.of(tally.openings),
        seconds=seconds,
        messages=tally.messages,
        answers=Times.of(tally.answers),
        pings=tally.pings,
        client_core=round((last.own - first.own) / (last.at - first.at), 4),
        opening_cost=costs[0],
        cost=costs[1],
        memory=None if plan.mode == "handshake" else memory,
    )
