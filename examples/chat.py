"""Chat in the event style: nothing of ours runs for a connection while it is idle.

Run it with ``greenws run examples.chat:app`` or ``python examples/chat.py``, then join the same room from two
terminals with ``python -m websockets "ws://127.0.0.1:8000/chat/tea?name=Ada"``, each with its own name.
A room lives in one process: this example is for one worker.
"""

if __name__ == "__main__":  # before the other imports, so that they get gevent's sockets and locks
    from gevent import monkey

    monkey.patch_all()

from collections import defaultdict

from flask import Flask, abort, request

from greenws import Connection, Endpoint, GreenWS, broadcast

app = Flask(__name__)
ws = GreenWS(app)
rooms: defaultdict[str, set[Connection]] = defaultdict(set)


@ws.route("/chat/<room>")
class Chat(Endpoint):
    """One instance serves all rooms; what belongs to one person is kept on the connection."""

    def on_open(self, conn: Connection, room: str) -> None:
        """Here, and only here, is there a Flask request; it can still be refused."""
        conn.name = request.args.get("name") or abort(400, "Say who you are: ?name=Ada")
        conn.room = room
        rooms[room].add(conn)
        broadcast(rooms[room], f"{conn.name} is here")

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        """A broadcast encodes its message once and waits for nobody."""
        if isinstance(message, str):  # bytes are binary messages, which no chat needs
            broadcast(rooms[conn.room], f"{conn.name}: {message}")

    def on_close(self, conn: Connection, code: int, reason: str) -> None:
        """An empty room goes too, so that made-up names do not pile up."""
        rooms[conn.room].discard(conn)
        broadcast(rooms[conn.room], f"{conn.name} has left")
        if not rooms[conn.room]:
            del rooms[conn.room]


if __name__ == "__main__":
    from greenws.server import WSGIServer

    WSGIServer(("127.0.0.1", 8000), app).serve_forever()
