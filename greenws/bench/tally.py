"""What a load has counted, as a value that can be added to another and sent to another process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from greenws.bench.histogram import Histogram

if TYPE_CHECKING:
    from greenws.bench.load import Load

COUNTS = ("opened", "failed", "lost", "wrong", "messages", "pings")


@dataclass(slots=True, kw_only=True)
class Tally:
    """The counts of a load. They are described at ``Result``, except for the times, which are whole histograms."""

    opened: int = 0
    failed: int = 0
    lost: int = 0
    wrong: int = 0
    messages: int = 0
    pings: int = 0
    refusal: str = ""
    openings: Histogram = field(default_factory=Histogram)
    answers: Histogram = field(default_factory=Histogram)

    @classmethod
    def of(cls, load: Load) -> Self:
        """Takes them from a load."""
        return cls(
            opened=load.open_count,
            failed=load.failed,
            lost=load.lost,
            wrong=load.wrong,
            messages=load.messages,
            pings=load.pings,
            refusal=load.refusal,
            openings=load.openings,
            answers=load.answers,
        )

    def dump(self) -> dict[str, Any]:
        """Returns everything as JSON has it, for ``total``."""
        times = {"openings": self.openings.dump(), "answers": self.answers.dump()}
        return {**{name: getattr(self, name) for name in COUNTS}, **times, "refusal": self.refusal}

    @classmethod
    def total(cls, dumped: Iterable[dict[str, Any]]) -> Self:
        """Adds up what several processes have dumped."""
        total = cls()
        for part in dumped:
            for name in COUNTS:
                setattr(total, name, getattr(total, name) + part[name])
            total.openings.merge(part["openings"])
            total.answers.merge(part["answers"])
            total.refusal = part["refusal"] or total.refusal
        return total
