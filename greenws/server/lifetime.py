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
from gevent.baseserver import BaseServer

from greenws.net.registry import Registry
from greenws.protocol.codes import CloseCode

LOOK = 0.05  # seconds between two looks at whether the worker has been told to end
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


def find_servers(worker: Any) -> list[Any]:
    """Returns the servers that accept for gunicorn's gevent worker; none when they cannot be known for certain.

    They are in a variable of the worker's ``run`` and nowhere else. That waits in the main greenlet, the hub's parent,
    so the variable can be read there. Not from the main greenlet itself.
    """
    frame = gevent.get_hub().parent.gr_frame
    while frame is not None and not (frame.f_code.co_name == "run" and frame.f_locals.get("self") is worker):
        frame = frame.f_back
    servers = [] if frame is None else frame.f_locals.get("servers")
    if not isinstance(servers, list) or not all(isinstance(server, BaseServer) for server in servers):
        return []
    theirs = {server.socket.fileno() for server in servers if not server.closed}
    return list(servers) if theirs <= {sock.fileno() for sock in worker.sockets} else []


class Lifetime:
    """Closes connections at the end of a process whose server does not do it. There is one for each process.

    Under gunicorn that begins when the worker has been told to end. Its servers are closed first, as it would do itself
    up to a second later; where they are not to be found, it begins when that second is over. Elsewhere, and at the
    latest, it begins when the interpreter ends in good order.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._timeouts: WeakKeyDictionary[Registry, float] = WeakKeyDictionary()
        self._worker: Any = None
        self._timer: Any = None
        self._told = 0.0
        self._has_closed = False

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
        if not self._told:
            self._told = time.monotonic()
            self._has_closed = _close(find_servers(self._worker))
        if self._has_closed or time.monotonic() - self._told >= ACCEPTS_ON:
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


def _close(servers: list[Any]) -> bool:
    """Lets them accept no more; what they serve goes on. Returns whether there are any. May be done again."""
    for server in servers:
        server.close()
    return bool(servers)


LIFETIME = Lifetime()
