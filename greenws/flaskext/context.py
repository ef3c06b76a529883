"""App contexts for what runs outside a request: messages, the end of a connection, spawned greenlets."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from flask import Flask, appcontext_popped, appcontext_pushed, appcontext_tearing_down
from flask.ctx import AppContext
from greenlet import getcurrent, greenlet

from greenws.net.connection import Connection
from greenws.net.greenlets import call_in_copy

# Looked up once: these dicts, and the lists of functions, stay the same objects however many come and go.
_ending = appcontext_tearing_down.receivers
_ended = appcontext_popped.receivers
_begun = appcontext_pushed.receivers


def _is_any_wanted(teardown: list[Any]) -> bool:
    """Whether anybody wants to know when an app context begins or ends."""
    return bool(teardown or _ending or _ended or _begun)


class _Place:
    """An app context for one message after the other, and the context variables in which it is the current one."""

    def __init__(self, app: Flask) -> None:
        context = app.app_context()
        self.variables = Context()
        self.variables.run(context.push)
        self.in_g: dict[str, Any] = context.g.__dict__


class _Messages:
    """Calls a handler so that each message has an app context of its own; see ``for_messages``."""

    def __init__(self, app: Flask, on_message: Callable[..., Any]) -> None:
        self._app = app
        self._on_message = on_message
        self._teardown = app.teardown_appcontext_funcs
        self._spare: _Place | None = None
        self._more: list[_Place] = []

    def run(self, conn: Connection, message: Any) -> None:  # two names, not *args: that alone would cost 0.1 µs
        if _is_any_wanted(self._teardown):
            copy_context().run(_run_within, self._app, self._on_message, conn, message)
            return
        place, self._spare = self._spare, None
        if place is None:
            place = self._more.pop() if self._more else _Place(self._app)
        if place.in_g:  # a greenlet that has a copy of it has put something there meanwhile
            place = _Place(self._app)
        try:
            call_in_copy(place.variables, self._on_message, conn, message)
        finally:
            if not place.in_g:  # else it is left to whoever has a copy of it
                if self._spare is None:
                    self._spare = place
                else:
                    self._more.append(place)


def for_messages(app: Flask, on_message: Callable[..., Any]) -> Callable[[Connection, Any], None]:
    """Returns ``on_message`` or ``on_stream`` so that each message has an app context of its own, torn down behind it.

    While nobody wants to know of its end, contexts in whose ``g`` nothing was left are used again, one by each call
    that runs: to make and pop a context costs more than to echo a message. Context variables that a call sets are gone
    behind it, so that nothing of one connection is seen by the next, nor by a greenlet that has a copy of its context.
    """
    return _Messages(app, on_message).run


_of_views: dict[greenlet, ViewContexts] = {}  # by the greenlets in which they run; a context variable is slower to find


class ViewContexts:
    """The app contexts of the view that runs in this greenlet: one for each message, or the same again as above.

    Args:
        app: the application.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._teardown = app.teardown_appcontext_funcs
        self._context: AppContext | None = None
        self._variables: dict[str, Any] = {}  # what is in its g
        _of_views[getcurrent()] = self

    def renew(self) -> None:
        """Ends the app context of the last message and begins the next, unless nobody could tell the difference."""
        if self._context is None or self._variables or _is_any_wanted(self._teardown):
            self._pop()
            self._context = self._app.app_context()
            self._context.push()
            self._variables = self._context.g.__dict__

    def end(self) -> None:
        """The view has ended, and with it the last one."""
        del _of_views[getcurrent()]
        self._pop()

    def _pop(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            context.pop()  # its teardown functions are given the exception that is on its way, if there is one


def before_wait(me: greenlet) -> None:
    """Lets go of what the last message needed, such as a database session. Called when a view is about to wait."""
    contexts = _of_views.get(me)
    if contexts is not None:
        contexts.renew()


def for_the_end(app: Flask, on_close: Callable[..., Any]) -> Callable[[Connection, int, str], None]:
    """Returns ``on_close`` so that it has an app context of its own."""

    def run(conn: Connection, code: int, reason: str) -> None:
        copy_context().run(_run_within, app, on_close, conn, code, reason)

    return run


def _run_within(app: Flask, function: Callable[..., Any], *args: Any) -> None:
    with app.app_context():
        function(*args)


def run_in_context(app: Flask) -> Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]:
    """Returns what runs a spawned function in an app context."""

    def around(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with app.app_context():
            return function(*args, **kwargs)

    return around
