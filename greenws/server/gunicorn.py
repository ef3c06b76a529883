"""The gunicorn worker: our server inside gunicorn's process model.

``gunicorn -k greenws.server.gunicorn.GreenWorker module:app``, or ``greenws run module:app``, which is the same.
"""

from __future__ import annotations

import datetime
import gc
import signal
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gunicorn.glogging import Logger
from gunicorn.http.wsgi import base_environ
from gunicorn.sock import ssl_context
from gunicorn.workers.ggevent import VERSION, GeventPyWSGIWorker, GeventResponse, PyWSGIHandler

from greenws.net.transport import TLS
from greenws.protocol.http import RequestHead
from greenws.server.lifetime import LAST_MOMENT, code_at_end
from greenws.server.readiness import SPREAD
from greenws.server.tls import speak_http
from greenws.server.upgrade import Upgrade
from greenws.server.wsgi import WSGIHandler, WSGIServer, state_of

NOTIFY = 1.0  # seconds between two signs of life for gunicorn's arbiter
QUICK = 1.0  # seconds for closing all connections when gunicorn is told to end quickly (INT, QUIT)


class GreenHandler(PyWSGIHandler, WSGIHandler):
    """Plain requests, with gunicorn's access log."""


class GreenServer(WSGIServer):
    """Our server with gunicorn's logs. ``counted`` is called for each request, an upgrade like any other."""

    counted: Callable[[], None]

    def on_request(self, fd: int, head: RequestHead, rest: bytes, address: Any, tls: TLS | None) -> None:
        """A whole request head has come."""
        self.counted()
        super().on_request(fd, head, rest, address, tls)

    def log_upgrade(
        self, head: RequestHead, environ: dict[str, Any], address: Any, upgrade: Upgrade, begin: float
    ) -> None:
        """Writes gunicorn's access log line."""
        response = GeventResponse(upgrade.status, upgrade.headers, 0)
        self.log.access(response, head.headers, environ, datetime.timedelta(seconds=time.time() - begin))

    def _log_line(self, address: Any, text: str) -> None:
        host = address[0] if isinstance(address, tuple) else "-"
        self.log.info("%s %s", host, text)


class GreenWorker(GeventPyWSGIWorker):
    """gunicorn's gevent worker with our server."""

    server_class = GreenServer
    wsgi_handler = GreenHandler
    alive: bool

    def init_process(self) -> None:
        """Begins the worker's process and serves in it."""
        self._told = Event()
        # gunicorn sets this when the standard library is patched. Until then TERM would go to a copy of the arbiter's
        # handler and be lost, and the arbiter would wait for this worker until its patience ends.
        signal.signal(signal.SIGTERM, self.handle_exit)
        super().init_process()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """TERM: the end in good order begins at once."""
        super().handle_exit(sig, frame)
        self._told.set()

    def run(self) -> None:
        """Serves until gunicorn says to end."""
        servers = [self._serve(sock) for sock in self.sockets]
        gc.collect()
        gc.freeze()  # a collection holds up everybody, and what the application is made of is no garbage
        try:
            while self.alive:
                self.notify()
                self._told.wait(NOTIFY)
            self._stop(servers, max(0.0, self.cfg.graceful_timeout - LAST_MOMENT))
        except SystemExit:  # a quick end: INT, QUIT, a changed source file, a lost arbiter
            self._stop(servers, QUICK)
            raise
        finally:
            gc.unfreeze()  # the interpreter cleans up behind itself, and not in any order

    def _serve(self, sock: Any) -> GreenServer:
        sock.setblocking(True)
        options: dict[str, Any] = {"ssl_context": speak_http(ssl_context(self.cfg))} if self.cfg.is_ssl else {}
        server = self.server_class(
            sock,
            application=self.wsgi,
            spawn=Pool(self.worker_connections),
            log=self.log,
            handler_class=self.wsgi_handler,
            environ={**base_environ(self.cfg), "wsgi.multithread": True, "SERVER_SOFTWARE": VERSION},
            **options,
        )
        server.counted = self._count
        server.is_silent = type(self.log).access is Logger.access and not getattr(self.log, "access_log_enabled", True)
        server.warm_up_spread = SPREAD if self.cfg.workers > 1 else 0.0
        if (state := state_of(self.wsgi)) is not None:
            server.registries.add(state.registry)  # also while nobody is connected, an application may ask it
        server.start()
        return server

    def _count(self) -> None:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
            self._told.set()

    def _stop(self, servers: list[GreenServer], timeout: float) -> None:
        code = code_at_end(self)
        for server in servers:
            server.stop_listening(code)
        until = time.monotonic() + timeout + LAST_MOMENT / 2
        ends = [gevent.spawn(server.stop, timeout) for server in servers]
        while not all(end.ready() for end in ends) and time.monotonic() < until:
            self.notify()
            gevent.joinall(ends, min(NOTIFY, max(0.0, until - time.monotonic())))
