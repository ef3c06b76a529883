"""Blocking-style views: a function that has the connection to itself, in a greenlet of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from flask import Flask, has_app_context
from flask.ctx import AppContext

from greenws.flaskext.context import has_teardown
from greenws.net.connection import Connection
from greenws.server.blocking import BlockingRun

_view: ContextVar[View] = ContextVar("greenws.view")


class View(BlockingRun):
    """One run of a view.

    Args:
        app: the application.
        function: the view: ``function(conn, **values)``.
        conn: its connection, not open yet.
        values: the values of the URL rule.
    """

    __slots__ = ("_app", "_context", "_function", "_values")

    def __init__(self, app: Flask, function: Callable[..., Any], conn: Connection, values: dict[str, Any]) -> None:
        super().__init__(conn)
        self._app = app
        self._function = function
        self._values = values or None
        self._context: AppContext | None = None

    def call(self) -> Any:
        """The view, in an app context."""
        _view.set(self)
        if not has_app_context():  # without a Flask request
            self.renew_context()
        try:
            if self._values is None:  # such a call takes nothing of the C stack, which is kept for each view
                return self._function(self._conn)
            return self._function(self._conn, **self._values)
        finally:
            self._end_context()

    def _end_context(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            context.pop()  # its teardown functions are given the exception that is on its way, if there is one

    def renew_context(self) -> None:
        """Ends the app context of the last message and begins the next, unless nobody could tell the difference."""
        if self._context is None or self._context.g.__dict__ or has_teardown(self._app):
            self._end_context()
            self._context = self._app.app_context()
            self._context.push()


def before_wait(conn: Connection) -> None:
    """Lets go of what the last message needed, such as a database session. Called when a view is about to wait."""
    view = _view.get(None)
    if view is not None:
        view.renew_context()
