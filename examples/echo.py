"""Echo in the blocking style: the view has the connection, and a loop reads as it would from a file.

Run it with ``greenws run examples.echo:app`` or ``python examples/echo.py``, then talk to it with
``python -m websockets ws://127.0.0.1:8000/echo``.
"""

if __name__ == "__main__":  # before the other imports, so that they get gevent's sockets and locks
    from gevent import monkey

    monkey.patch_all()

from flask import Flask

from greenws import Connection, GreenWS

app = Flask(__name__)
ws = GreenWS(app)


@ws.route("/echo")
def echo(conn: Connection) -> None:
    """Sends every message back. The loop ends when the peer closes."""
    for message in conn:
        conn.send(message)


if __name__ == "__main__":
    from greenws.server import WSGIServer

    WSGIServer(("127.0.0.1", 8000), app).serve_forever()
