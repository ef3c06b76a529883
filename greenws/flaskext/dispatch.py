"""An upgrade request through Flask: every hook, signal, session and error handler, for less than Flask takes.

What Flask makes anew for each request, with the same outcome each time, is kept: the URL adapter, the match of a path
without values, and the serializer of the session cookie.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from operator import attrgetter, is_
from typing import Any

from flask import (
    Flask,
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    request_finished,
    request_started,
    request_tearing_down,
)
from flask.ctx import RequestContext
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer
from werkzeug.exceptions import HTTPException

from greenws.flaskext.routing import Routing, is_flasks
from greenws.protocol.http import RequestHead

# Flask 3.1 keeps a request's session there. What another version has instead, it is asked to make itself.
_KNOWS_CONTEXT = isinstance(vars(RequestContext).get("session"), property)
# Methods, and classes of which Flask makes an object. A new application has none of its own.
_FLASKS = frozenset(name for name in dir(Flask) if callable(getattr(Flask, name))) - {"wsgi_app"}
# What of Flask's class runs for each request, beside what it does first: tools that watch or guard put theirs there.
_find_steps = attrgetter(
    "full_dispatch_request",
    "preprocess_request",
    "dispatch_request",
    "ensure_sync",
    "finalize_request",
    "make_response",
    "process_response",
    "app_context",
    "do_teardown_request",
    "do_teardown_appcontext",
)
_STEPS = _find_steps(Flask)
_HAS_STEPS = all(map(is_flasks, _STEPS))
# Sent for each request, in this order.
_SIGNALS = (
    appcontext_pushed,
    request_started,
    request_finished,
    request_tearing_down,
    appcontext_tearing_down,
    appcontext_popped,
)


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

    def serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Does what ``Flask.wsgi_app`` does, and asks that when it is not what it was."""
        if not self.is_free or "werkzeug.debug.preserve_context" in environ:
            return self.wsgi_app(environ, start_response)  # type: ignore[no-any-return]
        app = self._app
        context = _Context(app, self._routing, environ)
        error: BaseException | None = None
        try:
            try:
                context.push()
                response = app.full_dispatch_request()
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
            type(app) is not Flask
            or not self.is_free
            or not _FLASKS.isdisjoint(vars(app))
            or not (_HAS_STEPS and all(map(is_, _find_steps(Flask), _STEPS)))
            or any(any(functions.values()) for functions in hooks)
            or bool(app.teardown_appcontext_funcs)
            or any(signal.receivers for signal in _SIGNALS)
            or type(app.session_interface) is not KeptSessions
            or app.config["SESSION_COOKIE_NAME"] in (head.get("cookie") or "")
        )


class _Context(RequestContext):
    """Flask's request context, with a URL adapter that is bound rather than made."""

    def __init__(self, app: Flask, routing: Routing, environ: dict[str, Any]) -> None:
        self.app = app
        self.request = app.request_class(environ)
        self.request.json_module = app.json
        self.url_adapter = None
        try:
            self.url_adapter = routing.bind(environ, self.request)
        except HTTPException as error:
            self.request.routing_exception = error
        self.flashes = None
        self._session = None
        self._after_request_functions = []
        self._cv_tokens = []

    def copy(self) -> RequestContext:
        """As Flask's, for a greenlet that outlives the request."""
        return RequestContext(self.app, self.request.environ, self.request, self._session)


class KeptSessions(SecureCookieSessionInterface):
    """Flask's own sessions in cookies. The serializer, which Flask makes twice a request, is kept."""

    def __init__(self) -> None:
        self._made_of: tuple[Any, ...] | None = None
        self._serializer: URLSafeTimedSerializer | None = None

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Returns the serializer of the application's keys; None without a key."""
        keys = app.secret_key, *(app.config.get("SECRET_KEY_FALLBACKS") or ())
        made_of = keys, self.salt, self.digest_method, self.key_derivation, self.serializer
        if made_of != self._made_of:
            self._serializer = super().get_signing_serializer(app)
            self._made_of = made_of
        return self._serializer


def keep_sessions(app: Flask) -> None:
    """Gives the application sessions that are kept, if those that it has are Flask's own, as they come."""
    interface = app.session_interface
    if type(interface) is SecureCookieSessionInterface and not vars(interface):
        app.session_interface = KeptSessions()
