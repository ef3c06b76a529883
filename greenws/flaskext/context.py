"""App contexts for what runs outside a request: messages, the end of a connection, spawned greenlets."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from flask import Flask, appcontext_popped, appcontext_pushed, appcontext_tearing_down
from flask.ctx import AppContext

from greenws.net.connection import Connection

# An app context, what makes the context variables in which it is the current one, and what is in its g.
_Place = tuple[AppContext, Callable[[], Context], dict[str, Any]]


def has_teardown(app: Flask) -> bool:
    """Whether anybody wants to know when an app context begins or ends."""
    ending, ended, begun = _receivers()
    return _is_any_wanted(app.teardown_appcontext_funcs, ending, ended, begun)


def _receivers() -> list[dict[Any, Any]]:
    return [signal.receivers for signal in (appcontext_tearing_down, appcontext_popped, appcontext_pushed)]


def _is_any_wanted(teardown: list[Any], ending: dict[Any, Any], ended: dict[Any, Any], begun: dict[Any, Any]) -> bool:
    return bool(teardown or ending or ended or begun)


def for_messages(app: Flask, on_message: Callable[..., Any]) -> Callable[[Connection, Any], None]:
    """Returns ``on_message`` or ``on_stream`` so that each message has an app context of its own, torn down behind it.

    While nobody wants to know of its end, contexts in whose ``g`` nothing was left are used again, one by each call
    that runs: to make and pop a context costs more than to echo a message. Context variables that a call sets are gone
    behind it, so that nothing of one connection is seen by the next, nor by a greenlet that has a copy of its context.
    """
    # Looked up once: these lists and dicts stay the same objects however many functions and receivers come and go.
    teardown = app.teardown_appcontext_funcs
    ending, ended, begun = _receivers()
    spare: _Place | None = None
    more: list[_Place] = []

    def run(conn: Connection, message: Any) -> None:  # two names, not *args: that alone would cost 0.1 µs
        nonlocal spare
        if _is_any_wanted(teardown, ending, ended, begun):
            copy_context().run(_run_within, app, on_message, conn, message)
            return
        place, spare = spare, None
        if place is None:
            place = more.pop() if more else _push(app)
        if place[2]:  # a greenlet that has a copy of it has put something there meanwhile
            place = _push(app)
        try:
            place[1]().run(on_message, conn, message)
        finally:
            if not place[2]:  # else it is left to whoever has a copy of it
                if spare is None:
                    spare = place
                else:
                    more.append(place)

    return run


def for_the_end(app: Flask, on_close: Callable[..., Any]) -> Callable[[Connection, int, str], None]:
    """Returns ``on_close`` so that it has an app context of its own."""

    def run(conn: Connection, code: int, reason: str) -> None:
        copy_context().run(_run_within, app, on_close, conn, code, reason)

    return run


def _push(app: Flask) -> _Place:
    context, variables = app.app_context(), Context()
    variables.run(context.push)
    return context, variables.copy, context.g.__dict__


def _run_within(app: Flask, function: Callable[..., Any], *args: Any) -> None:
    with app.app_context():
        function(*args)


def run_in_context(app: Flask) -> Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]:
    """Returns what runs a spawned function in an app context."""

    def around(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with app.app_context():
            return function(*args, **kwargs)

    return around
