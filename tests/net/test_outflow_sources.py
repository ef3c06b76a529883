"""What a message is sent from: files, and sources that fail."""

from __future__ import annotations

import io
import random
import threading

import gevent
import pytest

from greenws.errors import ConnectionClosed
from greenws.protocol.deflate import Agreement
from tests.net.test_outflow import ROW, connect, stream_to

NOISE = random.Random(3).randbytes(200_000)
ERROR = (1011).to_bytes(2, "big")


@pytest.fixture(params=[None, Agreement(True, True), Agreement(False, False)], ids=["plain", "fresh", "keeping"])
def agreed(request):
    return request.param


# ---- files


@pytest.mark.parametrize("mode", ["rb", "r"])
def test_files(net, agreed, tmp_path, mode):
    path = tmp_path / "file"
    content = ROW * 10
    path.write_text(content, encoding="utf-8")
    server, client = connect(net, agreed)
    for size in (None, 0):
        if size is not None:
            path.write_bytes(b"")
            content = ""
        with path.open(mode, encoding=None if mode == "rb" else "utf-8") as file:
            sender = gevent.spawn(server.send_stream, file)
            assert client.receive(5) == (content if mode == "r" else content.encode())
            sender.get(timeout=5)
            assert not file.closed


def test_what_reads_like_a_file(net):
    server, client = connect(net)
    for file, message in ((io.BytesIO(NOISE), NOISE), (io.StringIO(ROW), ROW), (io.StringIO(), "")):
        sender = gevent.spawn(server.send_stream, file)
        assert client.receive(5) == message
        sender.get(timeout=5)


def test_a_regular_file_is_read_in_another_thread(net, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    threads = []

    class File(io.FileIO):
        def read(self, size=-1):
            threads.append(threading.get_ident())
            return super().read(size)

    server, client = connect(net)
    with File(path) as file:
        server.send_stream(file)
    assert client.receive(5) == b"x"
    assert threads
    assert threading.get_ident() not in threads


def test_a_file_that_cannot_be_read_is_the_callers_business(net, tmp_path, capfd):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    server, client = connect(net)
    with path.open("wb") as file, pytest.raises(io.UnsupportedOperation):
        server.send_stream(file)
    with path.open("rb") as file:
        pass
    with pytest.raises(ValueError, match="closed"):
        server.send_stream(file)
    server.send("usable")
    assert client.receive(5) == "usable"
    assert capfd.readouterr().err == ""


# ---- sources that fail


class Unlucky:
    def __init__(self, *chunks):
        self.chunks = chunks

    def __iter__(self):
        yield from self.chunks
        raise KeyError("no")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (Unlucky(b"a"), KeyError),
        ([b"a", "b"], TypeError),
        (["a", b"b"], TypeError),
        ([b"a", 1], TypeError),
        ([b"a", None], TypeError),
        (["a", "\ud800"], UnicodeEncodeError),
    ],
)
def test_a_message_that_has_begun_cannot_be_taken_back(net, source, error):
    server, peer = net.bare()
    with pytest.raises(error):
        server.send_stream(source)
    (_, end) = peer.fragments()
    assert end[:2] == ERROR
    assert server.close_code == 1011


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (Unlucky(), KeyError),
        ([1], TypeError),
        ([None], TypeError),
        ("text", TypeError),
        (b"bytes", TypeError),
        (bytearray(b"bytes"), TypeError),
        (7, TypeError),
        (["\ud800"], UnicodeEncodeError),
    ],
)
def test_what_fails_before_anything_was_sent_leaves_the_connection_as_it_was(net, agreed, source, error):
    server, client = connect(net, agreed)
    with pytest.raises(error):
        server.send_stream(source)
    server.send_stream([ROW])
    server.send(ROW)
    assert [client.receive(5) for _ in range(2)] == [ROW] * 2


@pytest.mark.parametrize("reason", [gevent.GreenletExit, gevent.Timeout])
def test_who_is_killed_in_the_middle_breaks_the_message_off(net, reason):
    server, peer = net.bare()
    _source, sender = stream_to(server)
    sender.kill(reason, timeout=5)
    assert sender.dead
    assert peer.fragments()[1][:2] == ERROR
    with pytest.raises(ConnectionClosed):
        server.send("x")
