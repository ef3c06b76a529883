"""How long does a message take there and back, and does its size matter?

locust -f locustfiles/echo_latency.py --headless -H ws://127.0.0.1:8000 --users 100 -t 30s

Each connection has one message under way, or rests --pause seconds. A row for each of --sizes.
"""

from __future__ import annotations

import random
from typing import Any

from locust import events, task

from greenws.locust import WebSocketUser


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.set_defaults(num_users=100, spawn_rate=50)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 1024, 65536], help="Bytes of the messages.")
    parser.add_argument("--pause", type=float, default=0.1, help="Seconds from an answer to the next message.")


class Caller(WebSocketUser):
    """Asks, waits for the answer, rests."""

    path = "/echo"

    def wait_time(self) -> float:
        return self.environment.parsed_options.pause

    @task
    def echo(self) -> None:
        size = random.choice(self.environment.parsed_options.sizes)
        message = "x" * size
        if self.request(message, name=f"echo, {size:,} bytes") != message:
            raise AssertionError("the server did not send back what it got")
