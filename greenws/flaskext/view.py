"""Blocking-style views: a function that has the connection to itself, in a greenlet of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, has_app_context

from greenws.flaskext.context import ViewContexts
from greenws.net.connection import Connection
from greenws.server.blocking import BlockingRun


class View(BlockingRun):
    """One run of a view.

    Args:
        app: the application.
        function: the view: ``function(conn, **values)``.
        conn: its connection, not open yet.
        values: the values of the URL rule.
    """

    __slots__ = ("_app", "_function", "_values")

    def __init__(self, app: Flask, function: Callable[..., Any], conn: Connection, values: dict[str, Any]) -> None:
        super().__init__(conn)
        self._app = app
        self._function = function
        self._values = values or None

    def call(self) -> Any:
        """The view, in an app context."""
        contexts = ViewContexts(self._app)
        if not has_app_context():  # without a Flask request
            contexts.renew()
        try:
            if self._values is None:  # such a call takes nothing of the C stack, which is kept for each view
                return self._function(self._conn)
            return self._function(self._conn, **self._values)
        finally:
            contexts.end()
