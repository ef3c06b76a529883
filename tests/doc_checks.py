"""What the applications of the pages do, if they do what the pages say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request

from greenws import Compression, Config, ConnectionClosed
from greenws.flaskext.testing import TestClient, UpgradeRefused


def check_echo(app: Flask, client: Any) -> None:
    with client.connect("/echo") as peer:
        for message in ("hi", b"\x00\xff"):
            peer.send(message)
            assert peer.receive(timeout=5) == message


def check_page_and_echo(app: Flask, client: Any) -> None:
    assert "/echo" in app.test_client().get("/").text
    assert r"\n" in app.test_client().get("/").text  # for the script, not for Python
    check_echo(app, client)


def check_chat(app: Flask, client: Any) -> None:
    with client.connect("/chat/tea?name=Ada") as ada, client.connect("/chat/tea?name=Bob") as bob:
        ada.send("hi")
        assert [peer.receive(timeout=5) for peer in (ada, bob)] == ["Ada: hi"] * 2
    with pytest.raises(UpgradeRefused) as refusal, client.connect("/chat/tea"):
        pass
    assert refusal.value.status == 400


def check_clock(app: Flask, client: Any) -> None:
    with client.connect("/clock") as peer:
        assert set(json.loads(peer.receive(timeout=5))) == {"time"}


def check_members(app: Flask, client: Any) -> None:
    with pytest.raises(UpgradeRefused) as refusal, client.connect("/news"):
        pass
    assert refusal.value.status == 401
    cookie = app.test_client().get("/enter/ada").headers["Set-Cookie"].partition(";")[0]
    with client.connect("/news", headers={"Cookie": cookie}) as peer:
        peer.send("hi")
        assert peer.receive(timeout=5) == "ada said hi"


def check_factory(app: Flask, client: Any) -> None:
    assert app.extensions["greenws"].config.idle_timeout == 300
    with client.connect("/api/echo", subprotocols=["echo.v1"]) as peer:
        peer.send("hi")
        assert peer.receive(timeout=5) == "echo.v1: hi"
        peer.send("x" * 1025)
        with pytest.raises(ConnectionClosed) as end:
            peer.receive(timeout=5)
    assert end.value.code == 1009


def check_ask(app: Flask, client: Any) -> None:
    with client.connect("/ask") as peer:
        assert peer.receive(timeout=5) == "Your name?"
        peer.send("Ada")
        assert json.loads(peer.receive(timeout=5)) == {"name": "Ada"}


def check_talk(app: Flask, client: Any) -> None:
    with client.connect("/talk", headers={"X-Token": "secret"}) as peer:
        peer.send("hi")
        assert peer.receive(timeout=5) == "token: hi"


def check_door(app: Flask, client: Any) -> None:
    with pytest.raises(UpgradeRefused) as refusal, client.connect("/door"):
        pass
    assert refusal.value.status == 403
    with client.connect("/door?key=right&user=Ada") as peer:
        assert peer.receive(timeout=5) == "Come in, Ada"
        peer.send("hi")
        assert peer.receive(timeout=5) == "hi"


def check_compressed(app: Flask, client: Any) -> None:
    for path, is_compressed in (("/prices", True), ("/thumbnails", False), ("/log", True)):
        with client.connect(path, compression=Compression(server_no_context_takeover=False)) as peer:
            assert (peer.deflate is not None) == is_compressed
            for message in ("secret: x", "y" * 5000):
                peer.send(message)
                assert peer.receive(timeout=5) == message


def check_proxied(app: Flask, client: Any) -> None:
    app.add_url_rule("/host", view_func=lambda: request.host)
    with client.connect("/address", headers={"X-Forwarded-For": "1.1.1.1, 2.2.2.2"}) as peer:
        assert peer.receive(timeout=5) == "2.2.2.2"
    assert app.test_client().get("/host", headers={"X-Forwarded-Host": "not.ours"}).text == "localhost"


def check_ready(app: Flask, client: Any) -> None:
    assert app.test_client().get("/ready").status_code == 200
    app.extensions["greenws"].registry.take_no_more()
    assert app.test_client().get("/ready").status_code == 503
    app.extensions["greenws"].registry.take_again()


def check_files(app: Flask, client: Any) -> None:
    large = b"bytes" * 300_000
    with TestClient(app, Config(max_stream_size=1 << 24)).connect("/copy") as peer:
        peer.send(large)
        assert b"".join(peer.receive_stream(5)) == large
    with client.connect("/count") as peer:
        for message in (large, "small"):
            peer.send(message)
            answer = {"size": len(message), "held": message == "small"}
            assert json.loads(peer.receive(timeout=5)) == answer
    with client.connect("/numbers") as peer:
        assert peer.receive(timeout=5).splitlines() == [str(number) for number in range(1000)]


def check_relay(app: Flask, client: Any) -> None:
    with client.connect("/relay") as one, client.connect("/relay") as other:
        one.send("hi")
        assert [peer.receive(timeout=5) for peer in (one, other)] == ["hi"] * 2


def check_chat_without_its_relay(app: Flask, client: Any) -> None:
    app.extensions["greenws"].readiness.is_warm = True  # so that nothing looks for one; test_chat.py has it
    with client.connect("/chat") as peer:
        peer.send("hi")
        assert peer.receive(timeout=5) == "Nobody can be reached just now."


def check_gateway(app: Flask, client: Any) -> None:
    assert app.test_client().get("/ready").status_code == 503  # there is no upstream; test_gateway.py has one
    assert not app.extensions["greenws"].is_ready


def check_observed(app: Flask, client: Any) -> None:
    with client.connect("/echo/tea") as peer:
        peer.send("hi")
        assert peer.receive(timeout=5) == "hi"
    metrics = app.extensions["greenws"].metrics
    assert metrics.address is None  # no server serves the application
    assert metrics.read().values["greenws_messages_sent_total"] == {("/echo/<room>",): 1}


def check_geventwebsocket(app: Any, client: Any) -> None:
    with client.connect("/chat") as ada, client.connect("/chat") as bob:
        for peer in (ada, bob):
            peer.send("hi")
        assert [peer.receive(timeout=5) for peer in (ada, bob)] == ["hi"] * 2


def check_socketio(app: Any, client: Any) -> None:
    with client.connect("/socket.io/?EIO=4&transport=websocket", origin="http://localhost") as peer:
        assert peer.receive(timeout=5).startswith("0{")
        peer.send("40")
        assert peer.receive(timeout=5).startswith("40{")
        peer.send('42["shout","hi"]')
        assert peer.receive(timeout=5) == '42["shouted","hi"]'


CHECKS: dict[str, Callable[[Flask, Any], None]] = {
    "README.md:app.py": check_echo,
    "README.md:chat.py": check_chat,
    "README.md:clock.py": check_clock,
    "docs/compression.md:compressed.py": check_compressed,
    "docs/connection.md:ask.py": check_ask,
    "docs/decisions/first-use-opens.md:door.py": check_door,
    "docs/deploy.md:ready.py": check_ready,
    "docs/from-flask-sock.md:app.py": check_echo,
    "docs/from-flask-socketio.md:app.py": check_socketio,
    "docs/from-flask-socketio.md:plain.py": check_socketio,
    "docs/from-gevent-websocket.md:app.py": check_geventwebsocket,
    "docs/limits.md:proxied.py": check_proxied,
    "docs/metrics.md:observed.py": check_observed,
    "docs/pool.md:gateway.py": check_gateway,
    "docs/quickstart.md:app.py": check_page_and_echo,
    "docs/quickstart.md:factory.py": check_factory,
    "docs/quickstart.md:members.py": check_members,
    "docs/streams.md:files.py": check_files,
    "docs/testing.md:app.py": check_talk,
    "docs/workers.md:chat.py": check_chat_without_its_relay,
    "docs/workers.md:relay.py": check_relay,
}
