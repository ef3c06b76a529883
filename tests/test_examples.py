"""Every example runs: over the test client, and alone as a program."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import gevent.event
import pytest

from greenws import ConnectionClosed
from greenws.errors import HandshakeError

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"

# Runs an example as a program, up to the point where it would serve for ever.
AS_A_PROGRAM = """
import runpy, sys
from gevent import monkey
from gevent.baseserver import BaseServer
BaseServer.serve_forever = lambda server: print(*server.address, monkey.is_module_patched("socket"))
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def load(name: str) -> ModuleType:
    """Loads an example anew, so that no test sees what another left in it."""
    spec = importlib.util.spec_from_file_location(f"examples.{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def client_of(module: ModuleType) -> Any:
    return module.app.extensions["greenws"].test_client()


@pytest.mark.parametrize("message", ["hello", "", "Grüße 🌱", b"\x00\xff"])
def test_echo_sends_back_what_it_gets(message: str | bytes) -> None:
    with client_of(load("echo")).connect("/echo") as peer:
        peer.send(message)
        assert peer.receive() == message


def test_chat_reaches_everybody_in_the_room_and_nobody_else() -> None:
    client = client_of(load("chat"))
    with (
        client.connect("/chat/tea?name=Ada") as ada,
        client.connect("/chat/coffee?name=Kurt") as kurt,
    ):
        assert ada.receive() == "Ada is here"
        assert kurt.receive() == "Kurt is here"
        with client.connect("/chat/tea?name=Grace") as grace:
            assert grace.receive() == "Grace is here"
            assert ada.receive() == "Grace is here"
            grace.send("one sugar")
            assert grace.receive() == "Grace: one sugar"
            assert ada.receive() == "Grace: one sugar"
        assert ada.receive() == "Grace has left"
        kurt.send("black")
        assert kurt.receive() == "Kurt: black"


def test_chat_passes_over_binary_messages() -> None:
    with client_of(load("chat")).connect("/chat/tea?name=Ada") as ada:
        assert ada.receive() == "Ada is here"
        ada.send(b"\x00")
        ada.send("text")
        assert ada.receive() == "Ada: text"


def test_chat_forgets_a_room_that_everybody_left() -> None:
    module = load("chat")
    client = client_of(module)
    with client.connect("/chat/coffee?name=Kurt") as kurt:
        assert kurt.receive() == "Kurt is here"
        with client.connect("/chat/tea?name=Ada") as ada:
            assert ada.receive() == "Ada is here"
            kurt.send("still here")
            assert kurt.receive() == "Kurt: still here"
            assert set(module.rooms) == {"coffee", "tea"}
            left = gevent.event.Event()
            module.rooms["tea"] = Emptied(module.rooms["tea"], left)
        assert left.wait(timeout=5)
        kurt.send("alone")
        assert kurt.receive() == "Kurt: alone"
        assert set(module.rooms) == {"coffee"}


class Emptied(set[Any]):
    """A set that says when its last member is gone."""

    def __init__(self, members: set[Any], event: gevent.event.Event) -> None:
        super().__init__(members)
        self.event = event

    def discard(self, member: Any) -> None:
        super().discard(member)
        if not self:
            self.event.set()


def test_chat_refuses_a_person_without_a_name() -> None:
    with pytest.raises(HandshakeError) as refusal, client_of(load("chat")).connect("/chat/tea"):
        pass
    assert refusal.value.status == 400


def test_progress_pushes_until_it_is_done_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("progress")
    monkeypatch.setattr(module, "work", lambda: iter((40, 100)))
    with client_of(module).connect("/progress") as peer:
        assert json.loads(peer.receive()) == {"percent": 40}
        assert json.loads(peer.receive()) == {"percent": 100}
        with pytest.raises(ConnectionClosed) as end:
            peer.receive()
    assert (end.value.code, end.value.reason) == (1000, "done")


def test_progress_ends_its_work_when_the_peer_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("progress")
    ended = gevent.event.Event()

    def endless_work() -> Iterator[int]:
        try:
            yield 1
            gevent.event.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(module, "work", endless_work)
    with client_of(module).connect("/progress") as peer:
        assert json.loads(peer.receive()) == {"percent": 1}
        assert not ended.is_set()
    assert ended.wait(timeout=5)


def test_progress_has_a_page_that_asks_for_its_feed() -> None:
    response = load("progress").app.test_client().get("/")
    assert response.status_code == 200
    assert "/progress" in response.text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["echo", "chat", "progress"])
def test_runs_alone_as_a_program(name: str) -> None:
    command = [sys.executable, "-c", AS_A_PROGRAM, str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""  # such as gevent's warning that it patched too late
    assert done.stdout.split() == ["127.0.0.1", "8000", "True"]


@pytest.mark.parametrize("name", ["echo", "chat", "progress"])
def test_says_how_to_run_it(name: str) -> None:
    doc = load(name).__doc__ or ""
    assert f"greenws run examples.{name}:app" in doc
    assert f"python examples/{name}.py" in doc
    assert f"greenws run examples.{name}:app" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
