"""Carries a plan out: opens, rests, measures, closes."""

from __future__ import annotations

import time

import gevent

from greenws.bench.crew import Crew
from greenws.bench.crowd import Crowd
from greenws.bench.plan import Plan, check_memory, claim_descriptors, find_target
from greenws.bench.result import Clock, Result, make_result
from greenws.bench.usage import read_usage


def run(plan: Plan) -> Result:
    """Puts the load of a plan on its server. Blocks the calling greenlet for as long as that takes.

    Raises:
        ConfigError: the plan cannot work.
        LoadFailed: no connection could be opened, or for a minute no more although some are missing.
        ProcessLookupError, PermissionError: a process of the server cannot be looked at.
    """
    target = find_target(plan)
    claim_descriptors(plan)
    check_memory(plan)
    load = Crowd(plan, target) if plan.processes == 1 else Crew(plan)
    try:
        return _conduct(plan, load)
    finally:
        load.close()


def _conduct(plan: Plan, load: Crowd | Crew) -> Result:
    """Goes through the phases of a load and looks at the clock, and at the server, between them."""

    def look() -> Clock:
        return Clock(time.monotonic(), load.cpu, read_usage(plan.pids) if plan.pids else None)

    moments = [look()]
    if plan.mode == "handshake":
        load.storm()
        moments += [look()] * 4
    else:
        load.open()
        moments.append(look())
        gevent.sleep(plan.rest)
        moments.append(look())
        load.prepare()
        moments.append(look())
        load.work()
        moments.append(look())
    return make_result(plan, load.tally(), moments)
