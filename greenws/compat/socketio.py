"""Flask-SocketIO on our connections: its ``SocketIO``, on every server that GreenWS runs on."""

from __future__ import annotations

from typing import Any

import flask_socketio
from gevent import monkey
from werkzeug._reloader import run_with_reloader
from werkzeug.debug import DebuggedApplication

from greenws.compat.gevent_websocket import WebSocketMiddleware
from greenws.compat.upgrading import Environ
from greenws.config import Config
from greenws.errors import ConfigError
from greenws.server.wsgi import WSGIServer

DEFAULT_PORT = 5000  # Flask's


class SocketIO(flask_socketio.SocketIO):
    """``flask_socketio.SocketIO``, which is used as before. The other names of Flask-SocketIO stay where they are.

    Limits and timeouts of the WebSockets are the ``GREENWS_*`` keys of the application's configuration. Without them
    the origins are those that ``cors_allowed_origins`` says, and the largest message is ``max_http_buffer_size``.
    """

    def init_app(self, app: Any, **kwargs: Any) -> None:
        """Adds Socket.IO to an application; None is for a process that only emits.

        Raises:
            ConfigError: an ``async_mode`` other than gevent.
        """
        mode = kwargs.get("async_mode") or self.server_options.get("async_mode") or "gevent"
        if mode != "gevent":
            raise ConfigError(f"async_mode must be 'gevent' or left out, not {mode!r}")
        super().init_app(app, **{**kwargs, "async_mode": mode})
        if app is not None:
            app.wsgi_app = _Middleware(app, self.sockio_mw, self.server.eio.max_http_buffer_size)

    def run(self, app: Any, host: str | None = None, port: int | None = None, **kwargs: Any) -> None:
        """Serves the application with ``greenws.server.WSGIServer``. Blocks until ``stop`` is called.

        Args:
            app: the application.
            host: 127.0.0.1 when None.
            port: that of ``SERVER_NAME`` or 5000 when None.
            kwargs: ``debug``, ``use_reloader``, ``reloader_options``, ``extra_files`` and ``log_output`` as in
                Flask-SocketIO; all others are the server's, such as ``certfile`` and ``keyfile``.
        """
        app.debug = kwargs.pop("debug", app.debug)
        log = "default" if kwargs.pop("log_output", app.debug) else None
        use_reloader = kwargs.pop("use_reloader", app.debug)
        reloader = {"extra_files": kwargs.pop("extra_files", None), **kwargs.pop("reloader_options", {})}
        kwargs.pop("allow_unsafe_werkzeug", None)
        if app.debug:
            self.sockio_mw.wsgi_app = DebuggedApplication(self.sockio_mw.wsgi_app, evalex=True)
        address = (host or "127.0.0.1", port or _port_of(app.config["SERVER_NAME"]))
        self.wsgi_server = WSGIServer(address, app, log=log, **kwargs)
        if use_reloader:
            monkey.patch_thread()  # the reloader's thread is to be a greenlet beside the server
            monkey.patch_time()
            run_with_reloader(self.wsgi_server.serve_forever, **reloader)
        else:
            self.wsgi_server.serve_forever()


class _Middleware(WebSocketMiddleware):
    """Sockets for the requests of Socket.IO; all others are the application's."""

    patience = None  # Socket.IO uses a socket at once, or refuses

    def __init__(self, app: Any, inner: Any, max_message_size: int) -> None:
        super().__init__(inner, name="flask-socketio")
        self._app = app
        self.join(app.extensions, Config(metrics=app.config.get("GREENWS_METRICS")).metrics)
        self._path = inner.engineio_path
        self._max_message_size = max_message_size

    def make_config(self) -> Config:
        defaults = {"GREENWS_ORIGINS": "*", "GREENWS_MAX_MESSAGE_SIZE": self._max_message_size}
        return Config.from_mapping({**defaults, **self._app.config})

    def may_upgrade(self, environ: Environ) -> bool:
        return super().may_upgrade(environ) and environ["PATH_INFO"].startswith(self._path)


def _port_of(server_name: str | None) -> int:
    _, _, port = (server_name or "").partition(":")
    return int(port) if port else DEFAULT_PORT
