"""Whether a worker may be sent traffic: what it needs is warmed up before it accepts its first connection."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent.lock import Semaphore

log = logging.getLogger("greenws.server")

SPREAD = 1.0  # seconds over which the workers of one server begin: their upstream is not to meet all of them at once
FIRST_DELAY, MAX_DELAY = 1.0, 30.0  # seconds before what is required is tried again, at most


class Readiness:
    """What one application warms up, and whether it has.

    Args:
        targets: pools, or whatever else has a ``warm_up()``, whose result may have ``is_complete``; or functions
            without arguments, which raise if they fail.
        is_required: what fails is tried again until it succeeds; else the worker starts without it.

    Attributes:
        is_warm: whether it is done.
    """

    def __init__(self, targets: Iterable[Any] | None, *, is_required: bool = False) -> None:
        self._targets = () if targets is None else tuple(targets)
        self._is_required = is_required
        self._failures = 0
        self._running: gevent.Greenlet | None = None
        self._turn = Semaphore()  # of several servers, the first does it, or, if that is stopped, the next
        self.is_warm = targets is None

    def begin(self) -> None:
        """Begins to warm up, if nobody has. Does not block. For servers that accept before they ask whether to."""
        if not self.is_warm and self._running is None:
            self._running = gevent.spawn(self.warm_up)

    def warm_up(self, spread: float = 0.0) -> None:
        """Warms everything up, side by side. Blocks the calling greenlet until that is done, by it or by another.

        Args:
            spread: it begins at any time within so many seconds.
        """
        with self._turn:
            if not self.is_warm:
                self._warm_up(spread)

    def _warm_up(self, spread: float) -> None:
        gevent.sleep(random.uniform(0, spread))
        left = list(self._targets)
        while left := self._try_all(left):
            if not self._is_required:
                log.error("This worker starts though it could not warm up %s", ", ".join(map(_name, left)))
                break
            self._failures += 1
            delay = random.uniform(0.5, 1) * min(MAX_DELAY, FIRST_DELAY * 2 ** (self._failures - 1))
            log.error("This worker is not ready: trying %s again in %.1f s", ", ".join(map(_name, left)), delay)
            gevent.sleep(delay)
        self.is_warm = True

    def _try_all(self, targets: list[Any]) -> list[Any]:
        """Returns those that failed."""
        running = [gevent.spawn(_try, target) for target in targets]
        try:
            gevent.joinall(running)
        finally:
            gevent.killall(running, block=False)
        return [target for target, greenlet in zip(targets, running, strict=True) if greenlet.value is not True]


def _try(target: Any) -> bool:
    warm_up: Callable[[], Any] = getattr(target, "warm_up", target)
    try:
        report = warm_up()
    except Exception:
        log.exception("Warming up %s failed", _name(target))
        return False
    if getattr(report, "is_complete", True):
        log.info("%s is warm%s", _name(target), "" if report is None else f": {report}")
        return True
    log.error("Warming up %s failed: %s", _name(target), report)
    return False


def _name(target: Any) -> str:
    return getattr(target, "__qualname__", None) or repr(target)
