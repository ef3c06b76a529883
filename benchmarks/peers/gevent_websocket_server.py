"""gevent-websocket without Flask, one greenlet for each connection."""

import sys

from gevent import monkey

monkey.patch_all()

from gevent.pywsgi import WSGIServer  # noqa: E402
from geventwebsocket import WebSocketError  # noqa: E402
from geventwebsocket.handler import WebSocketHandler  # noqa: E402
from geventwebsocket.websocket import WebSocket  # noqa: E402

members: set[WebSocket] = set()


def echo(ws: WebSocket) -> None:
    """Sends back what it gets."""
    while (message := ws.receive()) is not None:
        ws.send(message)


def fan_out(ws: WebSocket) -> None:
    """Sends what it gets to everybody."""
    members.add(ws)
    try:
        while (message := ws.receive()) is not None:
            for member in tuple(members):
                member.send(message)
    finally:
        members.discard(ws)


def app(environ: dict, start_response: object) -> list[bytes]:
    """Chooses by path."""
    try:
        (fan_out if environ["PATH_INFO"] == "/fanout" else echo)(environ["wsgi.websocket"])
    except WebSocketError:
        pass
    return []


address = ("127.0.0.1", int(sys.argv[1]))
WSGIServer(address, app, handler_class=WebSocketHandler, log=None, error_log=None, backlog=4096).serve_forever()
