"""Our client and other people's servers: websockets, aiohttp, and ws on Node."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest
from gevent.os import tp_read

import greenws
from greenws import ConnectionClosed, HandshakeError
from tests.interop.test_node import HERE

SERVERS = {
    "websockets": ["{python}", "-m", "tests.interop.peers", "websockets"],
    "aiohttp": ["{python}", "-m", "tests.interop.peers", "aiohttp"],
    "ws": ["node", str(HERE / "server.mjs")],
}
MESSAGES = ["", "hi", "héllo 🌱", b"", b"\x00\xff" * 100, "x" * 126, b"y" * 65536, "z" * 1024 * 1024]


@contextmanager
def serving(name: str) -> Iterator[int]:
    """Runs somebody's server until the block ends; its port. It serves until its standard input ends."""
    import sys

    command = [part.format(python=sys.executable) for part in SERVERS[name]]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield int(tp_read(process.stdout.fileno(), 16))
        finally:
            process.stdin.close()
            try:
                process.wait(5)
            finally:
                process.kill()


@pytest.fixture(scope="module", params=SERVERS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "ws":
        request.getfixturevalue("node")
        if not (HERE / "node_modules" / "ws").is_dir():
            pytest.skip("the module ws is not there; in tests/interop: npm ci")
    with serving(request.param) as port:
        yield f"ws://127.0.0.1:{port}"


@pytest.mark.parametrize("compression", [False, True])
def test_an_echo(url: str, compression: bool) -> None:
    with greenws.connect(url + "/echo", compression=compression) as conn:
        assert (conn.deflate is not None) == compression
        for message in MESSAGES:
            conn.send(message)
            assert conn.receive(10) == message
    assert conn.close_code == 1000


def test_events(url: str) -> None:
    came: list[str | bytes] = []

    def on_message(conn: greenws.Connection, message: str | bytes) -> None:
        came.append(message)
        if len(came) == 100:
            conn.close()

    conn = greenws.connect(url + "/echo", on_message=on_message)
    for number in range(100):
        conn.send(str(number))
    assert conn.wait_closed(10)
    assert came == [str(number) for number in range(100)]


def test_pings_are_answered(url: str) -> None:
    with greenws.connect(url + "/echo") as conn:
        assert 0 <= conn.ping(5) < 5
        assert conn.latency == pytest.approx(conn.ping(5), abs=5)


def test_a_subprotocol(url: str) -> None:
    with greenws.connect(url + "/echo", subprotocols=["other", "echo.v1"]) as conn:
        assert conn.subprotocol == "echo.v1"


def test_a_close_of_the_server(url: str) -> None:
    with greenws.connect(url + "/bye") as conn, pytest.raises(ConnectionClosed) as end:
        conn.receive(5)
    assert (end.value.code, end.value.reason) == (4001, "bye")


def test_headers_and_credentials(url: str) -> None:
    with greenws.connect(url.replace("//", "//ada:secret@") + "/headers", headers={"X-One": "1"}) as conn:
        headers = json.loads(conn.receive(5))
    assert headers["x-one"] == "1"
    assert headers["authorization"] == "Basic YWRhOnNlY3JldA=="


def test_a_refusal(url: str) -> None:
    with pytest.raises(HandshakeError) as refusal:
        greenws.connect(url + "/no")
    assert refusal.value.status == 403
    assert b"no" in refusal.value.body.lower()


def test_a_hundred_at_once(url: str) -> None:
    def echo(number: int) -> None:
        with greenws.connect(url + "/echo") as conn:
            conn.send(str(number))
            assert conn.receive(10) == str(number)

    greenlets = [gevent.spawn(echo, number) for number in range(100)]
    gevent.joinall(greenlets, timeout=30, raise_error=True)
    assert all(greenlet.successful() for greenlet in greenlets)
