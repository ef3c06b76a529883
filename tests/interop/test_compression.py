"""Other people's clients and ours agree on compression and understand each other."""

import asyncio
import json
import random
import subprocess
from types import SimpleNamespace

import gevent
import pytest
from aiohttp import ClientSession
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect as connect_websockets
from websockets.sync.server import serve as serve_websockets

from greenws import Compression, connect
from tests.interop.app import COMPRESSED
from tests.interop.test_node import HERE

NOISE = random.Random(8)
MESSAGES: list[str | bytes] = [
    "",
    b"",
    "x",
    "héllo 🌱" * 500,
    json.dumps([{"id": number, "name": "a name"} for number in range(2000)]),
    NOISE.randbytes(70_000),
    "héllo 🌱" * 500,
    bytes(1024 * 1024),
    NOISE.randbytes(1024 * 1024),
]


@pytest.fixture(params=COMPRESSED)
def route(request: pytest.FixtureRequest) -> str:
    """Each route that echoes and compresses."""
    return request.param


@pytest.mark.parametrize(
    "offer",
    [
        {},
        {"client_max_window_bits": True},
        {"client_max_window_bits": 9, "server_max_window_bits": 9},
        {"server_max_window_bits": 12, "client_max_window_bits": 10, "server_no_context_takeover": True},
        {"server_no_context_takeover": True, "client_no_context_takeover": True},
        {"client_no_context_takeover": True, "client_max_window_bits": True},
    ],
    ids=str,
)
def test_websockets(server: SimpleNamespace, route: str, offer: dict[str, int]) -> None:
    extensions = [ClientPerMessageDeflateFactory(**offer)]
    with connect_websockets(server.url(f"/{route}"), compression=None, extensions=extensions, max_size=None) as client:
        assert client.protocol.extensions
        for message in MESSAGES:
            client.send(message)
            assert client.recv(timeout=5) == message


@pytest.mark.parametrize("bits", [9, 15])
def test_aiohttp(server: SimpleNamespace, route: str, bits: int) -> None:
    async def talk() -> None:
        async with (
            asyncio.timeout(10),
            ClientSession(f"http://127.0.0.1:{server.port}") as session,
            session.ws_connect(f"/{route}", compress=bits, max_msg_size=0) as client,
        ):
            assert client.compress
            for message in MESSAGES:
                await (client.send_str(message) if isinstance(message, str) else client.send_bytes(message))
                assert (await client.receive()).data == message

    asyncio.run(talk())


def test_ws_of_node(server: SimpleNamespace, node: str, route: str) -> None:
    if not (HERE / "node_modules" / "ws").is_dir():
        pytest.skip("the module ws is not there; in tests/interop: npm ci")
    command = [node, "client.mjs", server.url(""), f"compressed {route}"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=15)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("bits", [9, 15])
def test_our_client_and_websockets_as_a_server(kept: bool, bits: int) -> None:
    options = Compression(
        server_no_context_takeover=not kept,
        client_no_context_takeover=not kept,
        server_max_window_bits=bits,
        client_max_window_bits=bits,
        threshold=1,
    )
    with serve_websockets(
        lambda peer: [peer.send(message) for message in peer], "127.0.0.1", 0, max_size=None
    ) as other:
        pool = gevent.get_hub().threadpool
        serving = pool.spawn(other.serve_forever)
        port = other.socket.getsockname()[1]
        with connect(f"ws://127.0.0.1:{port}", compression=options, ping_interval=None) as conn:
            assert conn.deflate is not None
            for message in MESSAGES:
                conn.send(message)
                assert conn.receive(5) == message
        pool.apply(other.shutdown)
        serving.get(5)
