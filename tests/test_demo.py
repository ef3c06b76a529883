"""The chat of ``greenws demo``: its page, its rooms, and its bounds."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from greenws import ConnectionClosed
from greenws.demo import app as demo
from greenws.errors import HandshakeError


@pytest.fixture
def app() -> Flask:
    return demo.create_app()


@pytest.fixture
def client(app: Flask) -> Any:
    return app.extensions["greenws"].test_client()


def hear(peer: Any) -> dict[str, Any]:
    """The next message, which must be a JSON object."""
    data = json.loads(peer.receive())
    assert isinstance(data, dict)
    return data


def say(peer: Any, text: str, name: str = "Ada") -> None:
    peer.send(json.dumps({"type": "message", "name": name, "text": text}))


# ---- pages


@pytest.mark.parametrize(
    ("query", "room"),
    [
        ("", "lobby"),
        ("?room=", "lobby"),
        ("?room=Tea", "tea"),
        ("?room=green+tea!", "green-tea"),
        ("?room=%E2%98%95", "lobby"),
        ("?room=echo", "lobby"),
        ("?room=health", "lobby"),
        ("?room=" + "x" * 40, "x" * 32),
        ("?room=//evil.example/", "evil-example"),
    ],
)
def test_index_leads_to_the_room_asked_for(app: Flask, query: str, room: str) -> None:
    response = app.test_client().get("/" + query)
    assert response.status_code == 302
    assert response.location == f"/{room}"
    assert app.test_client().get(response.location).status_code == 200


def test_page_names_its_room_and_its_socket(app: Flask) -> None:
    text = app.test_client().get("/Tea").text
    assert 'data-room="tea"' in text
    assert 'data-socket="/ws/tea"' in text


def test_page_finds_its_socket_below_a_mount_point(app: Flask) -> None:
    text = app.test_client().get("/tea", base_url="http://localhost/chat/").text
    assert 'data-socket="/chat/ws/tea"' in text


@pytest.mark.parametrize("path", ["/a.b", "/" + "x" * 33, "/caf%C3%A9", "/tea/", "/static/nothing.js"])
def test_other_addresses_are_not_found(app: Flask, path: str) -> None:
    assert app.test_client().get(path).status_code == 404


def test_echo_is_no_room(app: Flask) -> None:
    assert app.test_client().get("/echo").status_code == 426


def test_page_runs_under_its_own_strict_policy(app: Flask) -> None:
    response = app.test_client().get("/tea")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", response.text)


def test_page_uses_nothing_of_another_host(app: Flask) -> None:
    client = app.test_client()
    page = client.get("/tea").text
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", page)
    for path in re.findall(r"/static/[\w.]+", page):
        with client.get(path) as response:
            assert response.status_code == 200
            assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org/2000/svg)", response.text)


def test_script_never_inserts_html(app: Flask) -> None:
    with app.test_client().get("/static/chat.js") as response:
        script = response.text
    assert "textContent" in script
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


def test_page_speaks_to_screen_readers(app: Flask) -> None:
    text = app.test_client().get("/tea").text
    assert 'role="log" aria-live="polite"' in text
    assert 'role="status"' in text
    fields = set(re.findall(r"<(?:input|textarea) id=\"(\w+)\"", text))
    assert fields == {"room", "text", "name"}
    assert fields == set(re.findall(r"<label for=\"(\w+)\"", text))


def test_health_answers(app: Flask) -> None:
    assert app.test_client().get("/health").get_json() == {"status": "ok"}


@pytest.mark.parametrize("message", ["hello", "", b"\x00\xff"])
def test_echo_sends_back_what_it_gets(client: Any, message: str | bytes) -> None:
    with client.connect("/echo") as peer:
        peer.send(message)
        assert peer.receive() == message


# ---- rooms


def test_newcomer_is_welcomed_first(client: Any) -> None:
    with client.connect("/ws/tea") as peer:
        welcome = hear(peer)
    assert welcome.pop("you")
    assert welcome == {"type": "welcome", "count": 1, "history": []}


def test_count_follows_those_who_come_and_go(client: Any) -> None:
    with client.connect("/ws/tea") as ada:
        assert hear(ada)["count"] == 1
        with client.connect("/ws/tea") as grace:
            assert hear(grace)["count"] == 2
            assert hear(ada) == {"type": "presence", "count": 2}
        assert hear(ada) == {"type": "presence", "count": 1}


def test_message_reaches_everybody_in_the_room_its_author_included(client: Any) -> None:
    with client.connect("/ws/tea") as ada, client.connect("/ws/Tea") as grace:
        author = hear(ada)["you"]
        assert hear(grace)["you"] != author
        assert hear(ada)["type"] == "presence"
        say(ada, "  one\nsugar ", name=" Ada \n Lovelace ")
        heard = hear(ada)
        assert hear(grace) == heard
    assert isinstance(heard.pop("at"), int)
    assert heard == {"type": "message", "name": "Ada Lovelace", "text": "one\nsugar", "from": author}


def test_message_stays_in_its_room(client: Any) -> None:
    with client.connect("/ws/tea") as ada, client.connect("/ws/coffee") as kurt:
        hear(ada), hear(kurt)
        say(ada, "for tea")
        assert hear(ada)["text"] == "for tea"
        say(kurt, "for coffee")
        assert hear(kurt)["text"] == "for coffee"


def test_typing_is_seen_by_the_others_only(client: Any) -> None:
    with client.connect("/ws/tea") as ada, client.connect("/ws/tea") as grace:
        author = hear(ada)["you"]
        hear(grace), hear(ada)
        ada.send('{"type": "typing", "name": "Ada"}')
        assert hear(grace) == {"type": "typing", "name": "Ada", "from": author}
        say(ada, "done")
        assert hear(ada)["text"] == "done"
        assert hear(grace)["text"] == "done"


def test_newcomer_gets_the_last_messages(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MAX_HISTORY", 3)
    with client.connect("/ws/tea") as ada:
        hear(ada)
        for text in "abcde":
            say(ada, text)
        heard = [hear(ada) for _ in "abcde"]
        with client.connect("/ws/tea") as grace:
            assert hear(grace)["history"] == heard[-3:]


def test_history_outlives_the_last_member(client: Any) -> None:
    with client.connect("/ws/tea") as ada:
        hear(ada)
        say(ada, "remember me")
        hear(ada)
    with client.connect("/ws/tea") as grace:
        assert [message["text"] for message in hear(grace)["history"]] == ["remember me"]


def test_order_of_messages_does_not_depend_on_the_clock(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([5_000_000, 5_000_000, 3_000_000, 9_000_000])
    monkeypatch.setattr(demo, "time", SimpleNamespace(time_ns=lambda: next(clock)))
    with client.connect("/ws/tea") as ada:
        hear(ada)
        for _ in range(4):
            say(ada, "tick")
        assert [hear(ada)["at"] for _ in range(4)] == [5, 6, 7, 9]


def test_two_apps_share_no_rooms(client: Any) -> None:
    other = demo.create_app().extensions["greenws"].test_client()
    with client.connect("/ws/tea") as ada, other.connect("/ws/tea") as grace:
        assert hear(ada)["count"] == 1
        assert hear(grace)["count"] == 1


# ---- bounds


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("", "JSON object"),
        ("{", "JSON object"),
        ("[1]", "JSON object"),
        ("null", "JSON object"),
        ("[" * 8000, "JSON object"),
        (b'{"type": "message", "name": "Ada", "text": "x"}', "JSON object"),
        ("{}", "type"),
        ('{"type": ["message"], "name": "Ada", "text": "x"}', "type"),
        ('{"type": "welcome", "name": "Ada", "text": "x"}', "type"),
        ('{"type": "message", "text": "x"}', "strings"),
        ('{"type": "message", "name": 7, "text": "x"}', "strings"),
        ('{"type": "message", "name": "Ada", "text": null}', "strings"),
        ('{"type": "message", "name": "Ada"}', "empty"),
        ('{"type": "message", "name": "Ada", "text": " \\n "}', "empty"),
        (json.dumps({"type": "message", "name": "Ada", "text": "x" * (demo.MAX_TEXT + 1)}), "longer"),
    ],
)
def test_bad_message_gets_an_error_and_the_connection_stays(client: Any, message: str | bytes, words: str) -> None:
    with client.connect("/ws/tea") as ada:
        hear(ada)
        ada.send(message)
        error = hear(ada)
        assert error["type"] == "error"
        assert words in error["text"]
        say(ada, "still here")
        assert hear(ada)["text"] == "still here"


@pytest.mark.parametrize(("name", "shown"), [("x" * 99, "x" * demo.MAX_NAME), ("", "Someone"), (" \t", "Someone")])
def test_name_is_bounded_and_never_empty(client: Any, name: str, shown: str) -> None:
    with client.connect("/ws/tea") as ada:
        hear(ada)
        say(ada, "hello", name=name)
        assert hear(ada)["name"] == shown


@pytest.mark.parametrize("letter", ["x", "\x01", "\ud800", "🌱"])
def test_longest_text_passes_whatever_it_is_made_of(client: Any, letter: str) -> None:
    with client.connect("/ws/tea") as ada:
        hear(ada)
        text = letter * demo.MAX_TEXT
        say(ada, text)
        assert hear(ada)["text"] == text


def test_oversized_message_closes_with_1009(client: Any) -> None:
    with client.connect("/ws/tea") as ada:
        hear(ada)
        say(ada, "x" * demo.MAX_MESSAGE_SIZE)
        with pytest.raises(ConnectionClosed) as end:
            ada.receive()
    assert end.value.code == 1009


@pytest.mark.parametrize("path", ["/ws/a.b", "/ws/echo", "/ws/health", "/ws/" + "x" * 33, "/ws/tea/more"])
def test_socket_of_an_impossible_room_is_not_found(client: Any, path: str) -> None:
    with pytest.raises(HandshakeError) as refusal, client.connect(path):
        pass
    assert refusal.value.status == 404


def test_full_room_refuses_one_more(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MAX_MEMBERS", 1)
    with client.connect("/ws/tea") as ada:
        hear(ada)
        with pytest.raises(HandshakeError) as refusal, client.connect("/ws/tea"):
            pass
        assert refusal.value.status == 503
        say(ada, "alone")
        assert hear(ada)["type"] == "message"  # and no presence of somebody who never came in


def test_full_house_forgets_the_empty_room_entered_longest_ago(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MAX_ROOMS", 2)
    for room in ("tea", "coffee", "tea", "milk"):  # milk takes the place of coffee
        with client.connect(f"/ws/{room}") as peer:
            hear(peer)
            say(peer, f"this is {room}")
            hear(peer)
    with client.connect("/ws/tea") as peer:
        assert len(hear(peer)["history"]) == 2
        with client.connect("/ws/coffee") as other:
            assert hear(other)["history"] == []


def test_full_house_refuses_a_new_room_while_all_are_in_use(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MAX_ROOMS", 1)
    with client.connect("/ws/tea") as ada:
        hear(ada)
        with pytest.raises(HandshakeError) as refusal, client.connect("/ws/coffee"):
            pass
        assert refusal.value.status == 503
        with client.connect("/ws/tea") as grace:
            assert hear(grace)["count"] == 2


# ---- settings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_GREENWS_METRICS", "127.0.0.1:9464")
    assert demo.create_app().extensions["greenws"].config.metrics == "127.0.0.1:9464"
