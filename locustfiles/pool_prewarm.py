"""What does a warmed pool save the first who use it?

locust -f locustfiles/pool_prewarm.py --headless -H ws://127.0.0.1:8000 --users 100 -t 30s

Two pools of `greenws.ConnectionPool`: one is warmed up to half the users before they come, the other is not. Half of
the users lease from each, have a message echoed, and give the connection back. Compare the rows "first use, cold" and
"first use, warm", then "use, cold" and "use, warm".
"""

from __future__ import annotations

import time
from typing import Any

from gevent.lock import RLock
from locust import between, events, task

from greenws import ConnectionPool, GreenWSError
from greenws.locust import WebSocketUser

pools: dict[str, ConnectionPool] = {}
one_at_a_time = RLock()


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.set_defaults(num_users=100, spawn_rate=100)


@events.test_stop.add_listener
def stop(**_: object) -> None:
    while pools:
        pools.popitem()[1].close()


class Cold(WebSocketUser):
    """Leases from a pool that has nothing yet."""

    path = "/echo"
    temperature = "cold"
    wait_time = between(0.5, 1.5)
    uses = 0

    def on_start(self) -> None:
        """Makes the pool of all users of this class, or waits until the first of them has."""
        with one_at_a_time:
            if self.temperature not in pools:
                users = self.environment.parsed_options.num_users // 2 + 1
                pools[self.temperature] = ConnectionPool(self.url, max_size=users, ping_interval=None)
                self.prepare(pools[self.temperature], users)

    def prepare(self, pool: ConnectionPool, users: int) -> None:
        """A cold pool is not prepared."""

    @task
    def use(self) -> None:
        name = f"{'use' if self.uses else 'first use'}, {self.temperature}"
        self.uses += 1
        began = time.perf_counter()
        error: Exception | None = None
        try:
            with pools[self.temperature].lease(timeout=10) as conn:
                conn.send("hello")
                conn.receive(timeout=10)
        except GreenWSError as problem:
            error = problem
        self.record("WSC", name, time.perf_counter() - began, 5, error)


class Warm(Cold):
    """Leases from a pool that was warmed up."""

    temperature = "warm"

    def prepare(self, pool: ConnectionPool, users: int) -> None:
        """Opens what will be needed."""
        began = time.perf_counter()
        report = pool.warm_up(users)
        error = None if report.is_complete else RuntimeError(str(report))
        self.record("WS", "warm-up of the pool", time.perf_counter() - began, 0, error)
