"""The gunicorn worker: our server inside gunicorn's process model.

``gunicorn -k greenws.server.gunicorn.GreenWorker module:app``, or ``greenws run module:app``, which is the same.
"""

from __future__ import annotations

import datetime
import time
from typing import Any

from gunicorn.workers.ggevent import GeventPyWSGIWorker, GeventResponse, PyWSGIHandler

from greenws.protocol.http import RequestHead
from greenws.server.readiness import SPREAD
from greenws.server.upgrade import Upgrade
from greenws.server.wsgi import WSGIHandler, WSGIServer

LAST_MOMENT = 1.0  # seconds of gunicorn's graceful timeout that are left for everything but the connections


class GreenHandler(PyWSGIHandler, WSGIHandler):
    """Plain requests, with gunicorn's access log."""


class GreenServer(WSGIServer):
    """Our server, as gunicorn's worker makes and closes it."""

    graceful_timeout = 30.0  # seconds, set by the worker

    def close(self) -> None:
        """Stops accepting. A greenlet of gunicorn's pool then closes the connections: the worker waits for the pool."""
        is_first = self.started
        super().close()
        if is_first:
            self.pool.spawn(self._drain)

    def _drain(self) -> None:
        for arrival in tuple(self.arrivals):
            arrival.close()
        for registry in tuple(self.registries):
            registry.drain(max(0.0, self.graceful_timeout - LAST_MOMENT))

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

    def run(self) -> None:
        """Serves until gunicorn says to end."""
        GreenServer.graceful_timeout = self.cfg.graceful_timeout
        GreenServer.warm_up_spread = SPREAD if self.cfg.workers > 1 else 0.0
        super().run()
