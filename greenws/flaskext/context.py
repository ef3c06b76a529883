"""App contexts for what runs outside a request: messages, the end of a connection, spawned greenlets."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

from flask import Flask, appcontext_popped, appcontext_pushed, appcontext_tearing_down
from flask.ctx import AppContext

_kept: ContextVar[AppContext] = ContextVar("greenws.app_context")


def has_teardown(app: Flask) -> bool:
    """Whether anybody wants to know when an app context begins or ends."""
    return bool(
        app.teardown_appcontext_funcs
        or appcontext_tearing_down.receivers
        or appcontext_popped.receivers
        or appcontext_pushed.receivers
    )


def in_fresh_context(app: Flask, function: Callable[..., Any]) -> Callable[..., None]:
    """Returns ``function`` so that each call has an app context of its own, torn down behind it.

    While nobody wants to know of its end, the greenlet keeps one context for all of its calls and only empties ``g``:
    to make and pop a context costs more than to echo a message.
    """

    def run(*args: Any) -> None:
        if has_teardown(app):
            copy_context().run(_run_within, app, function, args)
            return
        context = _kept.get(None)
        if context is None or context.app is not app:
            if context is not None:
                context.pop()  # another application's; pushed upon it, ours would keep it alive
            context = app.app_context()
            context.push()
            _kept.set(context)
        try:
            copy_context().run(function, *args)
        finally:
            if context.g.__dict__:
                context.g = app.app_ctx_globals_class()

    return run


def _run_within(app: Flask, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    with app.app_context():
        function(*args)


def run_in_context(app: Flask) -> Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]:
    """Returns what runs a spawned function in an app context."""

    def around(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with app.app_context():
            return function(*args, **kwargs)

    return around
