"""Everything a process does once, done before its first peer comes.

The first connection of a process finds modules that were never called, caches that are empty, an epoll set that is
not made. Here it is one of our own: a conversation with a small application, over a socket pair. No code of the user's
runs.
"""

from __future__ import annotations

import gevent
from flask import Flask

from greenws.flaskext.endpoint import Endpoint
from greenws.flaskext.state import AppState
from greenws.flaskext.testing import TestClient
from greenws.net.connection import Connection

HANDLERS = 32  # greenlets that wait for the first messages; a rush makes more, up to pool_size
TIMEOUT = 5.0


class _Echo(Endpoint):
    def on_message(self, conn: Connection, message: str | bytes) -> None:
        gevent.sleep(0)  # all of them are at work at once, so each has a greenlet
        conn.send(message)


def rehearse(state: AppState) -> None:
    """Prepares the process, and what can be prepared of an application. Blocks for a few milliseconds.

    Args:
        state: the application's.
    """
    # Imported here: the extension imports the state, which calls this.
    from greenws.flaskext.extension import GreenWS

    stage = Flask("greenws.rehearsal")
    ws = GreenWS(stage, ping_interval=None)
    ws.route("/event")(_Echo)
    ws.route("/view", endpoint="view")(_talk)
    client = TestClient(stage)
    with gevent.Timeout(TIMEOUT, False):
        speakers = [gevent.spawn(_speak, client, "/event") for _ in range(HANDLERS)]
        speakers.append(gevent.spawn(_speak, client, "/view"))
        try:
            gevent.joinall(speakers)
        finally:
            gevent.killall(speakers, block=False)
    state.prepare()


def _talk(conn: Connection) -> None:
    for message in conn:
        conn.send(message)


def _speak(client: TestClient, path: str) -> None:
    with client.connect(path) as peer:
        for message in ("text", b"binary"):
            peer.send(message)
            peer.receive(timeout=TIMEOUT)
