"""Messages that are received and sent by and by, in routes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, g

from greenws import Compression, Connection, ConnectionClosed, Endpoint, GreenWS, MessageStream
from tests.flaskext.conftest import Connect, Reports

LARGE = random.Random(2).randbytes(200_000)
HELD = 1000
KEEPING = Compression(server_no_context_takeover=False, client_no_context_takeover=False)


@pytest.fixture(params=[True, False], ids=["request", "lean"])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"max_message_size": HELD, "max_stream_size": 1 << 20, "request_context": request.param}


@pytest.mark.parametrize("compression", [False, True, KEEPING], ids=["plain", "fresh", "keeping"])
def test_an_echo_of_streams(ws: GreenWS, connect: Connect, options: dict[str, Any], compression: Any) -> None:
    @ws.route("/echo", compression=compression, **options)
    def echo(conn: Connection) -> None:
        while True:
            conn.send_stream(conn.receive_stream())

    with connect("/echo", compression=compression) as peer:
        for message in (LARGE, "é" * 50_000, "small", b""):
            peer.send(message)
            assert peer.receive(5) == message


def test_an_endpoint_gets_larger_messages_as_streams(
    app: Flask, ws: GreenWS, connect: Connect, options: dict[str, Any], tmp_path: Path
) -> None:
    """Each in an app context of its own."""
    seen = []

    @ws.route("/upload", **options)
    class Upload(Endpoint):
        def on_message(self, conn: Connection, message: str | bytes) -> None:
            assert not hasattr(g, "seen")
            g.seen = True
            conn.name = message

        def on_stream(self, conn: Connection, stream: MessageStream) -> None:
            assert not hasattr(g, "seen")
            g.seen = current_app.name
            with (tmp_path / conn.name).open("wb") as file:
                seen.extend(file.write(chunk) for chunk in stream)
            conn.send(g.seen)

    with connect("/upload") as peer:
        for name in ("one", "two"):
            peer.send(name)
            peer.send(LARGE)
            assert peer.receive(5) == app.name
            assert (tmp_path / name).read_bytes() == LARGE
    assert len(seen) > 4


def test_a_route_without_a_handler_or_a_limit_refuses_larger_messages(ws: GreenWS, connect: Connect) -> None:
    @ws.route("/handler", max_stream_size=1 << 20, max_message_size=HELD)
    class NoHandler(Endpoint):
        pass

    @ws.route("/limit", max_message_size=HELD)
    class NoLimit(Endpoint):
        def on_stream(self, conn: Connection, stream: MessageStream) -> None:
            raise AssertionError("no limit was given")

    for path in ("/handler", "/limit"):
        with connect(path) as peer:
            peer.send(LARGE)
            with pytest.raises(ConnectionClosed) as end:
                peer.receive(5)
            assert end.value.code == 1009
            del end


def test_the_application_decides_for_routes_that_say_nothing(app: Flask, connect: Connect) -> None:
    app.config["GREENWS_MAX_STREAM_SIZE"] = 1 << 20
    ws = GreenWS(app, max_message_size=HELD)

    @ws.route("/size")
    def size(conn: Connection) -> None:
        conn.send_json(sum(map(len, conn.receive_stream())))

    with connect("/size") as peer:
        peer.send(LARGE)
        assert peer.receive_json(5) == len(LARGE)


def test_a_view_that_meets_the_end_in_a_stream_is_not_reported(
    ws: GreenWS, connect: Connect, options: dict[str, Any], reports: Reports
) -> None:
    @ws.route("/view", **options)
    def view(conn: Connection) -> None:
        for _ in conn.receive_stream():
            conn.close(4000)

    with connect("/view") as peer:
        peer.send(LARGE * 5)
        with pytest.raises(ConnectionClosed) as end:
            peer.receive(5)
        assert end.value.code == 4000
        del end
    assert (reports.logged, reports.sent) == ([], [])
