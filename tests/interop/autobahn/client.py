"""Our client for the suite as a server: it asks for one case after the other and echoes whatever the case sends."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from greenws import ConnectionClosed, connect

CASE_TIMEOUT = 1200  # seconds: for a hang. The longest case takes about ten on a quiet machine
# The suite writes its reports between a request to do so and the answer, and lists each frame that it sees.
PATIENT = {"timeout": 300, "ping_interval": None, "message_timeout": None}


def run_cases(port: int, style: str, **limits: Any) -> None:
    """Runs all cases that the suite on this port has, and lets it write its reports."""
    server, options = f"ws://127.0.0.1:{port}", {**PATIENT, **limits}
    with connect(f"{server}/getCaseCount", **options) as conn:
        count = conn.receive_json()
    for number in range(1, count + 1):
        STYLES[style](f"{server}/runCase?case={number}&agent={style}", options)
    with connect(f"{server}/updateReports?agent={style}", **options) as conn:
        conn.wait_closed()


def echo_event(url: str, options: dict[str, Any]) -> None:
    with connect(url, on_message=lambda conn, message: conn.send(message), **options) as conn:
        assert conn.wait_closed(CASE_TIMEOUT), f"{url} did not end"


def echo_blocking(url: str, options: dict[str, Any]) -> None:
    with connect(url, **options) as conn, suppress(ConnectionClosed):  # closed while its echo waited
        for message in conn:
            conn.send(message)


STYLES = {"event": echo_event, "blocking": echo_blocking}
