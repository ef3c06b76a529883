"""How a process of gunicorn ends, and what its peers are told then.

gunicorn sends a worker the same TERM at a reload and at the end of everything, and a worker that is not ours tells
nobody of it. Both can be seen from inside the worker.
"""

from __future__ import annotations

import atexit
import os
import signal
import time
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import gevent

from greenws.net.registry import Registry
from greenws.protocol.codes import CloseCode

LOOK = 0.1  # seconds between two looks at whether the worker has been told to end
ACCEPTS_ON = 1.0  # seconds in which gunicorn's gevent worker may still accept then: it looks once a second
LAST_MOMENT = 1.0  # seconds of gunicorn's graceful timeout that are left for everything but the connections


def find_worker() -> Any:
    """Returns gunicorn's worker that this process is, known by whose method gets TERM; None if it is none."""
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return worker if hasattr(worker, "alive") and hasattr(worker, "cfg") else None


def code_at_end(worker: Any) -> int:
    """Returns what the peers are told when this worker of gunicorn ends.

    1012 when another takes its place, so that it is worth coming back at once: it has served ``max_requests``, or it is
    a reload, in which gunicorn starts all new workers before it ends the first old one. Else 1001. Where there is no
    ``/proc``, a reload cannot be told from the end of everything.
    """
    if worker.nr >= worker.max_requests:
        return CloseCode.SERVICE_RESTART
    try:
        siblings = Path(f"/proc/{worker.ppid}/task/{worker.ppid}/children").read_text().split()
    except OSError:
        return CloseCode.GOING_AWAY
    return CloseCode.SERVICE_RESTART if len(siblings) > worker.cfg.workers else CloseCode.GOING_AWAY


class Lifetime:
    """Closes connections at the end of a process whose server does not do it. There is one for each process.

    Under gunicorn that begins when the worker has been told to end and does not accept any more. Elsewhere, and at the
    latest, it begins when the interpreter ends in good order.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._timeouts: WeakKeyDictionary[Registry, float] = WeakKeyDictionary()
        self._worker: Any = None
        self._timer: Any = None
        self._told = 0.0

    def watch(self, registry: Registry, timeout: float) -> None:
        """Closes the registry's connections at the end, within ``timeout`` seconds."""
        self._timeouts[registry] = timeout
        if self._pid == os.getpid():
            return
        if not self._pid:
            atexit.register(self._at_exit)
        self._pid = os.getpid()  # a fork of this process has no part in its connections
        self._worker = find_worker()
        if self._worker is not None:
            self._timer = gevent.get_hub().loop.timer(LOOK, LOOK, ref=False)
            self._timer.start(self._look)

    def _look(self) -> None:
        if self._worker.alive:
            return
        self._told = self._told or time.monotonic()
        if time.monotonic() - self._told >= ACCEPTS_ON:
            self._timer.stop()
            self._timer.close()
            gevent.spawn(self._drain)

    def _drain(self) -> None:
        code: int = CloseCode.GOING_AWAY
        most = float("inf")
        if self._worker is not None:
            code = code_at_end(self._worker)
            told = self._told or time.monotonic()
            most = told + self._worker.cfg.graceful_timeout - LAST_MOMENT - time.monotonic()
        gevent.joinall(
            [
                gevent.spawn(registry.drain, max(0.0, min(timeout, most)), code)
                for registry, timeout in self._timeouts.items()
            ]
        )

    def _at_exit(self) -> None:
        if self._pid == os.getpid():
            self._drain()


LIFETIME = Lifetime()
