"""Our client for the suite as a server: it asks for one case after the other and echoes whatever the case sends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from gevent import socket

from greenws import Config, Connection, ConnectionClosed
from greenws.client.connect import upgrade
from greenws.net.registry import Registry
from greenws.net.sender import Service

CASE_TIMEOUT = 1200  # seconds: for a hang. The longest case takes about ten on a quiet machine
# The suite writes its reports between a request to do so and the answer, and lists each frame that it sees.
PATIENT = {"handshake_timeout": 300, "ping_interval": None, "message_timeout": None}


def run_cases(port: int, style: str, **limits: object) -> None:
    """Runs all cases that the suite on this port has, and lets it write its reports."""
    config = Config().replace(**PATIENT, **limits)
    with connect(port, "/getCaseCount", config) as conn:
        count = conn.receive_json()
    for number in range(1, count + 1):
        STYLES[style](port, f"/runCase?case={number}&agent={style}", config)
    with connect(port, f"/updateReports?agent={style}", config) as conn:
        conn.wait_closed()


def connect(
    port: int, target: str, config: Config, on_message: Callable[[Connection, str | bytes], object] | None = None
) -> Connection:
    service = Service(config, Registry(), "autobahn", is_server=False, on_message=on_message)
    host = f"127.0.0.1:{port}"
    return upgrade(socket.create_connection(("127.0.0.1", port)), service, host=host, target=target)


def echo_event(port: int, target: str, config: Config) -> None:
    with connect(port, target, config, lambda conn, message: conn.send(message)) as conn:
        assert conn.wait_closed(CASE_TIMEOUT), f"{target} did not end"


def echo_blocking(port: int, target: str, config: Config) -> None:
    with connect(port, target, config) as conn, suppress(ConnectionClosed):  # closed while its echo waited
        for message in conn:
            conn.send(message)


STYLES = {"event": echo_event, "blocking": echo_blocking}
