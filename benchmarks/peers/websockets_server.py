"""websockets on uvloop, without compression, as its documentation advises for speed."""

import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

members: set[ServerConnection] = set()


async def echo(connection: ServerConnection) -> None:
    """Sends back what it gets."""
    async for message in connection:
        await connection.send(message)


async def fan_out(connection: ServerConnection) -> None:
    """Sends what it gets to everybody."""
    members.add(connection)
    try:
        async for message in connection:
            broadcast(members, message)
    finally:
        members.discard(connection)


async def handle(connection: ServerConnection) -> None:
    """Chooses by path."""
    try:
        await (fan_out if connection.request.path == "/fanout" else echo)(connection)
    except ConnectionClosed:
        pass


async def main() -> None:
    """Serves until it is ended."""
    async with serve(handle, "127.0.0.1", int(sys.argv[1]), compression=None, backlog=4096) as server:
        await server.serve_forever()


uvloop.run(main())
