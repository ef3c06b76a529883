"""GreenWS: each of its styles. ``create_app(user=True)`` has what most Flask applications have beside it."""

from __future__ import annotations

from flask import Flask

from benchmarks.peers.hooks import add_hooks
from greenws import Connection, Endpoint, GreenWS, broadcast


class Echo(Endpoint):
    """Event style."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        """Sends it back."""
        conn.send(message)


class FanOut(Endpoint):
    """Event style, to everybody."""

    def __init__(self) -> None:
        self.members: set[Connection] = set()

    def on_open(self, conn: Connection) -> None:
        """Adds a member."""
        self.members.add(conn)

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        """Sends it to all."""
        broadcast(self.members, message)

    def on_close(self, conn: Connection, code: int, reason: str) -> None:
        """Takes a member out."""
        self.members.discard(conn)


def echo(conn: Connection) -> None:
    """Blocking style."""
    for message in conn:
        conn.send(message)


def create_app(user: bool = False, visits: bool = False, teardown: bool = False, **settings: object) -> Flask:
    """Makes the application, with the hooks and settings that are wanted."""
    app = Flask(__name__)
    add_hooks(app, user, visits)
    ws = GreenWS(app, **settings)
    ws.route("/event", endpoint="event")(Echo)
    ws.route("/lean", endpoint="lean", request_context=False)(Echo)
    ws.route("/blocking", endpoint="blocking", request_context=False)(echo)
    ws.route("/flask-blocking", endpoint="flask_blocking")(echo)
    ws.route("/fanout", endpoint="fanout", request_context=False)(FanOut)
    if teardown:
        app.teardown_appcontext(lambda error: None)
    return app


app = create_app()  # for `gunicorn -k gevent`
