"""The small application that the hostile clients meet. It notes what reaches it."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Flask, abort

from greenws import Connection, Endpoint, GreenWS
from tests.frame_cases import LIMIT

ALLOWED = "https://app.example"
# Of a process that another started: the file that it notes into, and the settings.
FILE, SETTINGS = "GREENWS_TEST_NOTES", "GREENWS_TEST_SETTINGS"

Note = Callable[[str, Any], None]


class Quiet(Endpoint):
    """Echoes and notes nothing."""

    def on_message(self, conn: Connection, message: str | bytes) -> None:
        conn.send(message)


class Refusing(Endpoint):
    """Wants nobody."""

    def on_open(self, conn: Connection) -> None:
        abort(403)


def make_echoes(note: Note) -> tuple[type[Endpoint], Callable[[Connection], None]]:
    """The same echo in both styles."""

    class Echo(Endpoint):
        def on_open(self, conn: Connection) -> None:
            note("opened", conn.path)

        def on_message(self, conn: Connection, message: str | bytes) -> None:
            note("messages", message)
            conn.send(message)

        def on_close(self, conn: Connection, code: int, reason: str) -> None:
            note("closes", code)

    def echo(conn: Connection) -> None:
        note("opened", conn.path)
        try:
            for message in conn:
                note("messages", message)
                conn.send(message)
        finally:
            note("closes", conn.close_code)

    return Echo, echo


def create_app(note: Note, log: logging.Handler, **options: Any) -> Flask:
    """Makes the application.

    Args:
        note: is called with ``environs`` and a dictionary for each request, ``opened`` and a path for each connection
            that a handler got, ``messages`` and what a handler got, ``closes`` and the code with which it ended.
        log: gets what the application logs.
        options: settings.
    """
    app = Flask("hostile")
    app.logger.addHandler(log)
    ws = GreenWS(app, **options)
    echo_class, echo = make_echoes(note)
    small: dict[str, Any] = {"max_message_size": LIMIT}
    ws.route("/event", endpoint="event", **small)(echo_class)
    ws.route("/lean", endpoint="lean", request_context=False, **small)(echo_class)
    ws.route("/view", endpoint="view", **small)(echo)
    ws.route("/leanview", endpoint="leanview", request_context=False, **small)(echo)
    ws.route("/honest", endpoint="honest", request_context=False)(Quiet)
    ws.route("/list", endpoint="list", origins=[ALLOWED])(echo_class)
    ws.route("/leanlist", endpoint="leanlist", origins=[ALLOWED], request_context=False)(echo_class)
    ws.route("/chosen", endpoint="chosen", subprotocols=["mqtt", "chat"])(echo_class)
    ws.route("/refused", endpoint="refused")(Refusing)
    app.add_url_rule("/admin", "admin", lambda: "secret", methods=["GET", "POST"])
    inner = app.wsgi_app

    def noted(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        note("environs", {name: value for name, value in environ.items() if isinstance(value, str)})
        return inner(environ, start_response)

    app.wsgi_app = noted  # type: ignore[method-assign]
    return app


def environment(file: str, options: Mapping[str, Any]) -> dict[str, str]:
    """What ``create_app_elsewhere`` reads."""
    return {FILE: file, SETTINGS: pickle.dumps(dict(options)).hex()}


def create_app_elsewhere() -> Flask:
    """Makes the application for a server in a process of its own. Who started that reads the notes in a file."""
    fd = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND)
    options = pickle.loads(bytes.fromhex(os.environ[SETTINGS]))

    def note(what: str, value: Any) -> None:
        os.write(fd, pickle.dumps((what, value)))

    return create_app(note, logging.StreamHandler(), **options)
