"""Load shapes made of stages: ramp, hold, burst, drain.

.. code-block:: python

    class Evening(Stages):
        def stages(self):
            return [ramp(10_000, 20), hold(60), burst(2_000, 5), drain(20)]
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from locust import LoadTestShape

PATIENCE = 3
TICK = 1.0  # seconds between two looks of locust at its shape


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of a run. Made by ``ramp``, ``hold``, ``burst`` and ``drain``.

    Attributes:
        seconds: how long it takes.
        users: how many there are at its end; None leaves them as they are.
        extra: how many there are beside those, as long as it lasts.
        at_once: the users come, or go, all at its beginning.
    """

    seconds: float
    users: int | None = None
    extra: int = 0
    at_once: bool = False


def ramp(users: int, seconds: float) -> Stage:
    """Goes to ``users`` evenly, up or down."""
    return Stage(seconds, users)


def hold(seconds: float) -> Stage:
    """Keeps the users there are."""
    return Stage(seconds)


def burst(users: int, seconds: float) -> Stage:
    """Adds ``users`` at once, keeps them for ``seconds``, and takes them away again at once."""
    return Stage(seconds, None, users, at_once=True)


def drain(seconds: float) -> Stage:
    """Goes to no users evenly."""
    return Stage(seconds, 0)


class Step(NamedTuple):
    """What locust is to aim at for some seconds: so many users, so many a second more or fewer.

    Attributes:
        seconds: how long it takes.
        users: how many there are to be.
        rate: how many come or go in a second.
        change: by how many there are to be more, or fewer.
    """

    seconds: float
    users: int
    rate: float
    change: int

    def is_done(self, present: int) -> bool:
        """Whether all that were to come are there, or all that were to go are gone."""
        return present >= self.users if self.change > 0 else present <= self.users or not self.change


def plan(stages: Iterable[Stage]) -> list[Step]:
    """Turns stages into steps, one after the other.

    Raises:
        ValueError: a stage takes no time.
    """
    steps: list[Step] = []
    base, present = 0, 0
    for stage in stages:
        if stage.seconds <= 0:
            raise ValueError(f"a stage takes some time, not {stage.seconds} seconds")
        base = base if stage.users is None else stage.users
        goal = base + stage.extra
        is_evenly = stage.users is not None and not stage.at_once and goal != present
        rate = abs(goal - present) / stage.seconds if is_evenly else max(abs(goal - present), 1)
        if goal == present and steps:
            rate = steps[-1].rate  # nothing that locust has to do anew, which with ten thousand users takes seconds
        steps.append(Step(stage.seconds, goal, rate, goal - present))
        present = goal
    return steps


class Stages(LoadTestShape):
    """A load shape that goes through stages, and then ends the test. Override ``stages``.

    Where users come or go more slowly than they should, the next stage waits for them, but no longer than ``PATIENCE``
    times as long as the stage should have taken.

    locust takes the only shape it finds in a locustfile that is not abstract.
    """

    abstract = True
    use_common_options = True
    _steps: deque[Step] | None = None
    _since = 0.0  # when the first of them began, as ``get_run_time`` counts

    def stages(self) -> Sequence[Stage]:
        """Returns the stages. Called once, when the test starts; ``self.runner`` is there, and so are the options."""
        raise NotImplementedError

    def reset_time(self) -> None:
        """For locust: a test starts."""
        super().reset_time()
        self._steps = None

    def tick(self) -> tuple[int, float] | None:
        """For locust, once a second: returns the users to aim at and the rate to get there, or None at the end."""
        if self._steps is None:
            self._steps, self._since = deque(plan(self.stages())), 0.0
        while self._steps:
            step, passed = self._steps[0], self.get_run_time() - self._since
            is_late = passed < PATIENCE * step.seconds and not step.is_done(self.get_current_user_count())
            if passed < step.seconds or is_late:
                return step.users, step.rate
            self._steps.popleft()
            self._since += passed if passed > step.seconds + TICK else step.seconds
        return None
