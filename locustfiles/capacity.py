"""How many connections does a server hold, and how fast does it still answer?

locust -f locustfiles/capacity.py --headless -H ws://127.0.0.1:8000 --users 10000 --interval 5

Ramps up, holds, drains. Each connection sends a message every --interval seconds and must get it back. The row "echo"
is that of the hold, when all are there; the ramp and the drain have rows of their own. Needs an echo route: /echo of
`greenws demo`, or any URL with a path.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import gevent
from locust import events, task

from greenws.locust import Stage, Stages, WebSocketUser, drain, hold, ramp

SETTLING = 2.0  # seconds: the last users of the ramp are late, and their connects are work, too
full_since: float | None = None


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.set_defaults(num_users=10_000)
    parser.add_argument("--interval", type=float, default=5.0, help="Seconds between the messages of a connection.")
    parser.add_argument("--size", type=int, default=64, help="Bytes of a message.")
    parser.add_argument("--ramp", type=float, default=40.0, help="Seconds in which the connections are opened.")
    parser.add_argument("--hold", type=float, default=60.0, help="Seconds for which all of them are open.")
    parser.add_argument("--drain", type=float, default=10.0, help="Seconds in which they are closed.")


@events.test_start.add_listener
def start(environment: Any, **_: object) -> None:
    global full_since
    full_since = None


@events.spawning_complete.add_listener
def all_are_there(user_count: int, **_: object) -> None:
    global full_since
    if full_since is None:
        full_since = time.monotonic()


def phase(hold: float) -> str:
    """The row of an echo that begins now."""
    if full_since is None or (seconds := time.monotonic() - full_since) < SETTLING:
        return "echo, ramp"
    return "echo" if seconds < hold else "echo, drain"


class Shape(Stages):
    """Up, hold, down."""

    def stages(self) -> Sequence[Stage]:
        options = self.runner.environment.parsed_options
        return [ramp(options.num_users, options.ramp), hold(options.hold), drain(options.drain)]


class Holder(WebSocketUser):
    """Keeps its connection, and says something now and then."""

    path = "/echo"

    def on_start(self) -> None:
        """Spreads the users that start at once, those of one second, over it, and their messages over the interval."""
        options = self.environment.parsed_options
        self.message = "x" * options.size
        gevent.sleep(random.random())
        self.connect()
        gevent.sleep(random.uniform(0, options.interval))
        self.due = time.monotonic()

    def wait_time(self) -> float:
        self.due += self.environment.parsed_options.interval
        return max(0.0, self.due - time.monotonic())

    @task
    def echo(self) -> None:
        name = phase(self.environment.parsed_options.hold)
        if self.request(self.message, name=name) != self.message:
            raise AssertionError("the server did not send back what it got")
