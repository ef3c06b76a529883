"""Servers for our client: one that follows a script on a real socket, and an honest one."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent import ssl as gevent_ssl

from greenws.client.pool import ConnectionPool
from greenws.protocol.handshake import accept_key
from tests.client.upstreams import Puppet, Upstream
from tests.leaks import no_leaks, pytest_runtest_makereport
from tests.server.conftest import Site, site

__all__ = ["Site", "no_leaks", "pytest_runtest_makereport", "site"]


class Caller:
    """A client's connection as the server sees it."""

    def __init__(self, sock: Any) -> None:
        self.socket = sock
        self.data = b""

    def head(self) -> dict[str, str]:
        """Reads one request head: its headers by lower-case name, and the request line under ``""``."""
        while b"\r\n\r\n" not in self.data:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self.data += more
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        pairs = [text.split(": ", 1) for text in lines]
        assert len({name.lower() for name, _ in pairs}) == len(pairs), "a header comes twice"
        return {"": line, **{name.lower(): value for name, value in pairs}}

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def accept(self, *headers: str, accept: str | None = None, rest: bytes = b"") -> dict[str, str]:
        """Reads a handshake and answers it with a 101. Returns its headers."""
        head = self.head()
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept or accept_key(head['sec-websocket-key'])}",
            *headers,
        ]
        self.send("\r\n".join([*lines, "", ""]).encode() + rest)
        return head

    def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        while len(self.data) < size:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self.data += more
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def frame(self) -> tuple[int, bytes]:
        """The client's next frame, at most 125 bytes long: opcode and payload."""
        first, length = self.read(2)
        assert length & 0x80, "a client's frame is masked"
        key, payload = self.read(4), self.read(length & 0x7F)
        return first & 0x0F, bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))

    def to_end(self) -> bytes:
        """Reads until the client closes."""
        try:
            while more := self.socket.recv(65536):
                self.data += more
        except ConnectionResetError:
            pass
        return self.data


class Scripted:
    """A server on a real socket that runs ``script(caller)`` for each connection.

    Attributes:
        callers: how many have come.
        errors: what scripts have raised, but for the end of their connection.
    """

    def __init__(self, script: Callable[[Caller], object], context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._greenlets = [gevent.spawn(self._accept)]
        self.port: int = self._listener.getsockname()[1]
        self.callers = 0
        self.errors: list[BaseException] = []

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{'ws' if self._context is None else 'wss'}://{host}:{self.port}{path}"

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            self.callers += 1
            self._greenlets.append(gevent.spawn(self._serve, sock))

    def _serve(self, sock: Any) -> None:
        try:
            if self._context is not None:
                # Not by wrap_socket itself, which leaves the socket open when the greenlet is killed in the handshake.
                sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                sock.do_handshake()
            self._script(Caller(sock))
        except (EOFError, OSError):
            pass  # the client went
        except Exception as error:
            self.errors.append(error)
        finally:
            sock.close()

    def end(self) -> None:
        gevent.killall(self._greenlets)
        self._listener.close()
        assert self.errors == []


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    """Makes scripted servers."""
    made: list[Scripted] = []

    def make(script: Callable[[Caller], object], context: ssl.SSLContext | None = None) -> Scripted:
        made.append(Scripted(script, context))
        return made[-1]

    yield make
    for server in made:
        server.end()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for localhost that signs itself, and its key."""
    folder: Path = tmp_path_factory.mktemp("tls")
    certfile, keyfile = folder / "cert.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost -keyout {keyfile} -out {certfile}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return str(certfile), str(keyfile)


@pytest.fixture
def server_context(certificate: tuple[str, str]) -> ssl.SSLContext:
    """A server's context with the certificate."""
    context = gevent_ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def trusting(certificate: tuple[str, str]) -> ssl.SSLContext:
    """A client's context that trusts the certificate."""
    return ssl.create_default_context(cafile=certificate[0])


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.stop()


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    made = Puppet()
    yield made
    made.stop()


@pytest.fixture
def pool(upstream: Upstream) -> Iterator[ConnectionPool]:
    with ConnectionPool(upstream.url, ping_interval=None) as made:
        yield made
