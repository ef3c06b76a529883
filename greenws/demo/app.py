"""The demo: a chat with rooms by URL, and an echo route for load tests.

==================  ==============================================
``/``               leads to a room: the lobby, or ``/?room=tea``
``/<room>``         the page of a room
``/ws/<room>``      its WebSocket; each message is one JSON object
``/echo``           a WebSocket that sends back what it gets
``/health``         says that the process answers
==================  ==============================================

A browser sends ``message`` (name, text) and ``typing`` (name). It gets ``welcome`` (you, count, history) first, then
``message`` (name, text, at, from), ``typing`` (name, from), ``presence`` (count) and ``error`` (text). ``at`` is in
milliseconds since 1970 and grows with every message of a room, so it also says which messages a page already has.

Everything lives in the memory of one process, and everything is bounded. Settings come from the environment, as Flask
reads them: ``FLASK_GREENWS_METRICS=127.0.0.1:9464``.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections import deque
from typing import Any

from flask import Flask, Response, abort, redirect, render_template, request, url_for
from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response as BaseResponse

from greenws import Connection, Endpoint, GreenWS, broadcast

MAX_ROOMS = 200
MAX_MEMBERS = 500
MAX_HISTORY = 50
MAX_NAME = 32
MAX_TEXT = 1000
MAX_MESSAGE_SIZE = 16384  # MAX_TEXT characters at their longest, which is \ud83c\udf31 in JSON, and the rest

# No inline script, no inline style, nothing from another host.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class RoomConverter(BaseConverter):
    """The name of a room in a URL, in lower case. The names of the other pages are not rooms."""

    regex = r"(?!(?:echo|health)$)[A-Za-z0-9_-]{1,32}"

    def to_python(self, value: str) -> str:
        """Makes ``/Tea`` and ``/tea`` the same room."""
        return value.lower()


class Room:
    """The connections of one room and the last messages. No method switches to another greenlet, so none locks."""

    def __init__(self) -> None:
        self.members: set[Connection] = set()
        self.history: deque[dict[str, Any]] = deque(maxlen=MAX_HISTORY)
        self.last_at = 0

    def say(self, name: str, text: str, member: str) -> None:
        """Keeps a message and sends it to everybody, its author included."""
        self.last_at = max(self.last_at + 1, time.time_ns() // 1_000_000)
        message = {"type": "message", "name": name, "text": text, "at": self.last_at, "from": member}
        self.history.append(message)
        broadcast(self.members, json.dumps(message))

    def tell_others(self, conn: Connection, kind: str, **values: object) -> None:
        """Sends to everybody but one, and keeps nothing."""
        others = [member for member in self.members if member is not conn]
        broadcast(others, json.dumps({"type": kind, **values}))


class Chat(Endpoint):
    """The WebSocket of a room. One instance serves all rooms of one app."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}

    def on_open(self, conn: Connection, room: str) -> None:
        """Adds a member, or refuses the upgrade with 503 when there is no place."""
        here = self._find_room(room)
        if len(here.members) >= MAX_MEMBERS:
            abort(503, "The room is full.")
        here.members.add(conn)
        conn.room, conn.member = here, secrets.token_hex(6)
        count = len(here.members)
        conn.send_json({"type": "welcome", "you": conn.member, "count": count, "history": list(here.history)})
        here.tell_others(conn, "presence", count=count)

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        """Passes on a message or a typing hint; answers anything else with an error, and stays open."""
        try:
            kind, name, text = read_message(message)
        except ValueError as problem:
            conn.send_json({"type": "error", "text": str(problem)})
            return
        if kind == "typing":
            conn.room.tell_others(conn, "typing", **{"name": name, "from": conn.member})
        else:
            conn.room.say(name, text, conn.member)

    def on_close(self, conn: Connection, code: int, reason: str) -> None:
        """Takes a member out and tells the others."""
        room: Room = conn.room
        room.members.discard(conn)
        room.tell_others(conn, "presence", count=len(room.members))

    def _find_room(self, name: str) -> Room:
        """Returns the room, made when needed. A full house forgets the empty room that was entered longest ago."""
        room = self.rooms.pop(name, None)
        if room is None:
            if len(self.rooms) >= MAX_ROOMS:
                empty = next((name for name, room in self.rooms.items() if not room.members), None)
                if empty is None:
                    abort(503, "There are too many rooms.")
                del self.rooms[empty]
            room = Room()
        self.rooms[name] = room  # goes last: the order is that of the latest entry
        return room


class Echo(Endpoint):
    """Sends back what it gets, text as text and binary as binary."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        """Sends one message back."""
        conn.send(message)


def read_message(message: str | bytes) -> tuple[str, str, str]:
    """Checks what a browser sent and returns its type, name and text.

    Raises:
        ValueError: with a sentence for the person at the other end.
    """
    try:
        data = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise ValueError("A message must be a JSON object.")
    kind, name, text = data.get("type"), data.get("name"), data.get("text", "")
    if kind not in ("message", "typing"):
        raise ValueError("The type must be message or typing.")
    if not isinstance(name, str) or not isinstance(text, str):
        raise ValueError("Name and text must be strings.")
    text = text.strip()
    if kind == "message" and not text:
        raise ValueError("The message is empty.")
    if len(text) > MAX_TEXT:
        raise ValueError(f"The message is longer than {MAX_TEXT} characters.")
    return kind, " ".join(name.split())[:MAX_NAME] or "Someone", text


def index() -> BaseResponse:
    """Leads to the room asked for, or to the lobby."""
    wanted = re.sub(r"[^a-z0-9_-]+", "-", request.args.get("room", "").lower())[:32].strip("-")
    return redirect(url_for("page", room=wanted if wanted not in ("", "echo", "health") else "lobby"))


def page(room: str) -> str:
    """The page of one room."""
    return render_template("chat.html", room=room, max_name=MAX_NAME, max_text=MAX_TEXT)


def health() -> dict[str, str]:
    """The answer for a load balancer."""
    return {"status": "ok"}


def add_security_headers(response: Response) -> Response:
    """Lets a page use what this app serves and nothing else."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def create_app() -> Flask:
    """Makes the demo. Its rooms belong to this app alone."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.url_map.converters["room"] = RoomConverter
    app.after_request(add_security_headers)
    app.add_url_rule("/", view_func=index)
    app.add_url_rule("/<room:room>", view_func=page)
    app.add_url_rule("/health", view_func=health)
    ws = GreenWS(app)
    ws.route("/ws/<room:room>", max_message_size=MAX_MESSAGE_SIZE)(Chat)
    ws.route("/echo", request_context=False)(Echo)  # load tests measure the connection, not Flask's request
    return app
