"""One WebSocket route: from an upgrade request to a connection, along the phases of Flask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import gevent
from flask import Flask, Response, make_response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, InternalServerError

from greenws.errors import HandshakeError, RequestError, StateError, UnsupportedServer
from greenws.flaskext.context import before_wait, for_messages, for_the_end, run_in_context
from greenws.flaskext.endpoint import Endpoint
from greenws.flaskext.view import View
from greenws.net.connection import Connection
from greenws.net.sender import Service
from greenws.server.admission import admit

if TYPE_CHECKING:
    from greenws.flaskext.state import AppState


class Route:
    """What ``GreenWS.route`` was given.

    Args:
        target: the view function, or an instance of an ``Endpoint`` class.
        options: settings that differ from the application's.
        request_context: whether the upgrade runs through Flask's request handling.
    """

    def __init__(
        self, target: Callable[..., Any] | Endpoint, options: dict[str, Any], request_context: bool = True
    ) -> None:
        self.target = target
        self.options = options
        self.request_context = request_context

    def defines(self, handler: str) -> bool:
        """Whether the endpoint has a handler of its own; for the empty one of the base no context needs to be made."""
        return getattr(getattr(self.target, handler), "__func__", None) is not getattr(Endpoint, handler)

    @property
    def is_silent(self) -> bool:
        """Whether nothing of the route runs before the connection is open."""
        return isinstance(self.target, Endpoint) and not self.defines("on_open")

    def make_service(self, state: AppState, name: str) -> Service:
        """Returns what the connections of this route share in one application."""
        config = state.config.replace(**self.options)
        hooks: dict[str, Any] = {}
        if isinstance(self.target, Endpoint):
            hooks["on_message"] = for_messages(state.app, self.target.on_message)
            if self.defines("on_stream"):
                hooks["on_stream"] = for_messages(state.app, self.target.on_stream)
            if self.defines("on_close"):
                hooks["on_close"] = for_the_end(state.app, self.target.on_close)
        else:
            hooks["between"] = before_wait
        return Service(
            config,
            state.registry,
            name,
            on_error=state.report,
            around=run_in_context(state.app),
            dumps=state.app.json.dumps,
            loads=state.app.json.loads,
            **hooks,
        )


def prepare(service: Service, environ: Mapping[str, Any]) -> tuple[Connection, list[tuple[str, str]]]:
    """Checks an upgrade request and makes the connection for it, which the server will hand the descriptor to.

    Returns:
        The connection, and the headers of the 101.

    Raises:
        HandshakeError: the request is refused.
        UnsupportedServer: the server cannot hand the connection over.
    """
    conn, headers, hand_over = admit(service, environ)
    hand_over.connection = conn
    return conn, headers


# What werkzeug finds out for each response of this status, in as much time as a lean handshake takes by half.
_AS_EACH = vars(Response(status=101))
_ARE_A_LIST = vars(Headers([("a", "b")])) == {"_list": [("a", "b")]}  # headers of werkzeug's


class UpgradeResponse(Response):
    """The 101, on its way through ``after_request``: headers and cookies may be added, status and body stay."""

    default_mimetype = None

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        vars(self).update(_AS_EACH)
        self.response, self._on_close = [], []
        self.headers = Headers(None if _ARE_A_LIST else headers)
        if _ARE_A_LIST:
            self.headers._list = headers  # each is looked at for line ends otherwise, and these are ours

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answers through the server, which hands the descriptor over behind the 101."""
        if self.status_code != 101 or self.response:
            raise StateError(
                "an after_request function changed the status or body of a WebSocket upgrade; "
                "refuse in before_request, or return another response"
            )
        start_response("101 Switching Protocols", self.headers.to_wsgi_list())
        return iter(())


def error_answer(state: AppState, error: RequestError | UnsupportedServer) -> Response:
    """Returns the HTTP response of a refusal, and counts the limit that led to it."""
    if isinstance(error, UnsupportedServer):
        return Response(f"{error}\n", 501, mimetype="text/plain")
    if error.limit is not None:
        state.registry.limits[error.limit] += 1
    return Response(f"{error.message}\n", error.status, list(error.headers), mimetype="text/plain")


def serve(state: AppState, route: Route, service: Service, values: dict[str, Any], environ: Mapping[str, Any]) -> Any:
    """The Flask view of a route: runs inside the request, and returns its response."""
    try:
        conn, headers = prepare(service, environ)
    except (HandshakeError, UnsupportedServer) as error:
        return error_answer(state, error)
    opened = False
    try:
        answer = open_route(state, route, conn, values)
        opened = answer is None
    finally:
        if not opened:
            conn.abandon()
    if answer is not None:
        return answer
    conn.accept()
    return UpgradeResponse(headers)


def serve_lean(
    state: AppState, route: Route, service: Service, values: dict[str, Any], environ: Any, start_response: Any
) -> Any:
    """The same without a Flask request: an app context is all there is."""
    try:
        conn, headers = prepare(service, environ)
    except (HandshakeError, UnsupportedServer) as error:
        return error_answer(state, error)(environ, start_response)
    try:
        answer = _open_lean(state, route, conn, values)
    except HTTPException as error:
        answer = error
    except (Exception, gevent.Timeout) as error:
        state.report(conn, error)
        answer = InternalServerError()
    if answer is None:
        conn.accept()
        start_response("101 Switching Protocols", headers)
        return iter(())  # of unknown length: a server would announce a body of none
    conn.abandon()
    return _as_response(state.app, answer)(environ, start_response)


def _open_lean(state: AppState, route: Route, conn: Connection, values: dict[str, Any]) -> Any:
    """Lets the route open the connection. Returns the response of a route that does not want to."""
    if not isinstance(route.target, Endpoint):
        return open_route(state, route, conn, values)  # a view makes the app contexts that it needs
    if not route.defines("on_open"):
        return None
    with state.app.app_context():
        return open_route(state, route, conn, values)


def open_route(state: AppState, route: Route, conn: Connection, values: dict[str, Any]) -> Any:
    """Runs ``on_open``, or the view up to its first use of the connection. None means that the upgrade is to go on."""
    if isinstance(route.target, Endpoint):
        return route.target.on_open(conn, **values)
    return View(state.app, route.target, conn, values).start()


def _as_response(app: Flask, answer: Any) -> Any:
    if isinstance(answer, HTTPException):
        return answer.get_response()
    with app.test_request_context():
        return make_response(answer)
