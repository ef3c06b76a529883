"""The server of these tests."""

from __future__ import annotations

import json
import time

import gevent
from flask import Flask

from greenws import GreenWS


def create_app() -> Flask:
    app = Flask(__name__)
    ws = GreenWS(app)
    for path, view in (("/echo", echo), ("/answers", answers), ("/pushes", pushes), ("/late", late)):
        ws.route(path)(view)
    ws.route("/ends/<int:code>")(ends)
    return app


def echo(conn):
    for message in conn:
        conn.send(message)


def answers(conn):
    """Answers two requests at a time, the second first."""
    first = None
    for message in conn:
        if first is None:
            first = message
        else:
            conn.send(message)
            conn.send(first)
            first = None


def pushes(conn):
    """Pushes at once, then what it is asked for, with the time of half a second ago."""
    conn.send_json({"type": "welcome"})
    for message in conn:
        conn.send_json({"type": "push", "text": message, "at": time.time() - 0.5})


def late(conn):
    """Takes its time for each answer."""
    for message in conn:
        gevent.sleep(0.3)
        conn.send(message)


def ends(conn, code):
    """Closes when it is spoken to."""
    conn.receive()
    conn.close(code, json.dumps("because"))
