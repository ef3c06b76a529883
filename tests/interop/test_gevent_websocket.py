"""Applications of gevent-websocket in gunicorn: with a worker of ours, and behind the middleware on stock ones."""

import signal
from contextlib import ExitStack

import pytest

from tests.interop.stock import serve
from tests.interop.test_stock import Peer
from tests.wire import CLOSE, TEXT, frame

MODULE = "tests.interop.gevent_websocket_app"
WAYS = [
    ("greenws.compat.gunicorn.GeventWebSocketWorker", "app"),
    ("greenws.server.gunicorn.GreenWorker", "wrapped"),
    ("gevent", "wrapped"),
    ("gevent_pywsgi", "wrapped"),
]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("kind", "app"), WAYS)
def test_chats_and_is_told_when_the_worker_ends(kind: str, app: str) -> None:
    with serve(kind, app=f"{MODULE}:{app}") as server, ExitStack() as stack:
        peers = []
        for count in (1, 2, 3):
            peer = stack.enter_context(Peer(server.port, "/chat"))
            assert peer.head()[0] == 101
            peer.until(b"\x81\x01%d" % count)
            peers.append(peer)
        peers[0].send(frame(TEXT, b"hello"))
        for peer in peers:
            peer.until(b"\x81\x05hello")
        plain = stack.enter_context(Peer(server.port, "/"))
        assert plain.head()[0] != 101  # an upgrade that no application is for
        server.process.send_signal(signal.SIGTERM)
        for peer in peers:
            peer.until(b"\x88\x02\x03\xe9")  # 1001
            peer.send(frame(CLOSE, b"\x03\xe9"))
            assert peer.rest() == b""
        assert server.process.wait(15) == 0
        assert server.access().count('"GET /chat HTTP/1.1" 101') == 3
