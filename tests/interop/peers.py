"""Other people's servers: ``python -m tests.interop.peers websockets|aiohttp`` prints its port.

Each serves until its standard input ends. All know the same paths: /echo, /bye, /headers, and /no, which is refused.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import WSMsgType, web
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response


async def converse(conn: ServerConnection) -> None:
    path = conn.request.path
    if path == "/bye":
        await conn.close(4001, "bye")
    elif path == "/headers":
        await conn.send(json.dumps({name.lower(): value for name, value in conn.request.headers.raw_items()}))
        await conn.wait_closed()
    else:
        async for message in conn:
            await conn.send(message)


def refuse(conn: ServerConnection, request: Request) -> Response | None:
    return conn.respond(HTTPStatus.FORBIDDEN, "No.\n") if request.path == "/no" else None


def choose(conn: ServerConnection, offered: Sequence[str]) -> str | None:
    return "echo.v1" if "echo.v1" in offered else None


async def serve_websockets() -> int:
    server = await serve(converse, "127.0.0.1", 0, process_request=refuse, select_subprotocol=choose, max_size=None)
    return server.sockets[0].getsockname()[1]


async def answer(request: web.Request) -> web.StreamResponse:
    if request.path == "/no":
        return web.Response(status=403, text="No.\n")
    conn = web.WebSocketResponse(protocols=["echo.v1"], max_msg_size=0)
    await conn.prepare(request)
    if request.path == "/bye":
        await conn.close(code=4001, message=b"bye")
    elif request.path == "/headers":
        await conn.send_str(json.dumps({name.lower(): value for name, value in request.headers.items()}))
    async for message in conn:
        if message.type is WSMsgType.TEXT:
            await conn.send_str(message.data)
        else:
            await conn.send_bytes(message.data)
    return conn


async def serve_aiohttp() -> int:
    app = web.Application()
    app.router.add_get("/{path}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner.addresses[0][1]


async def main() -> None:
    print(await {"websockets": serve_websockets, "aiohttp": serve_aiohttp}[sys.argv[1]](), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
