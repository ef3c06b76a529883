"""What GreenWS is to reach, as ratios to a peer in the same run, or as plain figures."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.results import Results


@dataclass(frozen=True)
class Target:
    """At most ``most``: of a figure, or of what it is beside a peer's in the same round.

    Attributes:
        peer: whose figure ours is divided by, or, if it ``is_difference``, taken from it.
        scale: what a plain figure is divided by before it is compared: 1024 for KB.
    """

    what: str
    work: str
    server: str
    figure: str
    most: float
    peer: str | None = None
    is_difference: bool = False
    scale: float = 1.0

    def reached(self, results: Results) -> list[float]:
        """Returns what was reached in each round."""
        if self.peer is None:
            return [value / self.scale for value in results.numbers(self.work, self.server, self.figure)]
        pairs = results.pairs(self.work, self.server, self.peer, self.figure)
        return [ours - theirs if self.is_difference else ours / theirs for ours, theirs in pairs]


USER = "handshake-user"

TARGETS = (
    Target("echo of 64 bytes, event style", "echo-100", "greenws-event", "cpu", 0.85, "picows"),
    Target("echo of 64 bytes, event style", "echo-100", "greenws-event", "cpu", 0.7, "gin"),
    Target("echo of 64 bytes, blocking style", "echo-100", "greenws-blocking", "cpu", 0.9, "picows"),
    Target("echo of 64 bytes, blocking style", "echo-100", "greenws-blocking", "cpu", 0.75, "gin"),
    Target("16 pipelined", "pipelined", "greenws-event", "cpu", 0.2, "gin"),
    Target("64 KB, binary", "binary", "greenws-event", "cpu", 0.7, "picows"),
    Target("64 KB, binary", "binary", "greenws-event", "cpu", 0.25, "gin"),
    Target("fan-out to 10,000", "fanout-10000", "greenws-lean", "cpu", 1.0, "picows"),
    Target("fan-out to 10,000", "fanout-10000", "greenws-lean", "cpu", 0.7, "gin"),
    Target("handshake, lean", "handshake", "greenws-lean", "opening", 0.9, "gin"),
    Target("handshake through Flask, session read", USER, "greenws-flask", "opening", 2.5, "gin"),
    Target("handshake through Flask, session read", USER, "greenws-flask", "opening", 0.25, "flask-sock-user"),
    Target("handshake through Flask, session written", USER, "greenws-visits", "opening", 2.5, "gin"),
    Target("handshake through Flask, session written", USER, "greenws-visits", "opening", 0.25, "flask-sock-visits"),
    Target("µs for an app context", "echo-100", "greenws-event", "cpu", 1.0, "greenws-bare", is_difference=True),
    Target("KB for each idle connection, event style", "idle", "greenws-event", "pss", 1.0, scale=1024),
    Target("KB for each idle connection, blocking style", "idle", "greenws-blocking", "pss", 8.0, scale=1024),
    Target("the same, deflate negotiated", "idle-deflate", "greenws-deflate", "pss", 1.3, scale=1024),
    Target("the same, stock gunicorn, event style", "idle", "greenws-gunicorn", "pss", 1.5, scale=1024),
    Target("% of a core, 10,000 idle, pings every 25 s", "pings", "greenws-pings", "core", 1.0, scale=0.01),
    Target("10,000 connections opened, lean", "storm", "greenws-lean", "seconds", 0.9, "gin"),
)
