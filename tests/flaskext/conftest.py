"""An application with GreenWS, and its test client."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from flask import Flask, Response, got_request_exception
from gevent import socket
from gevent.event import Event

from greenws import Connection, GreenWS
from greenws.flaskext.testing import UpgradeRefused
from tests.leaks import no_leaks, pytest_runtest_makereport

__all__ = ["no_leaks", "pytest_runtest_makereport"]

Connect = Callable[..., AbstractContextManager[Connection]]


@pytest.fixture
def app() -> Flask:
    app = Flask("application")
    app.secret_key = "a key for tests"
    return app


@pytest.fixture
def ws(app: Flask) -> GreenWS:
    return GreenWS(app)


@pytest.fixture
def connect(app: Flask) -> Connect:
    """Connects to a route: ``with connect("/echo") as peer``."""
    return lambda *args, **options: app.extensions["greenws"].test_client().connect(*args, **options)


@pytest.fixture
def refusal(connect: Connect) -> Callable[..., Response]:
    """The response with which a route refuses an upgrade."""

    def ask(path: str, **options: object) -> Response:
        with pytest.raises(UpgradeRefused) as caught, connect(path, **options):
            pytest.fail("the upgrade was accepted")
        response = caught.value.response
        caught.value.__traceback__ = None
        return response

    return ask


def handshake(app: Flask, path: str, cookie: str = "", host: str = "localhost") -> tuple[bytes, bytes]:
    """Upgrades by hand. Returns the head of the response and what came right behind it."""
    client = app.extensions["greenws"].test_client()
    ours, theirs = socket.socketpair()
    client._server.on_connect(theirs.detach(), ("127.0.0.1", 1))
    with ours:
        ours.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{cookie}\r\n".encode()
        )
        data = b""
        while b"\r\n\r\n" not in data:
            more = ours.recv(65536)
            assert more, data
            data += more
        ours.sendall(b"\x88\x80\0\0\0\0")
        while more := ours.recv(65536):
            data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


class Reports:
    """What the application logged, and what ``got_request_exception`` was sent.

    In words: an error's traceback holds on to much.
    """

    def __init__(self) -> None:
        self.logged: list[str] = []
        self.sent: list[str] = []
        self.written = Event()

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info and record.exc_info[1]
        self.logged.append(f"{record.levelname} {record.getMessage()}{f' {error!r}' if error else ''}")
        record.exc_info = None  # pytest keeps the record
        self.written.set()

    def note(self, sender: Flask, exception: BaseException, **extra: object) -> None:
        self.sent.append(repr(exception))


@pytest.fixture
def reports(app: Flask) -> Iterator[Reports]:
    """See ``Reports``."""
    reports = Reports()
    handler = logging.Handler()
    handler.emit = reports.emit
    app.logger.addHandler(handler)
    got_request_exception.connect(reports.note, app)
    yield reports
    got_request_exception.disconnect(reports.note, app)
    app.logger.removeHandler(handler)
