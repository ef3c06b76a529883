"""Flask-SocketIO on our connections, with its client from npm. What that says is in socketio.mjs."""

import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.interop import gunicorns, serving, stock

HERE = Path(__file__).parent
MODULE = "tests.interop.socketio_app"
SERVERS = ("WSGIServer", "greenws run", "gevent", "gevent_pywsgi")
CONVERSATIONS = ["websocket", "upgrade", "polling", "binary", "acknowledged", "broadcast", "rooms", "pushed"]
CONVERSATIONS += ["refused", "disconnected", "left"]

pytestmark = pytest.mark.slow


def start(kind: str) -> AbstractContextManager[SimpleNamespace]:
    app = f"{MODULE}:create_app()"
    if kind == "WSGIServer":
        return serving.serve(f"{MODULE}:create_app")
    if kind == "greenws run":
        return gunicorns.run(app=app)
    return stock.serve(kind, app=app)


def log_of(server: SimpleNamespace) -> str:
    return server.errors() if hasattr(server, "errors") else server.log()


def converse(node: str, port: int, *words: str) -> None:
    if not (HERE / "node_modules" / "socket.io-client").is_dir():
        pytest.skip("the module socket.io-client is not there; in tests/interop: npm ci")
    command = [node, "socketio.mjs", f"http://127.0.0.1:{port}", *words]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=25)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", SERVERS)
def test_converses(node: str, kind: str) -> None:
    with start(kind) as server:
        converse(node, server.port, *CONVERSATIONS)
        assert "Traceback" not in log_of(server), log_of(server)


def test_an_error_in_a_handler_ends_nothing(node: str) -> None:
    with start("WSGIServer") as server:
        converse(node, server.port, "failing")
        assert "on purpose" in server.log()


@pytest.mark.parametrize(("size", "settings"), [(700_000, {}), (4000, {"max_message_size": 5000})])
def test_the_largest_message_is_that_of_socketio_unless_ours_is_set(
    node: str, size: int, settings: dict[str, int]
) -> None:
    with serving.serve(f"{MODULE}:create_app", **settings) as server:
        converse(node, server.port, f"large {size}")
