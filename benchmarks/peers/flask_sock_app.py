"""Flask-Sock: an application that has what ours has, to be served by gevent's server or by gunicorn's gevent worker."""

from __future__ import annotations

import sys

from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

from flask import Flask
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server

from benchmarks.peers.hooks import add_hooks


def create_app(user: bool = False, visits: bool = False) -> Flask:
    """Makes the application, with the hooks that are wanted."""
    app = Flask(__name__)
    add_hooks(app, user, visits)
    sock = Sock(app)
    members: set[Server] = set()

    @sock.route("/echo")
    def echo(ws: Server) -> None:
        while True:
            ws.send(ws.receive())

    @sock.route("/fanout")
    def fan_out(ws: Server) -> None:
        members.add(ws)
        try:
            while True:
                message = ws.receive()
                for member in tuple(members):
                    try:
                        member.send(message)
                    except ConnectionClosed:
                        members.discard(member)
        finally:
            members.discard(ws)

    return app


if __name__ == "__main__":
    from gevent.pywsgi import WSGIServer

    made = create_app("user" in sys.argv[2:], "visits" in sys.argv[2:])
    WSGIServer(("127.0.0.1", int(sys.argv[1])), made, log=None, error_log=None, backlog=4096).serve_forever()
