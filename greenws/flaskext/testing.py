"""A test client: connects to WebSocket routes over a socket pair, without a port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import gevent
from flask import Flask, Response
from gevent import socket

from greenws.client.upgrade import Request, upgrade
from greenws.client.wire import Wire
from greenws.config import Compression, Config
from greenws.errors import HandshakeError
from greenws.net.connection import Connection
from greenws.net.registry import Registry
from greenws.net.sender import Service
from greenws.server.wsgi import WSGIServer


class UpgradeRefused(HandshakeError):
    """The application answered an upgrade with an HTTP response.

    Attributes:
        response: that response, as a ``flask.Response``.
    """

    def __init__(self, error: HandshakeError) -> None:
        super().__init__(error.status, error.message, error.headers, error.body)
        self.response = Response(error.body, error.status, list(error.headers))


class TestClient:
    """Connects to the WebSocket routes of an application; everything between is the real thing.

    Example:
        .. code-block:: python

            client = app.extensions["greenws"].test_client()
            with client.connect("/echo") as peer:
                peer.send("hi")
                assert peer.receive() == "hi"
    """

    __test__ = False  # for pytest: not a test case

    def __init__(self, app: Flask, config: Config | None = None) -> None:
        self._server = WSGIServer(("localhost", 80), app, log=None)
        self._server.update_environ()
        self._service = Service(config or Config(ping_interval=None), Registry(), "test client", is_server=False)

    @contextmanager
    def connect(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        subprotocols: Iterable[str] = (),
        origin: str | None = None,
        host: str = "localhost",
        remote_addr: str = "127.0.0.1",
        compression: bool | Compression | None = None,
    ) -> Iterator[Connection]:
        """Connects to a route, gives the connection, and closes it at the end of the with block.

        The block ends when the server's side has ended too and ``on_close``, unless it blocks, has run.

        Args:
            path: with a query if there is one.
            headers: of the request, such as ``{"Cookie": …}``.
            subprotocols: offered, best first.
            origin: as a browser would send it.
            host: the Host header.
            remote_addr: the peer's address as the application sees it.
            compression: whether to offer it, and how; None goes by the client's settings.

        Raises:
            UpgradeRefused: the application answered with an HTTP response, which is in ``response``.
        """
        ours, theirs = socket.socketpair()
        self._server.on_connect(theirs.detach(), (remote_addr, 0))
        config = self._service.config
        request = Request(
            host=host,
            target=path,
            subprotocols=tuple(subprotocols),
            origin=origin,
            headers=tuple(headers.items() if isinstance(headers, Mapping) else headers),
            compression=config.deflate if compression is None else config.replace(compression=compression).deflate,
        )
        try:
            with gevent.Timeout(config.handshake_timeout, HandshakeError(0, "the application did not answer in time")):
                conn = upgrade(Wire(ours), self._service, request)
        except HandshakeError as error:
            raise UpgradeRefused(error) if error.status else error from None
        try:
            with conn:
                yield conn
        finally:
            gevent.idle()
