"""In place of ``gunicorn -k geventwebsocket.gunicorn.workers.GeventWebSocketWorker module:app``."""

from __future__ import annotations

from greenws.compat.gevent_websocket import WebSocketHandler
from greenws.server.gunicorn import GreenHandler, GreenWorker


class _Handler(GreenHandler, WebSocketHandler):
    """With gunicorn's access log."""


class GeventWebSocketWorker(GreenWorker):
    """``GreenWorker`` for an application that was written for gevent-websocket."""

    wsgi_handler = _Handler
