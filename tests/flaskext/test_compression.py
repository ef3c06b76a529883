"""permessage-deflate by route: agreed on in the handshake, off until asked for."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from greenws import Compression, ConfigError, Connection, GreenWS
from greenws.errors import HandshakeError
from tests.flaskext.conftest import Connect

TEXT = "a text that says the same again and again, " * 100
KEEPING = Compression(server_no_context_takeover=False, client_no_context_takeover=False, threshold=1)
SMALL = Compression(
    server_no_context_takeover=False,
    client_no_context_takeover=False,
    server_max_window_bits=9,
    client_max_window_bits=8,
)


def echo(conn: Connection) -> None:
    for message in conn:
        conn.send(message)


def talk(connect: Connect, path: str, compression: Any) -> bool:
    """Whether a connection compresses. It echoes either way."""
    with connect(path, compression=compression) as peer:
        for message in (TEXT, "short", TEXT.encode(), ""):
            peer.send(message)
            assert peer.receive(5) == message
        return peer.deflate is not None


@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize("offered", [False, True, KEEPING, SMALL])
def test_a_route_compresses_if_it_is_told_to_and_asked(app: Flask, connect: Connect, lean: bool, offered: Any) -> None:
    ws = GreenWS(app)
    for number, setting in enumerate((None, False, True, KEEPING, SMALL)):
        options = {} if setting is None else {"compression": setting}
        ws.route(f"/{number}", endpoint=str(number), request_context=not lean, **options)(echo)
    compressed = [talk(connect, f"/{number}", offered) for number in range(5)]
    assert compressed == [False, False, *[bool(offered)] * 3]


def test_the_application_decides_for_routes_that_say_nothing(app: Flask, connect: Connect) -> None:
    app.config["GREENWS_COMPRESSION"] = True
    ws = GreenWS(app)
    ws.route("/on")(echo)
    ws.route("/off", endpoint="off", compression=False)(echo)
    assert talk(connect, "/on", True)
    assert not talk(connect, "/off", True)
    assert app.extensions["greenws"].config.deflate == Compression()


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (None, None),
        ("permessage-deflate; server_max_window_bits=99", None),
        ('permessage-deflate; server_max_window_bits=""', None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", None),
        ("permessage-deflate; client_max_window_bits",
         "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("lean", [False, True])
def test_the_101_says_what_was_agreed_on(
    app: Flask, connect: Connect, monkeypatch: pytest.MonkeyPatch, lean: bool, offer: str | None, answer: str | None
) -> None:
    """H44: what cannot be accepted is declined, and the connection is made without."""
    import greenws.client.upgrade as module

    seen: list[str | None] = []
    check = module.check_response

    def note(head: Any, *args: Any) -> Any:
        seen.append(head.get("Sec-WebSocket-Extensions"))
        return check(head, *args)

    monkeypatch.setattr(module, "check_response", note)
    monkeypatch.setattr(module, "make_offer", lambda options: offer)
    GreenWS(app, compression=True).route("/", endpoint="echo", request_context=not lean)(echo)
    with connect("/", compression=True) as peer:
        assert seen == [answer]
        peer.send(TEXT)
        assert peer.receive(5) == TEXT


def test_a_client_refuses_an_answer_to_another_offer(
    app: Flask, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    import greenws.server.admission as module

    make = module.choose_offer
    monkeypatch.setattr(module, "choose_offer", lambda *args: (make(*args)[0], "permessage-deflate; x"))  # type: ignore[index]
    GreenWS(app, compression=True).route("/")(echo)
    with pytest.raises(HandshakeError, match="not valid"), connect("/", compression=True):
        pytest.fail("the answer was accepted")


def test_what_on_open_sends_is_compressed_and_leaves_behind_the_101(app: Flask, connect: Connect) -> None:
    def greet(conn: Connection) -> None:
        conn.send(TEXT)
        conn.send(TEXT)
        conn.receive()

    GreenWS(app, compression=KEEPING).route("/")(greet)
    with connect("/", compression=KEEPING) as peer:
        assert [peer.receive(5) for _ in range(2)] == [TEXT] * 2


@pytest.mark.parametrize("value", [1, "yes", None, {"level": 1}])
def test_compression_is_true_false_or_a_compression(value: Any) -> None:
    with pytest.raises(ConfigError, match="compression"):
        GreenWS(Flask("x"), compression=value)


@pytest.mark.parametrize(
    "options",
    [
        {"level": 0}, {"level": 10}, {"level": 1.0}, {"level": True}, {"threshold": -1}, {"threshold": None},
        {"threshold": True}, {"server_max_window_bits": 7}, {"client_max_window_bits": 16},
        {"server_no_context_takeover": 1}, {"client_no_context_takeover": None},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_values_of_a_compression_fail_where_they_are_written(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Compression(**options)
