"""Applications for trials: one that echoes, and ones that cannot be measured."""

from __future__ import annotations

from flask import Flask, abort, request

from greenws import Connection, Endpoint, GreenWS

app = Flask(__name__)
ws = GreenWS(app)


@ws.route("/token")
class WithToken(Endpoint):
    def on_open(self, conn: Connection) -> None:
        if request.headers.get("X-Token") != "secret":
            abort(401)


@ws.route("/deserter")
class Deserter(Endpoint):
    def on_open(self, conn: Connection) -> None:
        conn.close()


@ws.route("/hungry")
class Hungry(Endpoint):
    """Keeps 20 KB for each connection."""

    def on_open(self, conn: Connection) -> None:
        conn.kept = bytes(range(200)) * 100


def create_broken() -> Flask:
    raise RuntimeError("no database")
