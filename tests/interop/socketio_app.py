"""Flask-SocketIO, as its own examples use it: for the client from npm. ``create_app`` is for each server."""

from typing import Any

from flask import Flask, request, session
from flask_socketio import Namespace, close_room, disconnect, emit, join_room, leave_room, rooms

from greenws.compat.socketio import SocketIO


class Numbers(Namespace):
    """A namespace as a class."""

    def on_double(self, number: int) -> int:
        return 2 * number


socketio = SocketIO()
left: dict[str, str] = {}


@socketio.on("connect")
def connect(auth: Any) -> bool | None:
    if request.args.get("refuse"):
        return False
    emit("welcome", {"auth": auth, "namespace": request.namespace})
    return None


@socketio.on("disconnect")
def on_disconnect(reason: str) -> None:
    left[request.sid] = reason  # type: ignore[attr-defined]


@socketio.event
def echo(data: Any) -> None:
    session["count"] = session.get("count", 0) + 1
    emit("echoed", {"data": data, "count": session["count"]})


@socketio.event
def ask(one: Any, other: Any) -> tuple[Any, Any]:
    return other, one


@socketio.event
def shout(data: str) -> None:
    emit("shouted", data, broadcast=True)


@socketio.event
def join(room: str) -> list[str]:
    join_room(room)
    return sorted(rooms())


@socketio.event
def leave(room: str) -> None:
    leave_room(room)


@socketio.event
def tell(room: str, data: str) -> None:
    emit("told", data, to=room)


@socketio.event
def close(room: str) -> None:
    emit("told", f"{room} closes", to=room)
    close_room(room)


@socketio.event
def count_down(number: int) -> None:
    def run() -> None:
        for count in range(number, 0, -1):
            socketio.emit("count", count)
            socketio.sleep(0.01)

    socketio.start_background_task(run)


@socketio.event
def fail() -> None:
    raise RuntimeError("on purpose")


@socketio.event
def bye() -> None:
    disconnect()


@socketio.event
def how_left(sid: str) -> str | None:
    return left.get(sid)


socketio.on_namespace(Numbers("/numbers"))


def create_app() -> Flask:
    app = Flask(__name__)
    app.secret_key = "what is here is worth no secret"
    app.config.from_prefixed_env()
    app.add_url_rule("/", view_func=lambda: "plain", endpoint="index")
    socketio.init_app(app)
    return app
