"""What gevent-websocket offers, on our connections. Applications written for it change the import, and nothing else.

The classes derive from its own, so what it defines and we do not change is as it was: ``Resource``,
``WebSocketApplication``, the attributes of a ``WebSocket``. What is ours: the handshake, frames and their limits, close
codes, the heartbeat, and how a process ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from gevent import pywsgi
from geventwebsocket import handler as original
from geventwebsocket import server as original_server
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.handler import Client
from geventwebsocket.resource import Resource, WebSocketApplication
from geventwebsocket.websocket import MSG_ALREADY_CLOSED, MSG_CLOSED, MSG_SOCKET_DEAD

from greenws.compat.upgrading import Answer, Application, ApplicationRun, Environ, StartResponse, Upgrading
from greenws.compat.websocket import WebSocket
from greenws.config import Config
from greenws.errors import ConfigError, ConnectionClosed
from greenws.flaskext.metrics import METRICS
from greenws.net.connection import Connection
from greenws.server.wsgi import WSGIHandler, WSGIServer

__all__ = [
    "MSG_ALREADY_CLOSED",
    "MSG_CLOSED",
    "MSG_SOCKET_DEAD",
    "Client",
    "Resource",
    "WebSocket",
    "WebSocketApplication",
    "WebSocketError",
    "WebSocketHandler",
    "WebSocketMiddleware",
    "WebSocketServer",
]

ENVIRON_KEY = "wsgi.websocket"


class _Run(ApplicationRun):
    """An application's run. The server knows its client from the first use of the socket until it returns."""

    __slots__ = ("_handler",)

    def __init__(self, conn: Connection, application: Application, environ: Environ, handler: Any) -> None:
        super().__init__(conn, application, environ)
        self._handler = handler

    def is_end(self, error: BaseException) -> bool:
        return isinstance(error, ConnectionClosed | WebSocketError)

    def call(self) -> Answer | None:
        try:
            return super().call()
        finally:
            handler = self._handler
            handler.server.clients.pop(handler.client_address, None)
            self._environ[ENVIRON_KEY] = handler.websocket = handler.client = None  # they know each other

    def _use(self, conn: Connection) -> None:
        handler = self._handler
        if not self._is_used and handler.websocket is not None:  # the application has not returned
            clients = handler.server.clients
            if handler.client_address in clients:  # two peers of one address: proxies of one name, a Unix socket
                handler.client_address = handler.active_client.address = (handler.client_address[0], -conn.id)
            clients[handler.client_address] = handler.active_client
        super()._use(conn)


class WebSocketMiddleware(Upgrading):
    """Gives a WSGI application its ``environ["wsgi.websocket"]`` on any server that GreenWS runs on.

    Args:
        application: written for gevent-websocket.
        config: limits and timeouts.
        server: what the application knows as ``ws.handler.server``; None is this object.
        handler_class: of ``ws.handler``; a class derived from ``WebSocketHandler``.
        name: of its connections, for logs and metrics.

    Attributes:
        clients: those that are connected, by address: ``Client`` objects.

    Example:
        ``application = WebSocketMiddleware(application)``
    """

    def __init__(
        self,
        application: Application,
        config: Config | None = None,
        *,
        server: Any = None,
        handler_class: type[WebSocketHandler] | None = None,
        name: str = "gevent-websocket",
    ) -> None:
        super().__init__(application, config, name)
        self.clients: dict[Any, Client] = {}
        self._server = self if server is None else server
        self._handler_class = handler_class or WebSocketHandler
        if not hasattr(self._server, "clients"):
            self._server.clients = {}
        extensions = getattr(application, "extensions", None)
        self.join(extensions if isinstance(extensions, dict) else {}, None if config is None else config.metrics)

    def may_upgrade(self, environ: Environ) -> bool:
        """Whether a request asks for an upgrade, and no other middleware of this kind has it already."""
        return super().may_upgrade(environ) and ENVIRON_KEY not in environ

    def subprotocols(self, environ: Environ) -> Iterable[str] | None:
        """What the application's ``app_protocol(path)`` says, as ``Resource`` has it."""
        app_protocol = getattr(self.application, "app_protocol", None)
        if app_protocol is None:
            return None
        protocol = app_protocol(environ["PATH_INFO"])
        return (protocol,) if protocol else ()

    def answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """As ``Upgrading`` says; but a ``pre_start_hook`` that returns something true leaves it to the application."""
        hook = getattr(self._server, "pre_start_hook", None) if self.may_upgrade(environ) else None
        if hook is not None and hook(self._make_handler(environ)):
            return self.application(environ, start_response) or ()
        return super().answer(environ, start_response)

    def make_run(self, conn: Connection, environ: Environ) -> ApplicationRun:
        """As ``Upgrading`` says."""
        handler = self._make_handler(environ)
        handler.client_address = _address(environ)
        handler.websocket = WebSocket(conn, environ, handler)
        environ[ENVIRON_KEY] = handler.websocket
        environ[f"{ENVIRON_KEY}_version"] = environ["HTTP_SEC_WEBSOCKET_VERSION"]
        return _Run(conn, self.application, environ, handler)

    def _make_handler(self, environ: Environ) -> WebSocketHandler:
        # Not by its constructor: what that makes is a handler of gevent's, with a socket and a reader.
        handler = self._handler_class.__new__(self._handler_class)
        handler.server = self._server
        handler.application = self.application
        handler.environ = environ
        return handler


def _address(environ: Environ) -> tuple[str, int]:
    port = str(environ.get("REMOTE_PORT", ""))
    return environ.get("REMOTE_ADDR", ""), int(port) if port.isdecimal() else 0


class WebSocketHandler(WSGIHandler, original.WebSocketHandler):
    """The handler for ``gevent.pywsgi.WSGIServer``, and for ours.

    Plain requests are gevent's. For an upgrade request an object of this class is ``ws.handler``, with its ``server``,
    ``environ``, ``client_address``, ``active_client`` and ``websocket``.

    Attributes:
        config: limits and timeouts on a server that has no ``config``.
    """

    config: Config = Config()
    client: Client | None = None
    websocket: WebSocket | None

    @classmethod
    def run_upgrade(cls, server: Any, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Runs the server's application for an upgrade request."""
        return cls._find_middleware(server)(environ, start_response)

    @classmethod
    def find_metrics(cls, server: Any) -> Any:
        """As ``WSGIHandler`` says. They may be a setting of the server's ``config``, too."""
        return cls._find_middleware(server).extensions.get(METRICS)

    @classmethod
    def _find_middleware(cls, server: Any) -> WebSocketMiddleware:
        middleware: WebSocketMiddleware | None = server.__dict__.get("websockets")
        if middleware is None or middleware.application is not server.application:
            config = getattr(server, "config", cls.config)
            if (config.metrics or "").startswith("/") and METRICS not in getattr(server.application, "extensions", {}):
                raise ConfigError(f"metrics of a server need an address, like '127.0.0.1:9464', not {config.metrics!r}")
            middleware = WebSocketMiddleware(server.application, config, server=server, handler_class=cls)
            server.websockets = middleware
        return middleware

    def run_application(self) -> None:
        """On gevent's server: runs the application, for an upgrade request as ``run_upgrade`` does."""
        if hasattr(self, "head") or "HTTP_UPGRADE" not in self.environ:
            super().run_application()
            return
        self.application = partial(self.run_upgrade, self.server)
        pywsgi.WSGIHandler.run_application(self)

    @property
    def active_client(self) -> Client:
        """The client that this handler is for."""
        if self.client is None:
            self.client = Client(self.client_address, self.websocket)
        return self.client

    def get_environ(self) -> Environ:
        """The request's environ, on either server."""
        return super().get_environ() if hasattr(self, "head") else pywsgi.WSGIHandler.get_environ(self)

    def finalize_headers(self) -> None:
        """The response's headers, on either server."""
        if hasattr(self, "head"):
            super().finalize_headers()
        else:
            pywsgi.WSGIHandler.finalize_headers(self)

    def log_request(self) -> None:
        """Writes the access log's line, which the original leaves out."""
        pywsgi.WSGIHandler.log_request(self)


class WebSocketServer(WSGIServer, original_server.WebSocketServer):
    """``greenws.server.WSGIServer`` for such applications. It takes the same arguments, and ``debug``.

    Attributes:
        clients: those that are connected, by address: ``Client`` objects.
    """

    handler_class = WebSocketHandler
