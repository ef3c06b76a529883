"""The steps of a request through Flask, from its first signal to its response, compiled.

What they do, and in which order, is Flask's. They are for applications whose steps are all its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_ITERABLE_COROUTINE
from types import FunctionType, MethodType
from typing import Any

from flask import Flask, Request, Response, request_finished, request_started
from flask.ctx import AppContext, RequestContext

from greenws.flaskext.view_function import CODE

# Methods, and classes of which Flask makes an object. A new application has none of its own.
_FLASKS = frozenset(name for name in dir(Flask) if callable(getattr(Flask, name))) - {"wsgi_app"}


def is_flasks(method: Any, module: str = "flask.app") -> bool:
    """Whether a method, of an application or of its class, is Flask's own: nobody overrides, replaces or wraps it."""
    function = method.__func__ if type(method) is MethodType else method
    # A wrapper may pass itself off as what it wraps, but for its type.
    return type(function) is FunctionType and function.__module__ == module and not hasattr(function, "__wrapped__")


# What of Flask's class runs for each request, beside what it does first: tools that watch or guard put theirs there.
_STEPS = tuple(
    (name, getattr(Flask, name))
    for name in (
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
)
# What runs for each request of other classes, and where it is written.
_BESIDE = tuple(
    (module, owner, name, getattr(owner, name))
    for module, owner, names in (
        ("flask.ctx", RequestContext, ("push", "pop")),
        ("flask.ctx", AppContext, ("__init__", "push", "pop")),
        ("werkzeug.wrappers.request", Request, ("__init__", "close")),
    )
    for name in names
)
_HAS_STEPS = all(is_flasks(method) for _, method in _STEPS) and all(
    is_flasks(method, module) for module, _, _, method in _BESIDE
)


def has_flasks_steps(app: Flask) -> bool:
    """Whether all that Flask does for a request is Flask's own in this application: no subclass, patch or wrapper."""
    if not _HAS_STEPS:
        return False
    kind, own = type(app), vars(app)
    for name, method in _STEPS:
        if getattr(kind, name) is not method or name in own:
            return False
    for _, owner, name, method in _BESIDE:
        if getattr(owner, name) is not method:
            return False
    return True


def has_own_methods(app: Flask) -> bool:
    """Whether something is in the place of any method of this application, or of a class of which it makes objects."""
    return not _FLASKS.isdisjoint(vars(app))


def route_of(function: Any) -> Any:
    """Returns the route whose function this is, with nothing in front of it; else None."""
    # A decorator's wrapper has the attributes of what it wraps, but not its code.
    return vars(function)["greenws_route"] if type(function) is FunctionType and function.__code__ is CODE else None


def run_steps(app: Flask, context: RequestContext) -> Response:
    """Does what ``Flask.full_dispatch_request`` does.

    Args:
        app: the application; it ``has_flasks_steps``.
        context: the current one.
    """
    app._got_first_request = True
    request = context.request
    try:
        if request_started.receivers:
            request_started.send(app, _async_wrapper=app.ensure_sync)
        answer = _preprocess(app, request)
        if answer is None:
            answer = _dispatch(app, request)
    except Exception as error:
        answer = app.handle_user_exception(error)
    return _finalize(app, context, answer if isinstance(answer, app.response_class) else app.make_response(answer))


def _finalize(app: Flask, context: RequestContext, response: Response) -> Response:
    """The functions that run behind the view, and the session's cookie."""
    request = context.request
    for function in context._after_request_functions:
        response = _sync(app, function)(response)
    functions: Any = app.after_request_funcs
    if functions:
        for name in (*_blueprints(request), None):
            if name in functions:
                for function in reversed(functions[name]):
                    response = _sync(app, function)(response)
    sessions, session = app.session_interface, context._session
    if session is not None and not sessions.is_null_session(session):
        sessions.save_session(app, session, response)
    if request_finished.receivers:
        request_finished.send(app, _async_wrapper=app.ensure_sync, response=response)
    return response


def _preprocess(app: Flask, request: Request) -> Any:
    """The functions that run before the view. Returns the answer of the first that has one."""
    names = (None, *reversed(_blueprints(request)))
    functions: Any = app.url_value_preprocessors
    if functions:
        for name in names:
            if name in functions:
                for function in functions[name]:
                    function(request.endpoint, request.view_args)
    functions = app.before_request_funcs
    for name in names:
        if name in functions:
            for function in functions[name]:
                answer = _sync(app, function)()
                if answer is not None:
                    return answer
    return None


def _dispatch(app: Flask, request: Request) -> Any:
    """The view."""
    if request.routing_exception is not None or request.method != "GET":
        return app.dispatch_request()
    rule: Any = request.url_rule
    function = app.view_functions[rule.endpoint]
    route = route_of(function)
    if route is not None:
        return app.extensions["greenws"].serve(route, request.view_args, request)
    return _sync(app, function)(**request.view_args)  # type: ignore[arg-type]


def _blueprints(request: Request) -> Sequence[str]:
    rule: Any = request.url_rule
    return () if rule is None or "." not in rule.endpoint else request.blueprints


_ASYNC = CO_COROUTINE | CO_ITERABLE_COROUTINE | CO_ASYNC_GENERATOR


def _sync(app: Flask, function: Callable[..., Any]) -> Callable[..., Any]:
    """As Flask's ``ensure_sync``, which looks long at what is an ordinary function at first sight."""
    if type(function) is FunctionType and not function.__code__.co_flags & _ASYNC:
        if not function.__dict__:  # a mark that says "asynchronous" may be there, or what was decorated
            return function
    return app.ensure_sync(function)
