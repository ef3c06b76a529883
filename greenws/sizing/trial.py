"""A short trial: an application in a process of its own, loaded for a few seconds, and what that costs."""

from __future__ import annotations

import resource
from dataclasses import replace

import gevent

from greenws.bench.plan import Plan
from greenws.bench.result import Result
from greenws.bench.run import run
from greenws.bench.usage import read_usage
from greenws.errors import LoadFailed
from greenws.net.registry import RESERVE
from greenws.sizing.demand import KERNEL, Costs
from greenws.sizing.serve import serve

FIRST = 20  # connections before anything is measured: what is loaded and made once is made by them
REST = 1.0  # seconds after opening
PINGS = 1000  # that are sent in a second; few enough that the processor sleeps between them, as it will
SECONDS = 4.0  # of pings
PING_SIZE = 4  # bytes; what is in a ping makes no difference
MOST = 8  # times what a socket takes of the kernel elsewhere; beyond, somebody else's work was measured


def measure(
    application: str,
    path: str,
    *,
    trial: int = 1000,
    headers: tuple[tuple[str, str], ...] = (),
    chdir: str | None = None,
) -> Costs:
    """Starts an application, connects to it, pings it, and ends it. Blocks for some ten seconds.

    Args:
        application: as ``greenws run`` takes it.
        path: of a WebSocket route; it must let in who sends ``headers``.
        trial: how many connections, or as many as this process may have descriptors.
        headers: further headers of the handshake.
        chdir: the folder of the application.

    Raises:
        ConfigError: a value that cannot work.
        LoadFailed: the application does not start, or does not let us in.
        OSError: this is not Linux.
    """
    trial = _claim(trial)
    with serve(application, chdir=chdir) as (pid, port):
        url = f"ws://127.0.0.1:{port}{path}"
        first = Plan(url=url, mode="idle", connections=FIRST, duration=0.1, rest=0.1, headers=headers)
        run(first)
        gevent.sleep(REST)
        process = read_usage((pid,)).pss
        load = replace(first, mode="ping", connections=trial, duration=SECONDS, rest=REST, pids=(pid,))
        return _costs(run(replace(load, size=PING_SIZE, interval=trial / PINGS)), process)


def _costs(result: Result, process: int) -> Costs:
    """Takes what is of use from a result."""
    if result.failed or result.lost:
        raise LoadFailed(
            f"{result.failed} of {result.plan.connections} connections failed and {result.lost} were lost: "
            f"{result.refusal or 'the application closed them'}"
        )
    if result.memory is None or result.opening_cost is None or result.cost is None:
        raise LoadFailed("the application's process has ended")
    kernel = result.memory.kernel / 2
    is_plausible = KERNEL <= kernel <= MOST * KERNEL  # less: it took room that other sockets had left
    return Costs(
        trial=result.opened,
        user=max(0, round(result.memory.pss)),
        kernel=round(kernel) if is_plausible else KERNEL,
        is_kernel_assumed=not is_plausible,
        process=process,
        handshake=(result.opening_cost.us or 0.0) / 1e6,
        ping=(result.cost.us or 0.0) / 1e6,
    )


def _claim(trial: int) -> int:
    """Raises the soft limit of descriptors, which the application inherits. Returns how many connections it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = trial + RESERVE
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return trial if soft == resource.RLIM_INFINITY else max(1, min(trial, soft - RESERVE))
