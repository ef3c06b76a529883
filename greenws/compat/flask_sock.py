"""Flask-Sock's interface on our connections. Its applications change the import, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar

from flask import Blueprint, Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from greenws.compat.upgrading import Answer, Application, ApplicationRun, Environ, Upgrading
from greenws.config import Config
from greenws.errors import ConfigError, OperationTimeout, UnsupportedServer
from greenws.errors import ConnectionClosed as _ConnectionClosed
from greenws.net.connection import Connection
from greenws.protocol.codes import CloseCode
from greenws.protocol.grammar import split_list

try:  # what an application catches by the other name is caught, too
    from simple_websocket import ConnectionClosed as _Base
except ImportError:
    _Base = RuntimeError

View = TypeVar("View", bound=Callable[..., Any])

ENVIRON_KEY = "greenws.sock"
OPTIONS_KEY = "SOCK_SERVER_OPTIONS"

_OURS = ("ping_interval", "max_message_size")  # of those options; the same words mean the same
_WITHOUT_MEANING = ("receive_bytes", "thread_class", "event_class", "selector_class")


class ConnectionClosed(_Base):
    """The connection has ended. It is one of ``simple_websocket``'s, too, where that is installed.

    Attributes:
        reason: the close code.
        message: the text that came with it, or None.
    """

    def __init__(self, reason: int = CloseCode.NO_STATUS, message: str | None = None) -> None:
        RuntimeError.__init__(self, f"Connection closed: {int(reason)} {message or ''}".rstrip())
        self.reason = reason
        self.message = message


class WebSocket:
    """What a route gets as its first argument. It is closed when the route returns.

    ``send`` and ``close`` are safe from several greenlets and from other threads; one greenlet may ``receive``.

    Attributes:
        environ: the WSGI environ of the request.
        subprotocol: what was agreed on, or None.
    """

    def __init__(self, connection: Connection, environ: Environ) -> None:
        self._connection = connection
        self.environ = environ
        self.subprotocol: str | None = connection.subprotocol

    @property
    def connected(self) -> bool:
        """Whether a message can be sent."""
        return not self._connection.closed

    @property
    def close_reason(self) -> int:
        """The close code; 1005 while there is none."""
        return self._connection.close_code or CloseCode.NO_STATUS

    @property
    def close_message(self) -> str | None:
        """The text that came with it, or None."""
        return self._connection.close_reason or None

    def send(self, data: Any) -> None:
        """Sends a message: what is bytes-like as binary, else its text. Blocks only while the peer reads too slowly.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        is_binary = isinstance(data, bytes | bytearray | memoryview)
        try:
            self._connection.send(data if is_binary else str(data))
        except _ConnectionClosed as end:
            raise ConnectionClosed(end.code, end.reason or None) from None

    def receive(self, timeout: float | None = None) -> str | bytes | None:
        """Returns the next message: str for text, bytes for binary. Blocks the calling greenlet until there is one.

        Args:
            timeout: seconds to wait; None waits as long as the connection lives.

        Returns:
            None when none came in time.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        try:
            return self._connection.receive(timeout)
        except OperationTimeout:
            return None
        except _ConnectionClosed as end:
            raise ConnectionClosed(end.code, end.reason or None) from None

    def close(self, reason: int | None = None, message: str | None = None) -> None:
        """Starts the closing handshake. Does not block.

        Args:
            reason: the close code; 1000 when None.
            message: the text that goes with it, at most 123 bytes.

        Raises:
            ConnectionClosed: the connection has ended.
            ValueError: the code may not be sent, or the text is too long.
        """
        if not self.connected:
            raise ConnectionClosed(self.close_reason, self.close_message)
        self._connection.close(reason or CloseCode.NORMAL, message or "")


class Sock:
    """``flask_sock.Sock``. ``SOCK_SERVER_OPTIONS`` and the ``GREENWS_*`` keys of the configuration are its settings.

    Args:
        app: the application; or call ``init_app`` later.

    Example:
        .. code-block:: python

            sock = Sock(app)

            @sock.route("/echo")
            def echo(ws):
                while True:
                    ws.send(ws.receive())
    """

    def __init__(self, app: Flask | None = None) -> None:
        self.app: Flask | None = None
        self.bp: Blueprint | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Adds the routes known so far to an application; those that follow are added to it, too."""
        if self.bp is not None:
            app.register_blueprint(self.bp)
        self.app = app
        if ENVIRON_KEY in app.extensions:
            return
        inner = app.wsgi_app
        if isinstance(inner, ProxyFix):  # it says who the peer is, so we stand behind it, whichever came first
            app.extensions[ENVIRON_KEY] = inner.app = _Middleware(app, inner.app)
        else:
            app.extensions[ENVIRON_KEY] = app.wsgi_app = _Middleware(app, inner)  # type: ignore[method-assign]

    def route(self, path: str, bp: Blueprint | None = None, **kwargs: Any) -> Callable[[View], View]:
        """Decorates a function that gets the connection, and the values of the URL rule, and runs as long as it lives.

        Args:
            path: the URL rule.
            bp: the blueprint to add the route to instead of the application.
            kwargs: go to ``Flask.route``.
        """

        def decorate(view: View) -> View:
            if bp is None and self.app is None and self.bp is None:
                self.bp = Blueprint("__flask_sock", __name__)
            target = bp or self.app or self.bp
            assert target is not None
            target.route(path, **{**kwargs, "websocket": True})(_make_view(view))
            return view

        return decorate


def _make_view(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def serve(**values: Any) -> Response:
        ws: WebSocket | None = request.environ.get(ENVIRON_KEY)
        if ws is None:
            raise UnsupportedServer("the application has no socket for this route: call sock.init_app(app)")
        try:
            view(ws, **values)
            ws.close()
        except ConnectionClosed:
            pass
        return Response()  # nobody gets it: the connection has been used

    return serve


class _Middleware(Upgrading):
    def __init__(self, app: Flask, inner: Application) -> None:
        super().__init__(inner, name="flask-sock")
        self._app = app
        self.join(app.extensions, Config(metrics=app.config.get("GREENWS_METRICS")).metrics)

    def make_config(self) -> Config:
        options: dict[str, Any] = self._app.config.get(OPTIONS_KEY, {})
        unknown = sorted(set(options) - {*_OURS, *_WITHOUT_MEANING, "subprotocols"})
        if unknown:
            raise ConfigError(f"{OPTIONS_KEY} has no {unknown[0]!r}")
        settings = {name: options[name] for name in _OURS if name in options}
        if settings.get("max_message_size", 0) is None:
            raise ConfigError(f"{OPTIONS_KEY}: max_message_size must be a number of bytes; there is always a limit")
        return Config.from_mapping(self._app.config, **settings)

    def subprotocols(self, environ: Environ) -> Iterable[str] | None:
        supported = self._app.config.get(OPTIONS_KEY, {}).get("subprotocols")
        if supported is None:
            return None
        names = (supported,) if isinstance(supported, str) else supported
        offered = split_list(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", ""))
        return [name for name in offered if name in names]  # the client's favourite wins, as in simple-websocket

    def make_run(self, conn: Connection, environ: Environ) -> ApplicationRun:
        environ[ENVIRON_KEY] = WebSocket(conn, environ)
        return _Run(conn, self.application, environ)


class _Run(ApplicationRun):
    __slots__ = ()

    def call(self) -> Answer | None:
        try:
            return super().call()
        finally:
            self._environ.pop(ENVIRON_KEY, None)  # they know each other
