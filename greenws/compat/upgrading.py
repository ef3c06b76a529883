"""WSGI applications that talk over a WebSocket inside their call and return when it has ended.

So do those that were written for gevent-websocket, Flask-SocketIO and Flask-Sock. Here each such call has a greenlet of
its own, and the server's is free when the 101 has left. Until the application first uses its socket it may still answer
like any other, and what it answers is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, NamedTuple, TypeAlias

from greenws.config import Config
from greenws.errors import HandshakeError, UnsupportedServer
from greenws.flaskext.metrics import METRICS, observe
from greenws.net.connection import Connection
from greenws.net.registry import Registry
from greenws.net.sender import Service
from greenws.protocol.codes import CloseCode
from greenws.protocol.grammar import has_token
from greenws.server.admission import admit
from greenws.server.blocking import BlockingRun
from greenws.server.handover import KEY
from greenws.server.upgrade import collect

log = logging.getLogger("greenws.compat")

# In those libraries a peer is open before the application runs. One that waits for something else keeps its peer from
# that for so long at most; one that wants to refuse has as long for it.
PATIENCE = 0.2

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
Application: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes] | None]  # None behind a conversation


class Answer(NamedTuple):
    """An HTTP response to an upgrade request."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class ApplicationRun(BlockingRun):
    """One upgrade request's run through the application.

    Args:
        conn: its connection, not open yet.
        application: what runs.
        environ: its own, which it may change.
    """

    __slots__ = ("_application", "_environ", "_headers", "_status", "_written")

    def __init__(self, conn: Connection, application: Application, environ: Environ) -> None:
        super().__init__(conn)
        self._application = application
        self._environ = environ
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._written: list[bytes] = []

    def call(self) -> Answer | None:
        """The application. What it answers when it has used its socket says only how that is closed."""
        result = self._application(self._environ, self._start_response)
        body = b"" if result is None else collect(result)
        if not self._is_used:
            return Answer(self._status, self._headers, b"".join([*self._written, body])) if self._status else None
        if self._status >= "5":
            self._conn.close(CloseCode.INTERNAL_ERROR, "internal error")
        elif self._status >= "4":
            self._conn.close(CloseCode.POLICY_VIOLATION)
        return None

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self._status, self._headers = status, list(headers)
        return self._written.append

    def _use(self, conn: Connection) -> None:
        super()._use(conn)
        self._environ.pop(KEY, None)  # the environ stays for as long as the connection, but not this


class Upgrading:
    """A WSGI application that gives the upgrade requests of another a socket. Everything else passes through.

    Args:
        application: the other.
        config: its limits and timeouts.
        name: of its connections, for logs and metrics.

    Attributes:
        extensions: those of the application, or, for one that has none, where a server finds ours.
        patience: seconds after which the peer gets its 101 although the socket was not used yet; None is
            ``handshake_timeout``.
    """

    patience: float | None = PATIENCE

    def __init__(self, application: Application, config: Config | None = None, name: str = "application") -> None:
        self.application = application
        self._config = config
        self._name = name
        self._service: Service | None = None
        self.extensions: dict[str, Any] = {}

    def join(self, extensions: dict[str, Any], place: str | None) -> None:
        """Is measured from now on with all else of an application that is.

        Args:
            extensions: the application's.
            place: the setting ``metrics``.
        """
        self.extensions = extensions
        observe(extensions, self, place)

    def make_config(self) -> Config:
        """The settings, asked for at the first upgrade request: until then the application may still set its own."""
        return self._config or Config()

    def may_upgrade(self, environ: Environ) -> bool:
        """Whether a request is ours: it asks for an upgrade to WebSocket."""
        return has_token(environ.get("HTTP_UPGRADE"), "websocket")

    def subprotocols(self, environ: Environ) -> Iterable[str] | None:
        """The subprotocols that a request may choose from, best first; None goes by the settings."""
        return None

    def make_run(self, conn: Connection, environ: Environ) -> ApplicationRun:
        """Puts the socket into the environ, which is the run's own, and returns what is to run."""
        raise NotImplementedError

    @property
    def service(self) -> Service:
        """What all connections share."""
        if self._service is None:
            config = self.make_config()
            if (metrics := self.extensions.get(METRICS)) is not None:
                config = config.replace(metrics=metrics.place)  # another part's setting: the service measures, too
            self._service = Service(config, Registry.of(config), self._name, on_error=_report)
        return self._service

    @property
    def registry(self) -> Registry:
        """The connections."""
        return self.service.registry

    def prepare(self) -> None:
        """Makes what all connections share, if that is not made yet."""
        _ = self.service

    def routes(self) -> Iterable[tuple[str, Service]]:
        """All connections are of one route, for metrics: which rule they have asked for is the application's affair."""
        return [(self._name, self.service)]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI."""
        metrics = self.extensions.get(METRICS)
        if metrics is not None:
            return metrics.serve(environ, start_response, self.answer)  # type: ignore[no-any-return]
        return self.answer(environ, start_response)

    def answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request that is not for metrics."""
        if not self.may_upgrade(environ):
            return self.application(environ, start_response) or ()
        try:
            conn, headers, hand_over = admit(self.service, environ, self.subprotocols(environ))
        except (HandshakeError, UnsupportedServer) as error:
            return _send(self._refusal(error), start_response)
        answer: Answer | None = Answer("", [], b"")
        try:
            answer = self.make_run(conn, {**environ, KEY: hand_over}).start(self.patience)
        finally:
            if answer is not None:
                conn.abandon()
        if answer is not None:
            return _send(answer, start_response)
        hand_over.connection = conn
        return _send(Answer("101 Switching Protocols", headers, b""), start_response)

    def _refusal(self, error: HandshakeError | UnsupportedServer) -> Answer:
        """The answer to a refused request. Counts the limit that led to it."""
        headers = [("Content-Type", "text/plain")]
        if isinstance(error, UnsupportedServer):
            return Answer("501 Not Implemented", headers, f"{error}\n".encode())
        if error.limit is not None:
            self.service.registry.limits[error.limit] += 1
        status = f"{error.status} {HTTPStatus(error.status).phrase}"
        return Answer(status, [*headers, *error.headers], f"{error.message}\n".encode())


def _send(answer: Answer, start_response: StartResponse) -> Iterable[bytes]:
    start_response(answer.status, answer.headers)
    if answer.status.startswith("101"):
        return iter(())  # of unknown length: a server would announce a body of none
    return [answer.body]


def _report(conn: Connection, error: BaseException) -> None:
    log.exception("Exception on WebSocket %r", conn.path)
