"""GreenWS: each of its styles. ``create_app(hooks=True)`` has what most Flask applications have beside it."""

from __future__ import annotations

from flask import Flask, g, session

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


def create_app(hooks: bool = False, teardown: bool = False, **settings: object) -> Flask:
    """Makes the application. With hooks each upgrade runs a ``before_request`` and reads and writes a session."""
    app = Flask(__name__)
    app.secret_key = "not a secret"
    ws = GreenWS(app, **settings)
    ws.route("/event", endpoint="event")(Echo)
    ws.route("/lean", endpoint="lean", request_context=False)(Echo)
    ws.route("/blocking", endpoint="blocking", request_context=False)(echo)
    ws.route("/flask-blocking", endpoint="flask_blocking")(echo)
    ws.route("/fanout", endpoint="fanout", request_context=False)(FanOut)
    if hooks:

        @app.before_request
        def count_visits() -> None:
            g.user = session.get("user")
            session["visits"] = session.get("visits", 0) + 1

    if teardown:
        app.teardown_appcontext(lambda error: None)
    return app


app = create_app()  # for `gunicorn -k gevent`
