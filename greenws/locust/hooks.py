"""What locust calls: options, defaults, reports of workers, samples, the end."""

from __future__ import annotations

import gc
import json
import logging
import time
from pathlib import Path
from typing import Any

import gevent
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from greenws.locust import thresholds, web
from greenws.locust.figures import figures
from greenws.locust.thresholds import Check

log = logging.getLogger("greenws.locust")

LOOPBACK = "127.0.0.1"
SAMPLE = 1.0  # seconds


def install() -> None:
    """Registers everything with locust."""
    events.init_command_line_parser.add_listener(_add_options)
    events.init.add_listener(_begin)
    events.test_start.add_listener(lambda environment, **_: figures.start_over())
    events.spawning_complete.add_listener(_settle)
    events.report_to_master.add_listener(_report)
    events.worker_report.add_listener(lambda client_id, data: figures.take_report(client_id, data["greenws"]))
    events.quitting.add_listener(_end)


def _add_options(parser: Any) -> None:
    # locust listens on all interfaces unless told otherwise. Here it is the other way round.
    parser.set_defaults(web_host=LOOPBACK, master_bind_host=LOOPBACK)
    thresholds.add_options(parser)
    group = parser.add_argument_group("Connections")
    group.add_argument(
        "--connections-json", metavar="FILE", help="Write the counts of connections over time, and the thresholds."
    )


def _begin(environment: Environment, web_ui: Any = None, **_: object) -> None:
    if isinstance(environment.runner, WorkerRunner):
        return
    # The loop still has the time of before everything was imported. With it, --run-time would count from there.
    gevent.get_hub().loop.update_now()
    if web_ui is not None:
        web.extend(environment, web_ui)
    environment.runner.greenlet.spawn(_keep_samples, environment)


def _settle(**_: object) -> None:
    """All users are there. What they hold is not looked through for garbage again, until there are others.

    With ten thousand users that stops everything for some tenths of a second, again and again, and would look like the
    server's latency.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _keep_samples(environment: Environment) -> None:
    """Takes a sample each second, by the clock, as long as the runner lives."""
    began: float | None = None
    while True:
        gevent.sleep(SAMPLE - time.time() % SAMPLE)
        runner = environment.runner
        if runner.state in ("ready", "stopped"):
            began = None
            continue
        if isinstance(runner, MasterRunner):
            for worker in runner.clients.missing:
                figures.lose(worker.id)
        began = time.monotonic() if began is None else began
        figures.sample(time.monotonic() - began, time.time())


def _report(client_id: str, data: dict[str, Any]) -> None:
    data["greenws"] = figures.own.as_dict()


def _end(environment: Environment, **_: object) -> None:
    if isinstance(environment.runner, WorkerRunner):
        return
    options = environment.parsed_options
    checks = thresholds.check(environment, options)
    for row in web.rows(environment):
        log.info("%-28s %14s", row["figure"], row["value"])
    for check in checks:
        log.log(logging.INFO if check.is_met else logging.ERROR, "%s", check)
    if checks:
        environment.process_exit_code = thresholds.exit_code(checks, environment)
    if options.connections_json:
        _write(Path(options.connections_json), checks)


def _write(file: Path, checks: list[Check]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    values = {
        "total": figures.total().as_dict(),
        "most_open": figures.most_open,
        "history": figures.history,
        "thresholds": [check._asdict() for check in checks],
    }
    file.write_text(json.dumps(values), encoding="utf-8")
