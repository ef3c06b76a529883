"""Servers for the load: one that echoes, and ones that are wrong in a way that must be noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask, abort

from benchmarks.peers.greenws_app import Echo, FanOut
from greenws import Connection, Endpoint, GreenWS
from greenws.server import WSGIServer
from tests.leaks import no_leaks, pytest_runtest_makereport

__all__ = ["no_leaks", "pytest_runtest_makereport"]


class Wrong(Endpoint):
    """Sends back something else of the same size."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        conn.send("z" * len(message))


class Longer(Endpoint):
    """Sends back more than it got."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        assert isinstance(message, str)
        conn.send(message + "!")


class Deserter(Endpoint):
    """Closes at the first message."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        conn.close()


class Silent(Endpoint):
    """Answers nothing."""


class Refusal(Endpoint):
    """Lets nobody in."""

    def on_open(self, conn: Connection) -> None:
        abort(403)


@pytest.fixture
def site() -> Iterator[Callable[[str], str]]:
    """A server; gives the URL of a path on it."""
    app = Flask(__name__)
    ws = GreenWS(app, ping_interval=1.0)
    for target in (Echo, FanOut, Wrong, Longer, Deserter, Silent, Refusal):
        ws.route(f"/{target.__name__.lower()}")(target)
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    yield lambda path: f"ws://127.0.0.1:{server.address[1]}{path}"
    server.stop(timeout=1)
