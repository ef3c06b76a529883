"""A server restarts, and everybody comes back at once. How long until all are there again, and is anyone left out?

greenws run "greenws.demo.app:create_app()" --pid /tmp/greenws.pid
locust -f locustfiles/reconnect_storm.py --headless -H ws://127.0.0.1:8000 --users 2000 -t 60s --restart "kill -HUP PID"

PID is in /tmp/greenws.pid. --restart is run --restart-after seconds into the test; without it, restart the server
yourself. Users come back within --spread seconds, a bad client's behaviour; --spread -1 lets them wait as GreenWS's
client does. The row "recovery" is the time from the first loss until as many are open as before. That a connection ends
with 1001, 1006 or 1012 is no failure here; an attempt that fails is.
"""

from __future__ import annotations

import random
import shlex
import subprocess
import time
from typing import Any

import gevent
from locust import constant, events, task
from locust.runners import WorkerRunner

from greenws.locust import WebSocketUser
from greenws.locust.figures import figures


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.set_defaults(num_users=1000, spawn_rate=100)
    parser.add_argument("--restart", metavar="COMMAND", help="Restarts the server. No shell runs it.")
    parser.add_argument("--restart-after", type=float, default=20.0, help="Seconds after the start of the test.")
    parser.add_argument("--spread", type=float, default=1.0, help="Seconds within which all come back; -1: backoff.")


@events.test_start.add_listener
def start(environment: Any, **_: object) -> None:
    options = environment.parsed_options
    environment.runner.greenlet.spawn(watch, environment)
    if options.restart and not isinstance(environment.runner, WorkerRunner):
        environment.runner.greenlet.spawn(restart, shlex.split(options.restart), options.restart_after)


def restart(command: list[str], after: float) -> None:
    """Restarts the server."""
    gevent.sleep(after)
    subprocess.run(command, check=True)


def watch(environment: Any) -> None:
    """Times how long there are fewer connections than there were."""
    most, since = 0, None
    while environment.runner.state not in ("stopping", "stopped", "cleanup"):
        now, count = time.perf_counter(), figures.own.open
        if count < most and since is None:
            since = now
        elif count >= most:
            if since is not None:
                record_recovery(environment, now - since)
            most, since = count, None
        gevent.sleep(0.05)


def record_recovery(environment: Any, seconds: float) -> None:
    """Puts it into the statistics."""
    environment.events.request.fire(
        request_type="WS", name="recovery", response_time=seconds * 1000, response_length=0, exception=None, context={}
    )


class Client(WebSocketUser):
    """Stays connected, whatever happens."""

    path = "/echo"
    expected_closes = frozenset((1001, 1006, 1012))
    wait_time = constant(0.2)

    def delay_before_reconnect(self, code: int | None) -> float:
        spread = self.environment.parsed_options.spread
        return super().delay_before_reconnect(code) if spread < 0 else random.uniform(0, spread)

    @task
    def stay(self) -> None:
        if not self.is_open:
            self.request("back again", name="first message")
