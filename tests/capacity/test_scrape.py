"""What the server's metrics say each second, and what there is when they say nothing."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from capacity import scrape
from capacity.processes import server
from capacity.scrape import LAG_COLUMNS, Reading, Scraper, bound_of

METRICS = """\
# TYPE greenws_connections_open gauge
greenws_connections_open{route="/echo"} 3.0
greenws_connections_open{route="/chat"} 4.0
# TYPE greenws_closes_total counter
greenws_closes_total{route="/echo",code="1000"} 5.0
greenws_closes_total{route="/echo",code="1005"} 6.0
greenws_closes_total{route="/echo",code="1006"} 7.0
greenws_closes_total{route="/chat",code="other"} 1.0
# TYPE greenws_gc_pause_seconds histogram
greenws_gc_pause_seconds_bucket{generation="0",le="0.001"} 2.0
greenws_gc_pause_seconds_bucket{generation="0",le="+Inf"} 2.0
greenws_gc_pause_seconds_bucket{generation="2",le="0.001"} 0.0
greenws_gc_pause_seconds_bucket{generation="2",le="+Inf"} 1.0
"""


@contextlib.contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """A port that takes one connection for each answer. An empty answer is none at all, until the peer gives up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                peer, _ = listener.accept()
                with peer:
                    peer.recv(4096)
                    peer.sendall(answer)
                    if not answer:
                        peer.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def page(body: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def metrics(received: int, late: dict[float, int]) -> bytes:
    """Of a server that has received so many messages; timers were late by up to each bound so many times."""
    lines = ["# TYPE greenws_messages_received counter", f"greenws_messages_received_total {received}"]
    lines += ["# TYPE greenws_hub_lag_seconds histogram"]
    for bound in LAG_COLUMNS:
        count = sum(number for up_to, number in late.items() if up_to <= bound)
        lines.append(f'greenws_hub_lag_seconds_bucket{{le="{"+Inf" if math.isinf(bound) else bound}"}} {count}')
    return page("\n".join(lines) + "\n")


def test_a_reading_adds_up_routes_and_generations() -> None:
    reading = Reading(METRICS)
    assert reading.total("greenws_connections_open") == 7
    assert reading.abnormal_closes() == 8
    assert reading.buckets("greenws_gc_pause_seconds")[0.001] == 2
    assert reading.buckets("greenws_gc_pause_seconds")[math.inf] == 3


@pytest.mark.parametrize(("share", "bound"), [(0.5, 0.001), (0.9, 0.01), (0.91, math.inf), (1.0, math.inf)])
def test_the_bound_is_of_the_bucket_in_which_the_share_is_reached(share: float, bound: float) -> None:
    assert bound_of({0.001: 5, 0.01: 9, math.inf: 10}, share) == bound


def test_no_duration_has_the_bound_zero() -> None:
    assert bound_of({0.001: 0, math.inf: 0}, 1.0) == 0


def test_a_row_has_what_was_added_since_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((10.0, 12.0))
    with answering(metrics(100, {0.0001: 5, 10.0: 1}), metrics(150, {0.0001: 5, 0.025: 2, 10.0: 1})) as port:
        scraper = Scraper(port)
        monkeypatch.setattr(scrape.time, "monotonic", lambda: next(clock))
        first, second = scraper.row(), scraper.row()
    assert first.keys() == second.keys()
    assert math.isnan(first["received"])
    assert second["received"] == 25
    assert second["hub_lag_longest"] == 0.025  # the one of 10 s was before
    assert second["hub_lag_le_0.025"] == 7


@pytest.mark.parametrize(
    "answer",
    [page(METRICS, "503 Service Unavailable"), page("greenws_connections_open{ 3"), b"SSH-2.0\r\n", b""],
    ids=["refused", "no text of Prometheus's", "no HTTP", "silent"],
)
def test_a_scrape_that_fails_leaves_a_gap_and_no_more(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "TIMEOUT", 0.2)
    with answering(page(METRICS), answer, page(METRICS)) as port:
        scraper = Scraper(port)
        before, gap, after = scraper.row(), scraper.row(), scraper.row()
    assert gap.keys() == before.keys()
    assert all(math.isnan(value) for value in gap.values())
    assert (before["open"], after["open"]) == (7, 7)
    assert after["received"] == 0  # since the one before the gap


def test_nobody_there_leaves_a_gap() -> None:
    with answering() as port:
        pass
    assert math.isnan(Scraper(port).row()["open"])


def rows_until(scraper: Scraper, is_seen: Callable[[list[dict[str, float]]], bool]) -> dict[str, float]:
    """The last row, once all rows together say so. What one worker says of the other is up to a second old."""
    until, rows = time.monotonic() + 5, [scraper.row()]
    while not is_seen(rows):
        assert time.monotonic() < until, rows
        time.sleep(0.05)
        rows.append(scraper.row())
    return rows[-1]


@pytest.mark.slow
def test_the_server_of_a_run_counts_its_connections(tmp_path: Path) -> None:
    with server(2, tmp_path) as served:
        scraper, url = Scraper(served.metrics_port), f"ws://127.0.0.1:{served.port}/echo"
        assert scraper.row()["open"] == 0
        with connect(url) as one, connect(url) as other:
            for peer in (one, other):
                peer.send("hello")
                assert peer.recv() == "hello"
            rows_until(scraper, lambda rows: rows[-1]["open"] == 2)
            one.send("hello")
            row = rows_until(scraper, lambda rows: all(any(row[name] for row in rows) for name in ("received", "sent")))
            assert row["hub_lag_le_inf"] > 0
            assert row["abnormal_closes"] == row["limits"] == 0
        row = rows_until(scraper, lambda rows: rows[-1]["open"] == 0)
        assert row["abnormal_closes"] == 0
        with connect(url) as rude:
            rude.socket.shutdown(socket.SHUT_RDWR)  # no goodbye
            rows_until(scraper, lambda rows: rows[-1]["abnormal_closes"] == 1)
