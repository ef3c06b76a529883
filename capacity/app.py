"""The server under test: the demo, and a greenlet in each worker that notes what only the process itself can know."""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import gevent
from flask import Flask

from greenws.demo.app import create_app as create_demo

FOLDER = "GREENWS_CAPACITY_FOLDER"  # in the environment: where each worker writes
STEP = 1.0  # seconds


def create_app() -> Flask:
    """Makes the demo, in a worker."""
    gevent.spawn(_note, Path(os.environ[FOLDER]) / f"{os.getpid()}.jsonl")
    return create_demo()


def _note(file: Path) -> None:
    """Writes a line each second: pauses of the garbage collector, and how late the hub was to wake us."""
    pauses: list[float] = []
    gc.callbacks.append(_timed(pauses))
    with file.open("w", buffering=1) as lines:
        while True:
            due = time.monotonic() + STEP
            gevent.sleep(STEP)
            now = {
                "at": time.time(),
                "hub_lag": max(0.0, time.monotonic() - due),
                "gc_count": len(pauses),
                "gc_total": sum(pauses),
                "gc_longest": max(pauses, default=0.0),
            }
            pauses.clear()
            lines.write(json.dumps(now) + "\n")


def _timed(pauses: list[float]) -> Callable[[str, dict[str, int]], None]:
    began = 0.0

    def note(phase: str, _: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        else:
            pauses.append(time.perf_counter() - began)

    return note
