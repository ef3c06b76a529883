"""The server's own metrics, read as Prometheus reads them, and what has happened since the last time."""

from __future__ import annotations

import http.client
import math
import time

from prometheus_client.parser import text_string_to_metric_families

from greenws.net.counts import BUCKETS

TIMEOUT = 1.0  # seconds for the server to connect, and to go on answering
FAILURES = (OSError, http.client.HTTPException, ValueError)
NORMAL = ("1000", "1005")  # close codes: said goodbye, with and without a code
LAG, PAUSE = "greenws_hub_lag_seconds", "greenws_gc_pause_seconds"

Buckets = dict[float, float]  # by upper bound in seconds: how many durations did not exceed it
LAG_COLUMNS = {bound: f"hub_lag_le_{bound:g}" for bound in (*BUCKETS, math.inf)}


class Reading:
    """One scrape.

    Args:
        text: what the server answered.

    Raises:
        ValueError: it is not text of Prometheus's.
    """

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def total(self, name: str) -> float:
        """Returns the sum over all labels."""
        return sum(sample.value for sample in self._samples if sample.name == name)

    def abnormal_closes(self) -> float:
        """Returns how many connections have ended otherwise than by a normal close."""
        closes = [sample for sample in self._samples if sample.name == "greenws_closes_total"]
        return sum(sample.value for sample in closes if sample.labels["code"] not in NORMAL)

    def buckets(self, name: str) -> Buckets:
        """Returns a histogram, of all labels together."""
        counts = dict.fromkeys(LAG_COLUMNS, 0.0)
        for sample in self._samples:
            if sample.name == f"{name}_bucket":
                counts[float(sample.labels["le"])] += sample.value
        return counts


def scrape(port: int) -> Reading:
    """Reads the metrics at a port of the loopback interface. Blocks for about ``TIMEOUT`` at most.

    Raises:
        FAILURES: there are none.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise ValueError(f"the server answered {answer.status}")
        return Reading(answer.read().decode())
    finally:
        connection.close()


class Scraper:
    """Reads the metrics of one server again and again.

    Args:
        port: of the metrics, on the loopback interface.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._before: tuple[float, Reading] | None = None

    def row(self) -> dict[str, float]:
        """Scrapes. Blocks for about ``TIMEOUT`` at most; what is unknown then is NaN.

        Returns:
            ``open``, and the totals ``abnormal_closes`` and ``limits``. Of the time since the last scrape that worked:
            messages ``received`` and ``sent`` a second; seconds of ``hub_lag`` and ``gc`` in each second; and of both
            the ``_longest``, as the upper bound of its bucket. And how often the hub was late by no more than each
            bound since the server started, in the columns ``LAG_COLUMNS``.
        """
        try:
            now = time.monotonic(), scrape(self._port)
        except FAILURES:
            return dict.fromkeys((*_counts(_NOTHING), *_growth(_NOTHING, _NOTHING, 1)), math.nan)
        before, self._before = self._before, now
        row = _counts(now[1])
        if before is None:
            return row | dict.fromkeys(_growth(_NOTHING, _NOTHING, 1), math.nan)
        return row | _growth(before[1], now[1], now[0] - before[0])


_NOTHING = Reading("")


def _counts(now: Reading) -> dict[str, float]:
    lag = now.buckets(LAG)
    return {
        "open": now.total("greenws_connections_open"),
        "abnormal_closes": now.abnormal_closes(),
        "limits": now.total("greenws_limits_total"),
        **{name: lag[bound] for bound, name in LAG_COLUMNS.items()},
    }


def _growth(before: Reading, now: Reading, seconds: float) -> dict[str, float]:
    def rate(name: str) -> float:
        return (now.total(name) - before.total(name)) / seconds

    def longest(name: str) -> float:
        counts = before.buckets(name)
        return bound_of({bound: count - counts[bound] for bound, count in now.buckets(name).items()}, 1.0)

    return {
        "received": rate("greenws_messages_received_total"),
        "sent": rate("greenws_messages_sent_total"),
        "hub_lag": rate(f"{LAG}_sum"),
        "hub_lag_longest": longest(LAG),
        "gc": rate(f"{PAUSE}_sum"),
        "gc_longest": longest(PAUSE),
    }


def bound_of(counts: Buckets, share: float) -> float:
    """Returns the bound in seconds that ``share`` of the durations did not exceed; 0 when there are none."""
    if not counts[math.inf]:
        return 0.0
    return min(bound for bound, count in counts.items() if count >= share * counts[math.inf])
