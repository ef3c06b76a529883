"""websocket-client (https://websocket-client.readthedocs.io), blocking and in its event loop."""

import json
import struct
from contextlib import closing
from socket import SO_LINGER, SOL_SOCKET
from types import SimpleNamespace

import pytest
from websocket import (
    ABNF,
    WebSocket,
    WebSocketApp,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    create_connection,
)

TIMEOUT = 5


def open_client(server: SimpleNamespace, path: str, **options: object) -> "closing[WebSocket]":
    return closing(create_connection(server.url(path), timeout=TIMEOUT, **options))


def test_echoes(server: SimpleNamespace, style: str) -> None:
    with open_client(server, f"/{style}") as client:
        client.send("héllo 🌱")
        assert client.recv() == "héllo 🌱"
        client.send_binary(bytes(range(256)))
        assert client.recv() == bytes(range(256))


def test_echoes_a_mebibyte(server: SimpleNamespace, style: str) -> None:
    message = b"\x00\xff" * 512 * 1024
    with open_client(server, f"/{style}") as client:
        client.send_binary(message)
        assert client.recv() == message


def test_joins_a_character_split_between_fragments(server: SimpleNamespace, style: str) -> None:
    first, second = "🌱".encode()[:2], "🌱".encode()[2:]
    with open_client(server, f"/{style}") as client:
        client.send_frame(ABNF(0, 0, 0, 0, ABNF.OPCODE_TEXT, 1, first))
        client.ping("between")
        client.send_frame(ABNF(1, 0, 0, 0, ABNF.OPCODE_CONT, 1, second))
        assert client.recv_data(control_frame=True) == (ABNF.OPCODE_PONG, b"between")
        assert client.recv() == "🌱"


def test_tells_the_server_its_close_code_and_reason(server: SimpleNamespace) -> None:
    with open_client(server, "/leaving") as client:
        client.close(3001, b"off", timeout=TIMEOUT)
    with open_client(server, "/left") as client:
        assert json.loads(client.recv()) == [3001, "off"]


@pytest.mark.parametrize("linger", [None, 0], ids=["FIN", "RST"])
def test_is_1006_to_the_server_when_it_vanishes(server: SimpleNamespace, linger: int | None) -> None:
    with open_client(server, "/leaving") as client:
        if linger is not None:
            client.sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, linger))
        client.shutdown()  # closes the socket; no Close frame
    with open_client(server, "/left") as client:
        assert json.loads(client.recv()) == [1006, ""]


def test_gets_the_servers_close_code_and_reason(server: SimpleNamespace) -> None:
    with open_client(server, "/close/4321?reason=done") as client:
        client.send("go")
        assert client.recv_data() == (ABNF.OPCODE_CLOSE, struct.pack("!H", 4321) + b"done")
        with pytest.raises(WebSocketConnectionClosedException):
            client.recv()


def test_agrees_on_a_subprotocol(server: SimpleNamespace) -> None:
    with open_client(server, "/subprotocol", subprotocols=["wamp", "soup"]) as client:
        assert client.getsubprotocol() == "soup"


def test_sends_headers_and_gets_the_session_cookie(server: SimpleNamespace) -> None:
    with open_client(server, "/members", header={"X-Password": "swordfish"}) as client:
        assert client.recv() == "1"
        cookie = client.getheaders()["set-cookie"].partition(";")[0]
    with open_client(server, "/members", header={"X-Password": "swordfish"}, cookie=cookie) as client:
        assert client.recv() == "2"


def test_gets_the_answer_of_a_refused_upgrade(server: SimpleNamespace) -> None:
    with pytest.raises(WebSocketBadStatusException) as refused:
        create_connection(server.url("/members"), timeout=TIMEOUT)
    assert refused.value.status_code == 403
    assert b"members only" in refused.value.resp_body


def test_comes_from_its_own_host_or_not_at_all(server: SimpleNamespace, style: str) -> None:
    with pytest.raises(WebSocketBadStatusException) as refused:
        create_connection(server.url(f"/{style}"), timeout=TIMEOUT, origin="http://evil.example")
    assert refused.value.status_code == 403


def test_runs_its_event_loop(server: SimpleNamespace, style: str) -> None:
    seen: list[object] = []

    def on_open(client: WebSocketApp) -> None:
        client.send("one")

    def on_message(client: WebSocketApp, message: str) -> None:
        seen.append(message)
        client.close() if message == "two" else client.send("two")

    def on_close(client: WebSocketApp, code: int, reason: str) -> None:
        seen.append((code, reason))

    app = WebSocketApp(
        server.url(f"/{style}"),
        on_open=on_open,
        on_message=on_message,
        on_close=on_close,
        on_error=lambda _, e: seen.append(e),
    )
    app.run_forever()
    assert seen == ["one", "two", (1000, None)]
