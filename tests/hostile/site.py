"""The three stacks that hostile clients meet, each with the same application and an honest client beside them.

``ours`` is our server, in this process. ``nginx`` is the same behind nginx, with the file of docs/deploy. ``gunicorn``
is stock ``gunicorn -k gevent``, which has no class of ours.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from gevent import socket as gevent_socket

from greenws import Connection
from greenws.config import Config
from greenws.net.reactor import get_reactor
from greenws.server import WSGIServer
from tests.hostile import nginx
from tests.hostile.app import create_app, environment
from tests.interop import stock
from tests.wire import TEXT, frame

STACKS = ("ours", "nginx", "gunicorn")
DEADLINE = 1.0  # seconds for whatever a case waits for; a machine may be slow, a server that hangs is slower


class Lines(list[str]):
    """A log."""

    def write(self, text: str) -> None:
        if text:
            self.append(text)

    def flush(self) -> None:
        pass


TRACEBACKS = Lines()  # of the hub, which all servers have in common


class Site:
    """One stack: what a hostile client connects to, and what reached the application behind it.

    Attributes:
        stack: one of STACKS.
        port: where it listens.
        honest: the client that does everything right.
    """

    stack: str
    port: int
    honest: Honest

    def __init__(self) -> None:
        self._notes: dict[str, list[Any]] = {"environs": [], "opened": [], "messages": [], "closes": []}

    @property
    def environs(self) -> list[dict[str, str]]:
        """Those of the requests that reached the application."""
        return self.notes()["environs"]

    @property
    def opened(self) -> list[str]:
        """The paths of those connections that a handler got."""
        return self.notes()["opened"]

    @property
    def messages(self) -> list[str | bytes]:
        """What the handlers got."""
        return self.notes()["messages"]

    @property
    def closes(self) -> list[int | None]:
        """The codes with which the handlers' connections ended."""
        return self.notes()["closes"]

    def notes(self) -> dict[str, list[Any]]:
        """All four."""
        return self._notes

    def note(self, what: str, value: Any) -> None:
        self._notes[what].append(value)

    def wait_until(self, question: Callable[[], Any]) -> None:
        """Lets the honest client echo until the answer is yes."""
        until = time.monotonic() + DEADLINE
        while not question():
            assert time.monotonic() < until, f"not within {DEADLINE} s"
            self.honest.echo()

    def is_quiet(self) -> bool:
        """Whether nobody is connected but the honest client."""
        raise NotImplementedError

    def begin(self) -> None:
        """Forgets what has been noted, and looks at what there is before a client comes."""
        for notes in self.notes().values():
            notes.clear()

    def check_nothing_is_left(self) -> None:
        """Of the clients that have gone."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ends it."""
        raise NotImplementedError


class OurSite(Site):
    """Our server in this process, so that all it holds can be counted.

    Args:
        stack: ``ours``, or ``nginx`` for one in front of it.
        server: settings of the server.
        options: settings of the application.

    Attributes:
        log, errors: the access log; tracebacks, and what the application logged.
    """

    def __init__(self, stack: str = "ours", server: Config | None = None, **options: Any) -> None:
        super().__init__()
        self.stack = stack
        self.log, self.errors = Lines(), TRACEBACKS
        self.app = create_app(self.note, logging.StreamHandler(TRACEBACKS), **options)
        self.ws = self.app.extensions["greenws"]
        self.server = WSGIServer(("127.0.0.1", 0), self.app, log=self.log, error_log=self.errors, config=server)
        self.server.start()
        with ExitStack() as stops:
            stops.callback(self._stop)
            self.port = self.server.address[1]
            if stack == "nginx":
                self.port = stops.enter_context(nginx.in_front_of(self.port))
            self.honest = Honest(self.port)
            stops.callback(self.honest.close)
            self._stops = stops.pop_all()
        self.begin()

    @property
    def connections(self) -> list[Connection]:
        """Those that are connected, but for the honest one."""
        return [conn for conn in self.ws.connections if conn.path != "/honest"]

    def is_quiet(self) -> bool:
        return not self.connections and not self.server.arrivals

    def begin(self) -> None:
        super().begin()
        self._quiet = self._count()
        self.log.clear()
        self.errors.clear()

    def check_nothing_is_left(self) -> None:
        """No connection, descriptor, deadline, or traceback; and a log of plain text."""
        self.wait_until(lambda: self.is_quiet() and self._count() == self._quiet)
        assert self.errors == []
        assert all(line.isascii() and line[:-1].isprintable() and line[-1] == "\n" for line in self.log), self.log

    def stop(self) -> None:
        self._stops.close()
        assert self.errors == []

    def _stop(self) -> None:
        self.server.stop(DEADLINE)

    def _count(self) -> tuple[int, int, int]:
        reactor = get_reactor()
        return len(os.listdir("/dev/fd")), reactor.count, reactor.wheel.count


class StockSite(Site):
    """Stock gunicorn. Its worker is a process of its own; what reaches the application there, it notes in a file."""

    stack = "gunicorn"

    def __init__(self, **options: Any) -> None:
        super().__init__()
        with ExitStack() as stops:
            self._file = stops.enter_context(tempfile.NamedTemporaryFile())
            self._server = stops.enter_context(self._serve(options))
            self.port = self._server.port
            self.honest = Honest(self.port)
            stops.callback(self.honest.close)
            self._stops = stops.pop_all()
        self._worker = stock.worker_pid(self._server.process.pid)
        self.begin()

    def _serve(self, options: dict[str, Any]) -> AbstractContextManager[Any]:
        return stock.serve(
            "gevent", app="tests.hostile.app:create_app_elsewhere()", environ=environment(self._file.name, options)
        )

    def notes(self) -> dict[str, list[Any]]:
        while True:
            at = self._file.tell()
            try:
                what, value = pickle.load(self._file)
            except (EOFError, pickle.UnpicklingError):  # the next one has not been written, or not to its end
                self._file.seek(at)
                return self._notes
            self.note(what, value)

    def is_quiet(self) -> bool:
        return len(self.opened) == len(self.closes)

    def begin(self) -> None:
        super().begin()
        self._quiet = self._count()

    def check_nothing_is_left(self) -> None:
        """No descriptor, and no traceback."""
        self.wait_until(lambda: self.is_quiet() and self._count() <= self._quiet)
        assert "Traceback" not in self._server.errors(), self._server.errors()

    def stop(self) -> None:
        self._stops.close()

    def _count(self) -> int:
        return len(os.listdir(f"/proc/{self._worker}/fd"))


class Honest:
    """A client that does everything right. Its echo is also the clock of the tests: it lets the server run."""

    def __init__(self, port: int) -> None:
        self._count = 0
        self._socket = gevent_socket.create_connection(("127.0.0.1", port), 10 * DEADLINE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(
            b"GET /honest HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        self._reader = self._socket.makefile("rb")
        lines = list(iter(self._reader.readline, b"\r\n"))
        assert lines[0] == b"HTTP/1.1 101 Switching Protocols\r\n"
        self._socket.settimeout(DEADLINE)

    def echo(self) -> None:
        """Sends a message and waits until it comes back."""
        self._count += 1
        message = b"honest %d" % self._count
        self._socket.sendall(frame(TEXT, message))
        assert self._reader.read(2 + len(message)) == bytes([TEXT, len(message)]) + message

    def close(self) -> None:
        self._reader.close()
        self._socket.close()


class Sites:
    """The stacks with one set of settings, of which one is up at a time."""

    def __init__(self, **options: Any) -> None:
        self._options = {"ping_interval": None, **options}
        self._site: Site | None = None

    def get(self, stack: str) -> Site:
        """Returns the one that is called so; it is started, unless it is up."""
        if self._site is None or self._site.stack != stack:
            self.close()
            self._site = StockSite(**self._options) if stack == "gunicorn" else OurSite(stack, **self._options)
        return self._site

    def close(self) -> None:
        site, self._site = self._site, None
        if site is not None:
            site.stop()


def serve(server: Config | None = None, **options: Any) -> Iterator[OurSite]:
    """For fixtures: our server while it is needed."""
    site = OurSite(server=server, **{"ping_interval": None, **options})
    yield site
    site.stop()
