"""What many connections take, by what one costs: arithmetic."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from greenws import Config
from greenws.net.registry import RESERVE
from greenws.sizing.demand import Costs
from greenws.sizing.estimate import BUSY, PING_INTERVAL, Estimate, estimate
from greenws.sizing.readings import Readings
from greenws.sizing.report import report_estimate

COSTS = Costs(
    trial=1000, user=1000, kernel=5000, is_kernel_assumed=False, process=50_000_000, handshake=200e-6, ping=30e-6
)
MACHINE = Readings(
    nofile_soft=1_000_000, nofile_hard=1_000_000, port_low=1, port_high=30_000, memory_available=64 << 30, cores=4
)


def make(connections: int = 60_000, *, machine: dict[str, Any] | None = None, **costs: Any) -> Estimate:
    return estimate(connections, dataclasses.replace(COSTS, **costs), dataclasses.replace(MACHINE, **(machine or {})))


def test_the_interval_is_that_of_a_peer_that_answers() -> None:
    interval = Config().ping_interval
    assert isinstance(interval, tuple)
    assert max(interval) == PING_INTERVAL


def test_costs_are_multiplied() -> None:
    result = make()
    assert result.demand.workers == 1
    assert result.user == 60_000 * 1000 + 50_000_000
    assert result.kernel == 60_000 * 5000
    assert result.ping_core == pytest.approx(60_000 / 30 * 30e-6)
    assert result.handshake_core == pytest.approx(0.2)
    assert result.return_seconds == pytest.approx(60_000 * 200e-6)
    assert result.addresses == 2
    assert (result.max_connections, result.nofile) == (60_000, 60_000 + RESERVE)


def test_there_are_as_many_workers_as_the_descriptors_of_one_process_ask_for() -> None:
    result = make(machine={"nofile_hard": 20_000})
    assert result.demand.workers == 4  # three would have room for their share, and not for what chance adds
    assert result.nofile <= 20_000
    assert result.max_connections == result.nofile - RESERVE


def test_there_are_as_many_workers_as_pings_keep_busy() -> None:
    result = make(ping=1e-3)
    assert result.ping_core == pytest.approx(2.0)
    assert result.demand.workers == 2.0 / BUSY


def test_a_hard_limit_that_is_hopeless_is_a_finding_and_not_a_thousand_workers() -> None:
    result = make(machine={"nofile_hard": 2 * RESERVE})
    assert result.demand.workers == 1
    assert "nofile, hard" in [finding.name for finding in result.findings if finding.level == "low"]


def test_more_workers_than_cores_are_not_faster() -> None:
    result = make(machine={"nofile_hard": 2_000, "cores": 2})
    assert result.return_seconds == pytest.approx(60_000 * 200e-6 / 2)


def test_what_the_machine_has_not_got_is_found() -> None:
    assert [
        finding.name for finding in make(machine={"memory_available": 1 << 20}).findings if finding.level == "low"
    ] == ["memory"]


def test_where_ports_are_not_known_nothing_is_said_of_them() -> None:
    assert make(machine={"port_low": None}).addresses is None


def test_everything_goes_into_json() -> None:
    found = json.loads(json.dumps(make().as_dict()))
    assert found["costs"]["trial"] == 1000
    assert found["demand"]["workers"] == 1


def test_the_report_says_what_to_type() -> None:
    text = report_estimate(make(machine={"nofile_hard": 20_000, "nofile_soft": 20_000}, is_kernel_assumed=True))
    assert "greenws run --workers 4 --reuse-port" in text
    assert "200 µs for a handshake, 30 µs for a ping" in text
    assert "cannot be true" in text
    assert "2 source addresses" in text
    assert text.endswith("This machine allows that.")
    assert max(len(line) for line in text.splitlines()) <= 130


def test_the_report_says_what_is_too_low() -> None:
    text = report_estimate(make(100, machine={"nofile_soft": 200}))
    assert "one source address" in text
    assert "ulimit -Sn 356" in text
    assert text.endswith("1 too low. Nothing was changed.")
