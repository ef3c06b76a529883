"""Metrics of an application: measured as long as it is served, and published where its settings say.

An application may have several parts with connections: a GreenWS, and middlewares with the interface of other
libraries. They all are in one list in ``app.extensions``, and have one ``Metrics`` there, where a server looks for it.

Nothing here is loaded of ``greenws.observe``, nor of ``prometheus_client``, before an application asks for metrics.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakSet

import gevent

from greenws.client.pool import POOLS
from greenws.config import SocketOptions
from greenws.errors import ConfigError
from greenws.protocol.handshake import wants_websocket
from greenws.server.handover import KEY
from greenws.server.lifetime import find_worker

if TYPE_CHECKING:
    from greenws.observe.exposition import Exposition
    from greenws.observe.figures import Figures
    from greenws.observe.observer import Observer
    from greenws.observe.process import Observed, Process

log = logging.getLogger("greenws.observe")

METRICS = "greenws.metrics"  # among the extensions of an application: its Metrics, if it has a place for them
PARTS = "greenws.observed"  # there: what would be measured
MEASURED = "greenws.measured"  # in a request's environ: it has passed its application's Metrics


WSGI: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Metrics:
    """What is measured of one application.

    Args:
        place: the setting ``metrics``.
        process, observer, exposition: of ``greenws.observe``, made for this application.

    Attributes:
        place: that setting.
        limits, refusals: where a server counts that knows of no registry.
    """

    def __init__(self, place: str, process: Process, observer: Observer, exposition: Exposition) -> None:
        self.limits = process.limits
        self.refusals = process.refusals
        self.place = place
        self._is_path = place.startswith("/")
        self._process = process
        self._observer = observer
        self._exposition = exposition
        self._servers: set[Any] = set()  # that serve the application
        self._server: Any = None  # that serves its metrics
        self._pid = 0

    # ---- from the beginning to the end

    def begin(self, server: Any) -> None:
        """A server begins to serve the application in this process. Does not block."""
        self._servers.add(server)
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        self._process.prepare()
        worker = find_worker()
        if worker is None:
            self._observer.begin(None, self.place)
        else:
            self._observer.begin(worker.ppid, self.place, worker.cfg.worker_tmp_dir)
        if not self._is_path:
            self._listen(is_one_of_several=worker is not None)

    def _listen(self, *, is_one_of_several: bool) -> None:
        from greenws.server.wsgi import WSGIServer

        host, _, port = self.place.rpartition(":")
        # All workers listen on the one port. Whichever the system lets answer, answers for all.
        options = SocketOptions(reuse_port=is_one_of_several)
        address = (host.strip("[]"), int(port))
        environ = {"SERVER_NAME": host}  # gevent would else ask the name service for it
        self._server = WSGIServer(address, self._exposition, log=None, environ=environ, socket_options=options)
        try:
            self._server.start()
        except OSError as error:
            self._server = None
            log.error("metrics cannot be served at %s: %s", self.place, error)

    def end(self, server: Any) -> None:
        """A server has stopped. With the last one measuring ends. Blocks for a moment at most."""
        self._servers.discard(server)
        if self._servers or self._pid != os.getpid():
            return
        self._pid = 0
        if self._server is not None:
            self._server.stop(0)
            self._server = None
        self._observer.end()

    def begin_in_worker(self) -> None:
        """Begins in a worker of gunicorn's that is not ours, and so does not say that it serves, once it does."""
        worker = find_worker()
        if worker is not None:
            gevent.spawn(self.begin, worker)

    @property
    def address(self) -> Any:
        """Where the metrics are served, if it is a port of their own; None while they are not."""
        return None if self._server is None else self._server.address

    def read(self) -> Figures:
        """Returns what a scrape would say. Lets other greenlets run."""
        return self._observer.read()

    # ---- what passes through it

    def serve(self, environ: dict[str, Any], start_response: Callable[..., Any], application: WSGI) -> Iterable[bytes]:
        """Answers a scrape; lets the application answer all else, and counts how upgrade requests are answered.

        Of several parts that stand behind each other, the outermost has it measured.
        """
        if MEASURED in environ:
            return application(environ, start_response)
        environ[MEASURED] = True
        if self._pid != os.getpid() and KEY not in environ and gevent.getcurrent().parent is gevent.get_hub():
            self.begin(None)  # a server that is not ours does not say that it serves
        if self._is_path and environ.get("PATH_INFO") == self.place:
            return self._exposition(environ, start_response)
        if "HTTP_UPGRADE" not in environ or not wants_websocket(_header(environ)):
            return application(environ, start_response)
        answer = _Answer(start_response)
        try:
            return application(environ, answer)
        finally:
            self._process.handshakes[answer.status] += 1


class _Answer:
    """A ``start_response`` that remembers the status; 500 until it is called."""

    __slots__ = ("_start_response", "status")

    def __init__(self, start_response: Callable[..., Any]) -> None:
        self._start_response = start_response
        self.status = 500

    def __call__(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        self.status = int(status[:3])
        return self._start_response(status, headers, *exc_info)


def _header(environ: dict[str, Any]) -> Callable[[str], str | None]:
    def get(name: str) -> str | None:
        return environ.get("HTTP_" + name.upper().replace("-", "_"))

    return get


def observe(extensions: dict[str, Any], part: Observed, place: str | None) -> None:
    """Adds a part to what is measured of an application, if anything is: now, or when another part has the setting.

    Args:
        extensions: the application's.
        part: what has connections.
        place: its setting ``metrics``. The first one of an application counts.

    Raises:
        ConfigError: what metrics need is not installed.
    """
    parts = extensions.setdefault(PARTS, WeakSet())  # a server's middleware ends with the server
    parts.add(part)
    if place is not None and METRICS not in extensions:
        extensions[METRICS] = _make_metrics(parts, place)


def _make_metrics(parts: Collection[Observed], place: str) -> Metrics:
    try:
        from greenws.observe.exposition import PATH, Exposition
    except ImportError as error:
        raise ConfigError("metrics need prometheus-client: pip install 'greenws[metrics]'") from error
    from greenws.observe.observer import Observer
    from greenws.observe.process import Process

    process = Process(parts, _pools)
    observer = Observer(process)
    exposition = Exposition(observer.read, place if place.startswith("/") else PATH)
    metrics = Metrics(place, process, observer, exposition)
    metrics.begin_in_worker()
    return metrics


def _pools() -> Iterable[tuple[str, Any]]:
    return sorted(((pool.name, pool.stats) for pool in POOLS), key=_name)


def _name(pair: tuple[str, Any]) -> str:
    return pair[0]
