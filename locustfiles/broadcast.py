"""How long does a message take to everybody?

locust -f locustfiles/broadcast.py --headless -H ws://127.0.0.1:8000 --users 500 -t 60s

Users sit in chat rooms of --room-size; the first of each room says something every --interval seconds, with the time in
it. The row "fan-out" is the time from there to each member. Each process has rooms of its own, so both are times of one
clock. For the chat of `greenws demo`, or any URL where a message reaches everybody.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import time
from typing import Any

from locust import events, task

from greenws.locust import WebSocketUser

SENT = re.compile(r"sent=(\d+\.\d+)")
numbers = itertools.count()


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.set_defaults(num_users=200, spawn_rate=50)
    parser.add_argument("--room-size", type=int, default=50, help="Members of a room.")
    parser.add_argument("--interval", type=float, default=1.0, help="Seconds between the messages of a room.")
    parser.add_argument("--size", type=int, default=100, help="Characters of a message.")


class Member(WebSocketUser):
    """Listens. The first of a room also speaks."""

    def on_start(self) -> None:
        number = next(numbers)
        size = self.environment.parsed_options.room_size
        # None knows how many members other processes have sent.
        process = f"{socket.gethostname()}-{os.getpid()}"[-20:].replace(".", "-")
        self.path = f"/ws/{process}-{number // size}"
        self.speaks = number % size == 0
        self.connect()

    def wait_time(self) -> float:
        return self.environment.parsed_options.interval

    def sent_at(self, message: Any) -> float | None:
        found = isinstance(message, str) and SENT.search(message)
        return float(found[1]) if found else None

    def name_of(self, message: Any) -> str:
        return "fan-out" if isinstance(message, str) and "sent=" in message else "other pushes"

    @task
    def live(self) -> None:
        if not self.is_open:
            self.connect()
        elif self.speaks:
            text = f"sent={time.time():.6f} ".ljust(self.environment.parsed_options.size, "x")
            self.send(json.dumps({"type": "message", "name": "locust", "text": text}))
