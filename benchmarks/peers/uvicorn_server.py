"""uvicorn on uvloop and httptools with a bare ASGI application, without compression and access log.

Of its WebSocket implementations `websockets-sansio` takes the least CPU for each message.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
members: set[Send] = set()


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Sends back what it gets; under /fanout, to everybody."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    to_all = scope["path"] == "/fanout"
    if to_all:
        members.add(send)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            answer = {"type": "websocket.send", "text": event.get("text"), "bytes": event.get("bytes")}
            for member in tuple(members) if to_all else (send,):
                await member(answer)
    finally:
        members.discard(send)


uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(sys.argv[1]),
    loop="uvloop",
    http="httptools",
    ws=sys.argv[2] if len(sys.argv) > 2 else "websockets-sansio",
    ws_per_message_deflate=False,
    lifespan="off",
    log_level="critical",
    access_log=False,
    backlog=4096,
)
