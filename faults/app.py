"""The application that the faults happen to."""

from __future__ import annotations

import atexit
import os
import time
from pathlib import Path
from typing import Any

import gevent
from flask import Flask
from gevent.monkey import get_original

from greenws import Connection, Endpoint, GreenWS, broadcast

app = Flask(__name__)
app.config.from_prefixed_env()
ws = GreenWS(app)
closed = [0]


@app.get("/health")
def health() -> dict[str, Any]:
    """The process, how many are connected and how many have been told good-bye."""
    return {"pid": os.getpid(), "connections": sum(1 for _ in ws.connections), "closed": closed[0]}


@ws.route("/echo")
class Echo(Endpoint):
    """Sends back what it gets. ``on_close`` waits a moment, as one that asks a database does."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        """Sends one message back."""
        conn.send(message)

    def on_close(self, conn: Connection, code: int, reason: str) -> None:
        """Counts."""
        gevent.sleep(0.01)
        closed[0] += 1


@atexit.register
def leave_a_note() -> None:
    """Leaves the sum where the fault looks for it."""
    if closed[0] and (path := os.environ.get("CLOSED_FILE")):
        Path(f"{path}.{os.getpid()}").write_text(str(closed[0]))


@ws.route("/fail")
class Fail(Endpoint):
    """Does to a handler what may happen to one, as the message says."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        """Raises, is killed, or never returns."""
        if message == "raise":
            raise RuntimeError("on purpose")
        if message == "kill":
            gevent.getcurrent().throw(gevent.GreenletExit)
        time.sleep(3600)


@ws.route("/block")
class Block(Endpoint):
    """Holds up everything."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        """Blocks the thread, and so the hub, for so many seconds."""
        get_original("time", "sleep")(float(message))


@ws.route("/news")
class News(Endpoint):
    """A message on it starts a broadcast to all that are on it: ``rounds size``."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        """Sends so many messages of so many bytes to everybody."""
        rounds, size = map(int, str(message).split())
        everybody = [peer for peer in ws.connections if peer.path == "/news"]
        for _ in range(rounds):
            broadcast(everybody, os.urandom(size))
            gevent.sleep(0.02)
        conn.send("done")
