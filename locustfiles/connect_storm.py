"""How many connections can be opened in a second, and how long does each take meanwhile?

locust -f locustfiles/connect_storm.py --headless -H ws://127.0.0.1:8000 --users 200 -t 30s

Each user connects, has one message echoed, closes, and begins again: --users is how many do that at once.
"""

from __future__ import annotations

from typing import Any

from locust import constant, events, task

from greenws.locust import WebSocketUser


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.set_defaults(num_users=100, spawn_rate=100)
    parser.add_argument("--only-connect", action="store_true", help="Close at once: for a server that does not echo.")


class Visitor(WebSocketUser):
    """Comes and goes."""

    path = "/echo"
    wait_time = constant(0)

    def delay_before_reconnect(self, code: int | None) -> float:
        """It is a storm."""
        return 0.0

    @task
    def visit(self) -> None:
        if not self.connect(name="connect"):
            return
        if not self.environment.parsed_options.only_connect:
            self.request("hello", name="first message")
        self.close()
