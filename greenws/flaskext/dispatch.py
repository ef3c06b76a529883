"""An upgrade request through Flask: every hook, signal, session and error handler, for less than Flask takes.

What Flask makes anew for each request, with the same outcome each time, is kept: the URL adapter, the match of a path
without values, and the serializer of the session cookie.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from blinker import Signal
from flask import (
    Flask,
    Request,
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    request_finished,
    request_started,
    request_tearing_down,
)
from flask.ctx import AppContext, RequestContext
from flask.globals import _cv_app, _cv_request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from greenws.flaskext.request import make_request
from greenws.flaskext.routing import Bound, Routing
from greenws.flaskext.sessions import KeptSessions
from greenws.flaskext.steps import has_flasks_steps, has_own_methods, is_flasks, run_steps
from greenws.protocol.http import RequestHead

# Flask 3.1 keeps a request's session there. What another version has instead, it is asked to make itself.
_KNOWS_CONTEXT = isinstance(vars(RequestContext).get("session"), property)
# Sent for each request: when it has ended, and before that.
_ENDS = request_tearing_down, appcontext_tearing_down, appcontext_popped
_SIGNALS = appcontext_pushed, request_started, request_finished, *_ENDS


def _is_any_wanted(signals: Iterable[Signal]) -> bool:
    return any(signal.receivers for signal in signals)


class Dispatcher:
    """Serves the upgrade requests of an application as Flask does.

    Args:
        app: the application.
        wsgi_app: what was in its ``wsgi_app`` before us: Flask's own, or a middleware that knows nothing of us.
        routing: of the application.
    """

    def __init__(self, app: Flask, wsgi_app: Any, routing: Routing) -> None:
        self.wsgi_app = wsgi_app
        self._app = app
        self._routing = routing

    @property
    def is_next(self) -> bool:
        """Whether nobody has put a function of their own in front of Flask's, in whose place or behind whom we are."""
        return is_flasks(self.wsgi_app) and getattr(self.wsgi_app, "__self__", None) is self._app

    @property
    def is_free(self) -> bool:
        """Whether that is so, and nobody has one in place of what else we do without."""
        app = self._app
        return _KNOWS_CONTEXT and self.is_next and is_flasks(app.request_context) and is_flasks(app.create_url_adapter)

    def serve(self, environ: dict[str, Any], start_response: Any, adapter: MapAdapter | None = None) -> Iterable[bytes]:
        """Does what ``Flask.wsgi_app`` does, and asks that when it is not what it was.

        Args:
            environ: of the request.
            start_response: WSGI's.
            adapter: that ``routing`` has bound to it, if it has.
        """
        if not self.is_free or "werkzeug.debug.preserve_context" in environ:
            return self.wsgi_app(environ, start_response)  # type: ignore[no-any-return]
        app = self._app
        context = _Context(app, self._routing, environ, adapter)
        error: BaseException | None = None
        try:
            try:
                context.push()
                response = run_steps(app, context) if context.has_flasks_steps else app.full_dispatch_request()
            except Exception as raised:
                error = raised
                response = app.handle_exception(raised)
            except BaseException:
                error = sys.exc_info()[1]
                raise
            return response(environ, start_response)
        finally:
            if error is not None and app.should_ignore_error(error):
                error = None
            context.pop(error)

    def runs_something(self, head: RequestHead) -> bool:
        """Whether anybody's code would run for an upgrade beside the view, or be able to tell that Flask ran."""
        app = self._app
        hooks: tuple[dict[Any, Any], ...] = (
            app.before_request_funcs,
            app.after_request_funcs,
            app.teardown_request_funcs,
            app.url_value_preprocessors,
        )
        return (
            any(any(functions.values()) for functions in hooks)
            or type(app) is not Flask
            or not self.is_free
            or not has_flasks_steps(app)
            or has_own_methods(app)
            or bool(app.teardown_appcontext_funcs)
            or _is_any_wanted(_SIGNALS)
            or type(app.session_interface) is not KeptSessions
            or app.config["SESSION_COOKIE_NAME"] in (head.get("cookie") or "")
        )


class _Context(RequestContext):
    """Flask's request context, with a URL adapter that is bound rather than made."""

    def __init__(self, app: Flask, routing: Routing, environ: dict[str, Any], adapter: MapAdapter | None) -> None:
        self.app = app
        self.has_flasks_steps = has_flasks_steps(app)
        self.request = make_request(app, environ) if self.has_flasks_steps else app.request_class(environ)
        self.request.json_module = app.json
        self.url_adapter = adapter if isinstance(adapter, Bound) else None
        if self.url_adapter is None:
            try:
                self.url_adapter = routing.bind(environ, self.request)
            except HTTPException as error:
                self.request.routing_exception = error
        self.flashes = None
        self._session = None
        self._after_request_functions = []
        self._cv_tokens = []

    def push(self) -> None:
        """As Flask's, for which it looks up much when nobody wants to know of a request's begin."""
        app = self.app
        is_first = _cv_app.get(None) is None and self._session is None and app.config["SERVER_NAME"] is None
        if not is_first or not self.has_flasks_steps or appcontext_pushed.receivers:
            super().push()
            return
        app_context = AppContext.__new__(AppContext)
        app_context.app = app
        app_context.url_adapter = None
        app_context.g = app.app_ctx_globals_class()
        app_context._cv_tokens = []
        app_context._cv_tokens.append(_cv_app.set(app_context))
        self._cv_tokens.append((_cv_request.set(self), app_context))
        sessions = app.session_interface
        self._session = sessions.open_session(app, self.request)
        if self._session is None:
            self._session = sessions.make_null_session(app)
        if self.url_adapter is not None:
            self.match_request()

    def pop(self, *error: Any) -> None:
        """As Flask's, for which it looks up much when nobody wants to know of a request's end."""
        app = self.app
        is_wanted = app.teardown_request_funcs or app.teardown_appcontext_funcs or _is_any_wanted(_ENDS)
        if is_wanted or len(self._cv_tokens) != 1 or not self.has_flasks_steps:
            super().pop(*error)
            return
        try:
            if type(self.request) is not Request or "files" in vars(self.request):
                self.request.close()
        finally:
            context = _cv_request.get()
            token, app_context = self._cv_tokens.pop()
            _cv_request.reset(token)
            self.request.environ["werkzeug.request"] = None
            if app_context is not None:
                if _cv_app.get(None) is app_context:
                    _cv_app.reset(app_context._cv_tokens.pop())
                else:
                    app_context.pop(*error)  # which says so
            if context is not self:
                raise AssertionError(f"another request context was popped: {context!r} instead of {self!r}")

    def copy(self) -> RequestContext:
        """As Flask's, for a greenlet that outlives the request."""
        return RequestContext(self.app, self.request.environ, self.request, self._session)
