"""Measures an application and answers for it, alone or as one of several workers."""

from __future__ import annotations

import atexit
import logging
import os
from typing import Any

import gevent

from greenws.observe.figures import Figures
from greenws.observe.host import read_host, read_process
from greenws.observe.process import Process
from greenws.observe.share import Share

log = logging.getLogger("greenws.observe")

PUBLISH = 1.0  # seconds between two publications of a worker: how old what another worker says of it may be


class Observer:
    """From ``begin`` to ``end``. Both do not block, and are for the thread of the application's hub.

    Args:
        process: reads the figures.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._share: Share | None = None
        self._publisher: Any = None
        self._pid = 0

    def begin(self, arbiter: int | None, key: str, base: str | None = None) -> None:
        """Begins to measure.

        Args:
            arbiter: the parent of all workers, of which this is one; None when there are no others.
            key, base: as for ``Share``.
        """
        self._pid = os.getpid()
        self._process.pulse.begin()
        if arbiter is not None:
            try:
                self._share = Share(arbiter, key, base)
            except OSError as error:
                log.error("metrics are of this worker only: %s", error)
                return
            self._publisher = gevent.spawn(self._publish)
            atexit.register(self.end)

    def _publish(self) -> None:
        while self._share is not None:
            self._share.publish(self._process.read())
            gevent.sleep(PUBLISH)

    def read(self) -> Figures:
        """Returns the figures of all workers, of their processes, and of the machine. Lets other greenlets run."""
        figures = self._process.read()
        living = [os.getpid()]
        if self._share is not None:
            self._share.publish(figures)
            figures, living = self._share.total()
        for pid in living:
            read_process(figures, pid)
        read_host(figures)
        return figures

    def end(self) -> None:
        """Ends. What a worker has counted stays with the others."""
        if self._pid != os.getpid():
            return  # a fork of the process
        self._pid = 0
        self._process.pulse.end()
        atexit.unregister(self.end)
        if self._publisher is not None:
            self._publisher.kill(block=False)
        share, self._share = self._share, None
        if share is not None:
            share.leave(self._process.read())
