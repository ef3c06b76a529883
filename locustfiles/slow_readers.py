"""Do readers that cannot keep up slow down those that can, and what becomes of them?

locust -f locustfiles/slow_readers.py --headless -H ws://127.0.0.1:8000 --users 100 -t 60s

All sit in one chat room. One user says --rate messages a second; one in ten reads only one message each --delay
seconds. Compare the rows "fan-out" and "fan-out, slow". A server may close a slow reader with 1008 or 1013; that is no
failure here, and shows as a row. For the chat of `greenws demo`, or any URL where a message reaches everybody.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

import gevent
from locust import constant, events, task

from greenws import SocketOptions
from greenws.locust import WebSocketUser

SENT = re.compile(r"sent=(\d+\.\d+)")


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.set_defaults(num_users=100, spawn_rate=50)
    parser.add_argument("--rate", type=float, default=50.0, help="Messages a second.")
    parser.add_argument("--size", type=int, default=1000, help="Characters of a message; the demo takes 1000.")
    parser.add_argument("--delay", type=float, default=1.0, help="Seconds that a slow reader takes for a message.")


class Reader(WebSocketUser):
    """Reads as fast as messages come."""

    weight = 9
    path = "/ws/slow-readers"
    row = "fan-out"
    inbox_size = 0
    wait_time = constant(1)

    def sent_at(self, message: Any) -> float | None:
        found = isinstance(message, str) and SENT.search(message)
        return float(found[1]) if found else None

    def name_of(self, message: Any) -> str:
        return self.row if isinstance(message, str) and "sent=" in message else "other pushes"

    @task
    def stay(self) -> None:
        if not self.is_open:
            self.connect()


class SlowReader(Reader):
    """Takes its time for each message, so that the others pile up: here, in the kernels, and then in the server."""

    weight = 1
    row = "fan-out, slow"
    options = {"socket_options": SocketOptions(receive_buffer=4096), "inbox_size": 1}  # noqa: RUF012 - never changed
    expected_closes = frozenset((1006, 1008, 1013))

    def on_push(self, message: Any) -> None:
        gevent.sleep(self.environment.parsed_options.delay)


class Speaker(Reader):
    """Says something to all."""

    fixed_count = 1
    weight = 0

    def wait_time(self) -> float:
        return 1 / self.environment.parsed_options.rate

    @task
    def speak(self) -> None:
        text = f"sent={time.time():.6f} ".ljust(self.environment.parsed_options.size, "x")
        self.send(json.dumps({"type": "message", "name": "locust", "text": text}))
