"""aiohttp on uvloop, without compression."""

import sys

import uvloop
from aiohttp import WSMsgType, web

members: set[web.WebSocketResponse] = set()


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Sends back what it gets."""
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    async for message in ws:
        if message.type == WSMsgType.TEXT:
            await ws.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await ws.send_bytes(message.data)
    return ws


async def fan_out(request: web.Request) -> web.WebSocketResponse:
    """Sends what it gets to everybody."""
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    members.add(ws)
    try:
        async for message in ws:
            for member in tuple(members):
                await member.send_str(message.data)
    finally:
        members.discard(ws)
    return ws


async def main() -> web.Application:
    """Makes the application."""
    app = web.Application()
    app.add_routes([web.get("/echo", echo), web.get("/fanout", fan_out)])
    return app


web.run_app(
    main(),
    host="127.0.0.1",
    port=int(sys.argv[1]),
    loop=uvloop.new_event_loop(),
    backlog=4096,
    access_log=None,
    print=None,
)
