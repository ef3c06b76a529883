"""The client of websockets (https://websockets.readthedocs.io), threaded."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.interop.serving import serve

MEBIBYTE = 1024 * 1024  # the largest message by default


@pytest.mark.parametrize("message", ["", "héllo 🌱", b"", bytes(range(256)), "x" * 126, b"x" * 65536])
def test_echoes(server: SimpleNamespace, style: str, message: str | bytes) -> None:
    with connect(server.url(f"/{style}")) as client:
        client.send(message)
        assert client.recv(timeout=5) == message


def test_echoes_in_order(server: SimpleNamespace, style: str) -> None:
    messages = [str(number) for number in range(300)]
    with connect(server.url(f"/{style}")) as client:
        for message in messages:
            client.send(message)
        assert [client.recv(timeout=5) for _ in messages] == messages


@pytest.mark.parametrize("message", ["x" * MEBIBYTE, b"\xff" * MEBIBYTE], ids=["text", "binary"])
def test_echoes_a_mebibyte(server: SimpleNamespace, style: str, message: str | bytes) -> None:
    with connect(server.url(f"/{style}")) as client:
        client.send(message)
        assert client.recv(timeout=5) == message


def test_refuses_more_than_a_mebibyte(server: SimpleNamespace, style: str) -> None:
    with connect(server.url(f"/{style}")) as client:
        client.send(b"x" * (MEBIBYTE + 1))
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=5)
    assert closed.value.rcvd.code == 1009


def test_joins_fragments_with_a_ping_between(server: SimpleNamespace, style: str) -> None:
    with connect(server.url(f"/{style}")) as client:

        def fragments() -> Iterator[str]:
            yield "one, "
            pong = client.ping("between")
            yield "two, "
            assert pong.wait(5)
            yield "three"

        client.send(fragments())
        assert client.recv(timeout=5) == "one, two, three"


def test_answers_a_ping(server: SimpleNamespace, style: str) -> None:
    with connect(server.url(f"/{style}")) as client:
        assert client.ping(b"p" * 125).wait(5)
        assert client.latency > 0


def test_gets_a_pong(server: SimpleNamespace) -> None:
    with connect(server.url("/ping")) as client:
        assert 0 < json.loads(client.recv(timeout=5)) < 5


@pytest.mark.parametrize(
    ("offered", "agreed"), [(["wamp", "soup"], "soup"), (["wamp"], "wamp"), (["graphql"], None), (None, None)]
)
def test_agrees_on_the_subprotocol_the_server_likes_best(
    server: SimpleNamespace, offered: list[str] | None, agreed: str | None
) -> None:
    with connect(server.url("/subprotocol"), subprotocols=offered) as client:
        assert client.subprotocol == agreed
        assert json.loads(client.recv(timeout=5)) == agreed


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1013, 3000, 4999])
def test_gets_the_servers_close_code_and_reason(server: SimpleNamespace, code: int) -> None:
    with connect(server.url(f"/close/{code}?reason=b%C3%BCrgerlich")) as client:
        client.send("go")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=5)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, "bürgerlich")
    assert closed.value.rcvd_then_sent


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (3000, "später"), (4999, "x" * 123)])
def test_tells_the_server_its_close_code_and_reason(server: SimpleNamespace, code: int, reason: str) -> None:
    with connect(server.url("/leaving")) as client:
        client.close(code, reason)
    with connect(server.url("/left")) as client:
        assert json.loads(client.recv(timeout=5)) == [code, reason]


@pytest.mark.slow  # starts a server
def test_gets_1011_when_the_handler_raises() -> None:
    with serve("tests.interop.app:create_app") as server:
        with connect(server.url("/fail")) as client:
            client.send("go")
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=5)
        log = server.log()
    assert closed.value.rcvd.code == 1011
    assert log.count("RuntimeError: on purpose") == 1


@pytest.mark.slow  # starts a server
def test_gets_1001_when_the_server_stops(style: str) -> None:
    with ExitStack() as stack:
        with serve("tests.interop.app:create_app") as server:
            client = stack.enter_context(connect(server.url(f"/{style}")))
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=5)
    assert closed.value.rcvd.code == 1001


def test_gets_the_answer_of_a_refused_upgrade(server: SimpleNamespace) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(server.url("/members")):
        pass
    assert refused.value.response.status_code == 403
    assert b"members only" in refused.value.response.body


@pytest.mark.parametrize(("path", "status"), [("/", 400), ("/nowhere", 404)], ids=["page", "nothing"])
def test_is_refused_where_there_is_no_websocket(server: SimpleNamespace, path: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(server.url(path)):
        pass
    assert refused.value.response.status_code == status


def test_offers_compression_in_vain(server: SimpleNamespace, style: str) -> None:
    with connect(server.url(f"/{style}"), compression="deflate") as client:
        assert "permessage-deflate" in client.request.headers["Sec-WebSocket-Extensions"]
        assert "Sec-WebSocket-Extensions" not in client.response.headers
