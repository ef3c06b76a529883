"""What GreenWS keeps for one application, in ``app.extensions["greenws"]``. The extension itself stores no app."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, got_request_exception, request
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing.exceptions import WebsocketMismatch

from greenws.config import Config
from greenws.errors import HandshakeError
from greenws.flaskext.dispatch import Dispatcher
from greenws.flaskext.metrics import METRICS, Metrics, observe
from greenws.flaskext.route import Route, error_answer, serve, serve_lean
from greenws.flaskext.routing import Routing
from greenws.flaskext.sessions import keep_sessions
from greenws.flaskext.steps import is_flasks, route_of
from greenws.net.connection import Connection
from greenws.net.registry import Registry
from greenws.net.sender import Service
from greenws.protocol.handshake import check_request
from greenws.protocol.http import RequestHead
from greenws.server.readiness import Readiness

if TYPE_CHECKING:
    from greenws.flaskext.testing import TestClient


class AppState:
    """One application's routes, settings and live connections.

    Attributes:
        app: the application.
        config: its settings.
        registry: its live connections in this process.
        readiness: what it warms up before this process accepts connections.
    """

    def __init__(self, app: Flask, config: Config, warm_up: Iterable[Any] | None = None) -> None:
        self.app = app
        self.config = config
        self.registry = Registry.of(config)
        targets = None if warm_up is None else (self.rehearse, *warm_up)
        self.readiness = Readiness(targets, is_required=config.require_warm_up)
        self._services: dict[str, Service] = {}
        self._routing = Routing(app)
        self._views_seen = 0
        self._has_lean = False
        inner: Any = app.wsgi_app
        if isinstance(inner, ProxyFix):  # it says who the peer is, so we stand behind it, whichever came first
            inner.app, inner = self, inner.app
        else:
            app.wsgi_app = self  # type: ignore[method-assign]
        self._flask = Dispatcher(app, inner, self._routing)
        keep_sessions(app)
        app.register_error_handler(WebsocketMismatch, self._mismatch)
        observe(app.extensions, self, config.metrics)

    @property
    def connections(self) -> Iterable[Connection]:
        """The live connections of this application in this process."""
        return self.registry

    @property
    def metrics(self) -> Metrics | None:
        """What is measured and published of this application; None when nobody has asked for that."""
        return self.app.extensions.get(METRICS)

    @property
    def is_ready(self) -> bool:
        """Whether this process is to be sent connections: it is warm, and not about to end."""
        return self.readiness.is_warm and not self.registry.is_draining

    def rehearse(self) -> None:
        """Lets this process do what it does only once. Blocks for a few milliseconds."""
        from greenws.flaskext.rehearsal import rehearse

        rehearse(self)

    def prepare(self) -> None:
        """Makes what the routes share, and compiles the rules of the URLs."""
        for endpoint, view in self.app.view_functions.items():
            if (route := route_of(view)) is not None:
                self._service(route, endpoint)
        self.app.url_map.update()

    def routes(self) -> Iterable[tuple[str, Service]]:
        """Returns the rule of each route that this process has met, with what its connections share."""
        for endpoint, service in self._services.items():
            yield next((rule.rule for rule in self.app.url_map.iter_rules(endpoint)), endpoint), service

    def serve(self, route: Route, values: dict[str, Any], asked: Request) -> Any:
        """Runs a WebSocket route inside a Flask request."""
        assert asked.endpoint is not None
        return serve(self, route, self._service(route, asked.endpoint), values, asked.environ)

    def _service(self, route: Route, endpoint: str) -> Service:
        service = self._services.get(endpoint)
        if service is None:
            service = self._services[endpoint] = route.make_service(self, endpoint)
        return service

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI: routes without a request context are served here, everything else by Flask."""
        if (metrics := self.metrics) is not None:
            return metrics.serve(environ, start_response, self.answer)
        return self.answer(environ, start_response)

    def answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a request that is not for metrics."""
        if not self.readiness.is_warm:
            self.readiness.begin()
        if self.config.ready_path is not None and environ.get("PATH_INFO") == self.config.ready_path:
            answer = Response("ready\n") if self.is_ready else Response("not ready\n", 503, {"Retry-After": "1"})
            return answer(environ, start_response)
        if "HTTP_UPGRADE" not in environ:
            return self._flask.wsgi_app(environ, start_response)  # type: ignore[no-any-return]
        adapter = None
        if self._may_be_lean() and self._flask.is_next:
            try:
                adapter = self._routing.bind(environ)
                rule, values = adapter.match(return_rule=True)
                route = route_of(self.app.view_functions.get(rule.endpoint))
            except Exception:  # no rule, or a converter that wants an app context
                route = None  # Flask answers, with its error handlers
            if route is not None and not route.request_context:
                service = self._service(route, rule.endpoint)
                return serve_lean(self, route, service, dict(values), environ, start_response)  # type: ignore[no-any-return]
        return self._flask.serve(environ, start_response, adapter)

    def find_straight(self, application: Any, head: RequestHead, environ: Mapping[str, Any]) -> Service | None:
        """Returns what an upgrade belongs to if its path is known and nothing of the application would run for it.

        Args:
            application: what the server would ask.
            head: the request.
            environ: what the server would give it with each request.
        """
        app = self.app
        endpoint = self._routing.find_known(head, environ)
        if endpoint is None or head.path == self.config.ready_path or not self.registry.addresses.are_unlimited:
            return None
        route = route_of(app.view_functions.get(endpoint))
        if route is None or not route.is_silent or (route.request_context and self._flask.runs_something(head)):
            return None
        if application is not app or app.wsgi_app is not self or not (is_flasks(app.__call__) and self._flask.is_next):
            return None  # there is a middleware
        if self.metrics is not None or not self.readiness.is_warm or app.config.get("TRUSTED_HOSTS") is not None:
            return None
        service: Service | None = self._services.get(endpoint)
        return service

    def _may_be_lean(self) -> bool:
        """Whether the application has a route without a request context; else Flask alone needs to match the rule."""
        views = self.app.view_functions
        if len(views) != self._views_seen:
            self._views_seen = len(views)
            routes = map(route_of, views.values())
            self._has_lean = any(route is not None and not route.request_context for route in routes)
        return self._has_lean

    def _mismatch(self, error: WebsocketMismatch) -> Response | WebsocketMismatch:
        """A WebSocket route without an upgrade request gets 426; an ordinary route with one keeps Flask's 400."""
        get = request.headers.get
        try:
            check_request(request.method, request.environ["SERVER_PROTOCOL"], get)
        except HandshakeError as refusal:
            return error_answer(self, refusal)
        return error

    def report(self, conn: Connection, error: BaseException) -> None:
        """Logs what a handler raised, once, and tells those who listen to ``got_request_exception``."""
        self.app.logger.error("Exception on WebSocket %r", conn.path, exc_info=sys.exc_info())
        with self.app.app_context():
            got_request_exception.send(self.app, _async_wrapper=self.app.ensure_sync, exception=error)

    def test_client(self) -> TestClient:
        """Returns a client that connects to the routes over a socket pair, without a port."""
        from greenws.flaskext.testing import TestClient

        return TestClient(self.app)
