"""Is the server after hours what it was after minutes?

locust -f locustfiles/soak.py --headless -H ws://127.0.0.1:8000 --users 500 -t 8h --csv soak --csv-full-history

Users echo, chat, come and go: a connection lives --lifetime seconds on average. The rows are those of a --period of the
run, so that the first and the last stand below each other; with --csv there is all of it over time. Watch the server's
memory and descriptors beside it.
"""

from __future__ import annotations

import json
import random
import time
from typing import Any

from locust import between, events, task

from greenws.locust import WebSocketUser

started = 0.0


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.set_defaults(num_users=100, spawn_rate=20)
    parser.add_argument("--lifetime", type=float, default=300.0, help="Seconds that a connection lives on average.")
    parser.add_argument("--period", type=float, default=3600.0, help="Seconds that have rows of their own.")


@events.test_start.add_listener
def start(environment: Any, **_: object) -> None:
    global started
    started = time.monotonic()


class Guest(WebSocketUser):
    """Stays for a while, leaves, and comes again."""

    abstract = True
    wait_time = between(1, 5)
    leaves_at = 0.0

    def period(self) -> int:
        """The number of the period, from 1."""
        return int((time.monotonic() - started) / self.environment.parsed_options.period) + 1

    def come_and_go(self) -> None:
        """Leaves when it is time to, and connects when it must."""
        if self.is_open and time.monotonic() > self.leaves_at:
            self.close()
        if not self.is_open and self.connect():
            self.leaves_at = time.monotonic() + random.expovariate(1 / self.environment.parsed_options.lifetime)


class Echoer(Guest):
    """Has messages of many sizes echoed."""

    weight = 4
    path = "/echo"

    @task
    def echo(self) -> None:
        self.come_and_go()
        message = "x" * int(random.paretovariate(1.2) * 32 % 65536)
        if self.request(message, name=f"echo, period {self.period()}") != message:
            raise AssertionError("the server did not send back what it got")


class Chatter(Guest):
    """Talks in a room of the demo's chat, and waits until it hears itself."""

    weight = 1

    def on_start(self) -> None:
        self.path = f"/ws/soak-{random.randrange(20)}"

    @task
    def chat(self) -> None:
        self.come_and_go()
        mark = f"{random.getrandbits(64):x}"
        text = json.dumps({"type": "message", "name": "locust", "text": mark})
        self.request(text, key=mark, name=f"chat, period {self.period()}")

    def key_of(self, message: Any) -> str | None:
        """The text of a chat message; other pushes, such as a welcome with its history, have none."""
        data = json.loads(message)
        return data["text"] if data["type"] == "message" else None
