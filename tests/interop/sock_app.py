"""One application twice: with Flask-Sock, and with our module of the same interface."""

from typing import Any

import flask_sock
from flask import Blueprint, Flask, g, request, session

from greenws.compat import flask_sock as ours


def create_app(module: Any = ours) -> Flask:
    """The application; ``module`` is the one that it imports."""
    app = Flask(__name__)
    app.secret_key = "what is here is worth no secret"
    app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25, "subprotocols": ["one", "two"]}
    blueprint = Blueprint("part", __name__, url_prefix="/part")
    sock = module.Sock(app)

    @app.before_request
    def before() -> None:
        g.visits = session.get("visits", 0) + 1

    app.add_url_rule("/", "index", lambda: "plain")
    add_routes(sock, blueprint)
    add_ends(app, sock, module.ConnectionClosed)
    app.register_blueprint(blueprint)
    return app


def add_routes(sock: Any, blueprint: Blueprint) -> None:
    @sock.route("/echo")
    def echo(ws: Any) -> None:
        while True:
            data = ws.receive()
            if data == "close":
                break
            ws.send(data)

    @sock.route("/values/<word>/<int:number>")
    def values(ws: Any, word: str, number: int) -> None:
        ws.send(f"{word} {number} {request.args['q']} {g.visits}")
        ws.receive()
        ws.send(f"{request.path} {g.visits}")

    @sock.route("/who", bp=blueprint)
    def who(ws: Any) -> None:
        ws.send(f"{request.endpoint} {ws.subprotocol} {ws.connected}")
        ws.receive()

    @sock.route("/leave")
    def leave(ws: Any) -> None:
        ws.receive()
        ws.close(4001, "that is all")

    @sock.route("/patient")
    def patient(ws: Any) -> None:
        ws.send(str(ws.receive(timeout=0.05)))
        ws.send(ws.receive(timeout=5))


def add_ends(app: Flask, sock: Any, closed: type[Exception]) -> None:
    ends: list[tuple[int, str | None]] = []
    app.add_url_rule("/ends", "ends", lambda: ends)

    @sock.route("/left")
    def left(ws: Any) -> None:
        try:
            ws.receive()
        except closed as end:
            ends.append((int(end.reason), end.message))
            raise


def create_theirs() -> Flask:
    return create_app(flask_sock)
