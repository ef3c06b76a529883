"""What a client sees of an application written for Flask-Sock, with the import changed.

``python -m tests.interop.test_flask_sock`` asks Flask-Sock itself. It is no test: some conversations stop halfway,
for its handler and its reader use one codec from two threads without a lock.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from werkzeug.serving import make_server

from tests.interop import serving, stock
from tests.interop.gunicorns import wait_for
from tests.interop.sock_app import create_theirs

OURS = "tests.interop.sock_app:create_app"


def end_of(peer: Any, timeout: float) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed):
        peer.recv(timeout)
    return peer.close_code, peer.close_reason


def converse(port: int, timeout: float = 10) -> dict[str, Any]:
    """One conversation with each route."""
    base, said = f"ws://127.0.0.1:{port}", {}
    with connect(f"{base}/echo", close_timeout=timeout) as peer:
        for message in ("hi", "Grüße 🌱", b"\x00\xff", "x" * 100_000):
            peer.send(message)
            assert peer.recv(timeout) == message
        peer.send("close")
        said["echo"] = end_of(peer, timeout)
    with connect(f"{base}/values/tea/7?q=sugar") as peer:
        said["values"] = peer.recv(timeout)
        peer.send("more")
        said["more"] = peer.recv(timeout), end_of(peer, timeout)
    with connect(f"{base}/part/who", subprotocols=["two", "one"]) as peer:
        said["who"] = peer.subprotocol, peer.recv(timeout)
    with connect(f"{base}/leave") as peer:
        peer.send("go")
        said["leave"] = end_of(peer, timeout)
    with connect(f"{base}/patient") as peer:
        said["patient"] = [peer.recv(timeout)]
        peer.send("now")
        said["patient"].append(peer.recv(timeout))
    with connect(f"{base}/left") as peer:
        peer.close(4002, "enough")

    def ends() -> Any:
        with urlopen(f"http://127.0.0.1:{port}/ends", timeout=timeout) as answer:
            return json.load(answer)

    wait_for(ends)
    said["left"] = ends()
    return said


EXPECTED = {
    "echo": (1000, ""),
    "values": "tea 7 sugar 1",
    "more": ("/values/tea/7 1", (1000, "")),
    "who": ("two", "part.who two True"),
    "leave": (4001, "that is all"),
    "patient": ["None", "now"],
    "left": [[4002, "enough"]],
}


@contextmanager
def theirs() -> Iterator[SimpleNamespace]:
    """Flask-Sock itself on werkzeug's threads, as its documentation has it."""
    server = make_server("127.0.0.1", 0, create_theirs(), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield SimpleNamespace(port=server.server_port)
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


WAYS = {
    "WSGIServer": lambda: serving.serve(OURS),
    "gevent": lambda: stock.serve("gevent", app=f"{OURS}()"),
    "gevent_pywsgi": lambda: stock.serve("gevent_pywsgi", app=f"{OURS}()"),
    "GreenWorker": lambda: stock.serve("greenws.server.gunicorn.GreenWorker", app=f"{OURS}()"),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", list(WAYS))
def test_a_client_sees_no_difference(way: str) -> None:
    with WAYS[way]() as server:
        assert converse(server.port) == EXPECTED
        errors = server.errors() if hasattr(server, "errors") else ""
        assert "Traceback" not in errors


if __name__ == "__main__":
    with theirs() as itself:
        assert converse(itself.port) == EXPECTED
