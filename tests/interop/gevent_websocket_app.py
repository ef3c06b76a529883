"""An application of gevent-websocket: its chat, beside a page."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from greenws.compat.gevent_websocket import Resource, WebSocketApplication, WebSocketMiddleware


class Chat(WebSocketApplication):
    def on_open(self) -> None:
        self.ws.send("?")
        self.ws.send(json.dumps(len(self.ws.handler.server.clients)))

    def on_message(self, message: str | None) -> None:
        if message is not None:
            for client in self.ws.handler.server.clients.values():
                client.ws.send(message)


def page(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"plain"]


app = Resource([("^/chat", Chat), ("/", page)])
wrapped = WebSocketMiddleware(app)
