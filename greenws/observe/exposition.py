"""The text that Prometheus reads, and the WSGI application that says it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any

import gevent
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    UnknownMetricFamily,
)

from greenws.net.counts import BUCKETS
from greenws.observe.figures import METRICS, Figures, Metric
from greenws.observe.process import A_TURN

PATH = "/metrics"
BOUNDS = [*map(str, BUCKETS), "+Inf"]
_FAMILIES: dict[str, Any] = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "untyped": UnknownMetricFamily}


class _Family:
    """One metric, as ``generate_latest`` asks for all."""

    def __init__(self, metric: Metric, figures: Figures) -> None:
        self._metric = metric
        self._values = figures.values.get(metric.name, {})

    def collect(self) -> Iterator[Any]:
        metric = self._metric
        if metric.kind == "histogram":
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in self._values.items():
                assert isinstance(value, list)
                buckets = zip(BOUNDS, accumulate(value[:-1]), strict=True)
                histogram.add_metric(labels, list(buckets), sum_value=value[-1])
            yield histogram
            return
        family = _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family


def write(figures: Figures) -> bytes:
    """Returns the figures as text. The loop has a turn between two metrics: a line takes about 10 µs."""
    parts = []
    for metric in METRICS:
        parts.append(generate_latest(_Family(metric, figures)))
        gevent.sleep(A_TURN)
    return b"".join(parts)


class Exposition:
    """Answers a scrape.

    Args:
        read: returns the figures.
        path: where; anything else is 404.
    """

    def __init__(self, read: Callable[[], Figures], path: str = PATH) -> None:
        self._read = read
        self._path = path

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
            return []
        if environ.get("PATH_INFO") != self._path:
            start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
            return []
        body = write(self._read())
        start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
