"""The application that other projects' clients talk to."""

import dataclasses

from flask import Flask, abort, request, session
from gevent.queue import Queue

from greenws import Compression, Connection, Endpoint, GreenWS

STYLES = ("event", "blocking", "lean", "lean-blocking")  # each is a route that echoes
COMPRESSED = ("compressed", "keeping", "small")  # these, too, with compression


class Echo(Endpoint):
    def on_message(self, conn: Connection, message: str | bytes) -> None:
        conn.send(message)


def echo(conn: Connection) -> None:
    for message in conn:
        conn.send(message)


def subprotocol(conn: Connection) -> None:
    conn.send_json(conn.subprotocol)
    conn.receive()


def close(conn: Connection, code: int) -> None:
    conn.receive()
    conn.close(code, request.args.get("reason", ""))


def ping(conn: Connection) -> None:
    conn.send_json(conn.ping())
    conn.receive()


def fail(conn: Connection) -> None:
    conn.receive()
    raise RuntimeError("on purpose")


left: Queue[tuple[int, str]] = Queue()


class Leaving(Endpoint):
    def on_close(self, conn: Connection, code: int, reason: str) -> None:
        left.put((code, reason))


def tell_left(conn: Connection) -> None:
    """Tells how somebody left ``/leaving``."""
    conn.send_json(left.get(timeout=5))


class Members(Endpoint):
    """For those who know the password. Counts their visits in the session."""

    def on_open(self, conn: Connection) -> None:
        if request.headers.get("X-Password") != "swordfish":
            abort(403, "members only")
        session["visits"] = session.get("visits", 0) + 1
        conn.send_json(session["visits"])


def create_app() -> Flask:
    app = Flask(__name__)
    app.secret_key = "what is here is worth no secret"
    app.config.from_prefixed_env()
    app.add_url_rule("/", view_func=lambda: "plain", endpoint="index")
    ws = GreenWS(app)
    ws.route("/event")(Echo)
    ws.route("/blocking")(echo)
    ws.route("/lean", endpoint="lean", request_context=False)(Echo)
    ws.route("/lean-blocking", endpoint="lean-blocking", request_context=False)(echo)
    ws.route("/compressed", endpoint="compressed", compression=True)(Echo)
    keeping = Compression(server_no_context_takeover=False, client_no_context_takeover=False, threshold=1)
    ws.route("/keeping", endpoint="keeping", compression=keeping)(Echo)
    small = dataclasses.replace(keeping, server_max_window_bits=9, client_max_window_bits=9, level=6)
    ws.route("/small", endpoint="small", compression=small)(echo)
    ws.route("/subprotocol", subprotocols=("soup", "wamp"))(subprotocol)
    ws.route("/close/<int:code>")(close)
    ws.route("/ping")(ping)
    ws.route("/fail")(fail)
    ws.route("/leaving")(Leaving)
    ws.route("/left")(tell_left)
    ws.route("/members")(Members)
    return app
