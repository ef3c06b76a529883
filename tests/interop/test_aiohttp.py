"""The client of aiohttp (https://docs.aiohttp.org), on asyncio."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
from aiohttp import ClientSession, CookieJar, WSMsgType, WSServerHandshakeError

CLIENTS = 50
MESSAGES = 20


def run(server: SimpleNamespace, talk: Callable[[ClientSession], Awaitable[None]]) -> None:
    async def main() -> None:
        jar = CookieJar(unsafe=True)  # keeps cookies of an address, too
        async with ClientSession(f"http://127.0.0.1:{server.port}", cookie_jar=jar) as session, asyncio.timeout(10):
            await talk(session)

    asyncio.run(main())


@pytest.mark.parametrize("compress", [0, 15], ids=["plain", "offers compression"])
def test_echoes(server: SimpleNamespace, style: str, compress: int) -> None:
    async def talk(session: ClientSession) -> None:
        async with session.ws_connect(f"/{style}", compress=compress) as client:
            assert not client.compress
            await client.send_str("héllo 🌱")
            assert await client.receive_str() == "héllo 🌱"
            await client.send_bytes(bytes(range(256)))
            assert await client.receive_bytes() == bytes(range(256))

    run(server, talk)


def test_echoes_a_mebibyte(server: SimpleNamespace, style: str) -> None:
    message = "x" * 1024 * 1024

    async def talk(session: ClientSession) -> None:
        async with session.ws_connect(f"/{style}", max_msg_size=0) as client:
            await client.send_str(message)
            assert await client.receive_str() == message

    run(server, talk)


def test_many_talk_at_once(server: SimpleNamespace, style: str) -> None:
    async def one(session: ClientSession, number: int) -> None:
        async with session.ws_connect(f"/{style}") as client:
            for turn in range(MESSAGES):
                await client.send_str(f"{number} {turn}")
                assert await client.receive_str() == f"{number} {turn}"

    async def talk(session: ClientSession) -> None:
        await asyncio.gather(*(one(session, number) for number in range(CLIENTS)))

    run(server, talk)


def test_answers_a_ping(server: SimpleNamespace, style: str) -> None:
    async def talk(session: ClientSession) -> None:
        async with session.ws_connect(f"/{style}", autoping=False) as client:
            await client.ping(b"are you there?")
            pong = await client.receive()
            assert (pong.type, pong.data) == (WSMsgType.PONG, b"are you there?")

    run(server, talk)


def test_gets_the_servers_close_code_and_reason(server: SimpleNamespace) -> None:
    async def talk(session: ClientSession) -> None:
        async with session.ws_connect("/close/4321?reason=done") as client:
            await client.send_str("go")
            last = await client.receive()
            assert (last.type, last.data, last.extra) == (WSMsgType.CLOSE, 4321, "done")
            assert client.close_code == 4321

    run(server, talk)


def test_tells_the_server_its_close_code_and_reason(server: SimpleNamespace) -> None:
    async def talk(session: ClientSession) -> None:
        async with session.ws_connect("/leaving") as client:
            assert await client.close(code=3001, message=b"off")
        async with session.ws_connect("/left") as client:
            assert await client.receive_json() == [3001, "off"]

    run(server, talk)


def test_agrees_on_a_subprotocol(server: SimpleNamespace) -> None:
    async def talk(session: ClientSession) -> None:
        async with session.ws_connect("/subprotocol", protocols=("wamp", "soup")) as client:
            assert client.protocol == "soup"
            assert await client.receive_json() == "soup"

    run(server, talk)


def test_keeps_the_session_beside_plain_requests(server: SimpleNamespace) -> None:
    async def talk(session: ClientSession) -> None:
        for visit in (1, 2, 3):
            async with session.get("/") as response:  # kept alive, and used again
                assert await response.text() == "plain"
            async with session.ws_connect("/members", headers={"X-Password": "swordfish"}) as client:
                assert await client.receive_json() == visit

    run(server, talk)


def test_gets_the_answer_of_a_refused_upgrade(server: SimpleNamespace) -> None:
    async def talk(session: ClientSession) -> None:
        with pytest.raises(WSServerHandshakeError) as refused:
            await session.ws_connect("/members")
        assert refused.value.status == 403

    run(server, talk)


def test_a_plain_request_to_a_websocket_gets_426(server: SimpleNamespace, style: str) -> None:
    async def talk(session: ClientSession) -> None:
        async with session.get(f"/{style}") as response:
            assert response.status == 426
            assert response.headers["Upgrade"].lower() == "websocket"

    run(server, talk)
