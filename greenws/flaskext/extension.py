"""``GreenWS``: WebSocket routes for Flask applications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, TypeVar
from weakref import WeakSet

from flask import Blueprint, Flask, current_app

from greenws.config import Compression, Config
from greenws.errors import ConfigError
from greenws.flaskext.endpoint import Endpoint
from greenws.flaskext.route import Route
from greenws.flaskext.state import AppState
from greenws.flaskext.view_function import make_view_function
from greenws.net.connection import Connection

Target = TypeVar("Target", bound=Callable[..., Any])


class GreenWS:
    """Adds WebSocket routes to a Flask application.

    Everything it knows of an application is in ``app.extensions["greenws"]``, so one object can serve several
    (application factories).

    Args:
        app: the application; or call ``init_app`` later.
        warm_up: what each process warms up before it accepts connections: pools, and functions without arguments.
            An empty list warms up the process itself, None nothing.
        options: settings, named as in ``greenws.config.Config``. They win over the ``GREENWS_*`` keys of the
            application's configuration.

    Example:
        .. code-block:: python

            ws = GreenWS(app)

            @ws.route("/echo")
            def echo(conn):
                for message in conn:
                    conn.send(message)
    """

    def __init__(self, app: Flask | None = None, *, warm_up: Iterable[Any] | None = None, **options: Any) -> None:
        self._options = options
        self._warm_up = None if warm_up is None else tuple(warm_up)
        self._rules: list[tuple[str, str, Callable[..., Any], dict[str, Any]]] = []
        self._apps: WeakSet[Flask] = WeakSet()  # only to tell them of later routes; the extension keeps none alive
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, **options: Any) -> None:
        """Adds the routes known so far, and those that follow, to an application.

        Raises:
            ConfigError: a setting cannot work, or the application has been given a GreenWS before.
        """
        if "greenws" in app.extensions:
            raise ConfigError("this application has a GreenWS already")
        config = Config.from_mapping(app.config, **{**self._options, **options})
        app.extensions["greenws"] = AppState(app, config, self._warm_up)
        for rule, endpoint, view, rule_options in self._rules:
            app.add_url_rule(rule, endpoint, view, **rule_options)
        self._apps.add(app)

    @property
    def connections(self) -> Iterable[Connection]:
        """The live connections of the current application in this process."""
        state: AppState = current_app.extensions["greenws"]
        return state.connections

    @property
    def is_ready(self) -> bool:
        """Whether this process is to be sent connections to the current application: warm, and not about to end."""
        state: AppState = current_app.extensions["greenws"]
        return state.is_ready

    @property
    def limits(self) -> Counter[str]:
        """How often each limit of the current application was hit in this process, by its setting's name."""
        state: AppState = current_app.extensions["greenws"]
        return state.registry.limits

    def route(
        self,
        rule: str,
        *,
        bp: Blueprint | None = None,
        endpoint: str | None = None,
        subprotocols: Iterable[str] | None = None,
        origins: str | Iterable[str] | None = None,
        max_message_size: int | None = None,
        max_stream_size: int | None = None,
        compression: bool | Compression | None = None,
        request_context: bool = True,
        **options: Any,
    ) -> Callable[[Target], Target]:
        """Decorates a view function (blocking style) or a class derived from ``Endpoint`` (event style).

        Args:
            rule: the URL rule, as for ``Flask.route``; ``options`` go to it.
            bp: the blueprint to add the route to instead of the application.
            endpoint: the name for ``url_for``; the function's or class's name when None.
            subprotocols: served here, best first.
            origins: browsers may come from these.
            max_message_size: bytes.
            max_stream_size: bytes; larger messages than ``max_message_size`` are streams up to this.
            compression: whether messages are compressed, and how.
            request_context: False is the lean path: the rule is matched and the origin checked, but no Flask request is
                made, so ``before_request``, ``after_request``, the session and ``flask.request`` are not there.
                Behind a middleware that was there before GreenWS, other than ``ProxyFix``, one is made all the same.
        """
        given: dict[str, Any] = {
            "subprotocols": subprotocols,
            "origins": origins,
            "max_message_size": max_message_size,
            "max_stream_size": max_stream_size,
            "compression": compression,
        }
        settings = {name: value for name, value in given.items() if value is not None}
        for name in ("subprotocols", "origins"):
            if name in settings and not isinstance(settings[name], str):
                settings[name] = tuple(settings[name])
        Config().replace(**settings)  # a wrong setting fails here, where it was written
        for name in {field.name for field in fields(Config)} & options.keys():
            raise ConfigError(f"{name} is a setting of the application and not of a route: GreenWS(app, {name}=…)")

        def decorate(target: Target) -> Target:
            route = Route(_instance(target), settings, request_context)
            view = make_view_function(route)
            rule_options = {"websocket": True, "methods": ["GET"], "provide_automatic_options": False, **options}
            self._add(rule, endpoint or target.__name__, view, rule_options, bp)
            return target

        return decorate

    def _add(
        self, rule: str, endpoint: str, view: Callable[..., Any], options: dict[str, Any], bp: Blueprint | None
    ) -> None:
        if bp is not None:
            bp.add_url_rule(rule, endpoint, view, **options)
            return
        self._rules.append((rule, endpoint, view, options))
        for app in self._apps:
            app.add_url_rule(rule, endpoint, view, **options)


def _instance(target: Callable[..., Any]) -> Callable[..., Any] | Endpoint:
    if isinstance(target, type):
        if not issubclass(target, Endpoint):
            raise TypeError(f"{target.__name__} is a class but not derived from greenws.Endpoint")
        return target()
    return target
