"""Do idle connections stay, and how fast does the server answer a ping meanwhile?

locust -f locustfiles/heartbeat_idle.py --headless -H ws://127.0.0.1:8000 --users 5000 -t 10m

Nobody sends a message. The server's own pings are answered; each user sends one every --interval seconds, and the row
"ping" is its round trip. Look at the server's CPU and memory: this is what being connected costs.
"""

from __future__ import annotations

import random
import time
from typing import Any

import gevent
from locust import events, task

from greenws import ConnectionClosed, OperationTimeout
from greenws.locust import WebSocketUser


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.set_defaults(num_users=1000, spawn_rate=100)
    parser.add_argument("--interval", type=float, default=20.0, help="Seconds between the pings of a connection.")


class Idler(WebSocketUser):
    """Is there, and no more."""

    path = "/echo"

    def on_start(self) -> None:
        interval = self.environment.parsed_options.interval
        gevent.sleep(random.random())
        self.connect()
        gevent.sleep(random.uniform(0, interval))

    def wait_time(self) -> float:
        return self.environment.parsed_options.interval

    @task
    def ping(self) -> None:
        if not self.is_open and not self.connect():
            return
        began = time.perf_counter()
        error: Exception | None = None
        try:
            self.conn.ping(timeout=10)
        except (ConnectionClosed, OperationTimeout) as problem:
            error = problem
        self.record("WSC", "ping", time.perf_counter() - began, 0, error)
