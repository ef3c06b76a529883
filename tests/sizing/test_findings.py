"""What the doctor says about a machine, limit by limit: readings in, findings out."""

from __future__ import annotations

import dataclasses
import re

import pytest

from greenws.net.registry import RESERVE
from greenws.sizing.demand import SIGMAS, Demand
from greenws.sizing.findings import BACKLOG, Finding, examine, is_enough
from greenws.sizing.readings import Readings
from greenws.sizing.report import report

# Enough of everything for ten thousand, behind a proxy, too.
AMPLE = Readings(
    nofile_soft=20_000,
    nofile_hard=20_000,
    nr_open=20_000,
    file_max=400_000,
    epoll_watches=100_000,
    somaxconn=4096,
    syn_backlog=4096,
    port_low=1024,
    port_high=65535,
    tw_reuse=2,
    tcp_memory=1 << 30,
    memory=4 << 30,
    memory_available=2 << 30,
    cgroup=2 << 30,
    cgroup_used=1 << 20,
    conntrack=262_144,
    cores=2,
)
DEMAND = Demand(connections=10_000)
PROXIED = Demand(connections=10_000, is_proxied=True)


def found(name: str, demand: Demand = DEMAND, **values: object) -> Finding:
    findings = examine(dataclasses.replace(AMPLE, **values), demand)  # type: ignore[arg-type]
    return next(finding for finding in findings if finding.name == name)


def lines(finding: Finding) -> dict[str, str]:
    """The last line for each place."""
    return {remedy.place: remedy.line for remedy in finding.remedies}


@pytest.mark.parametrize("demand", [DEMAND, PROXIED])
def test_on_a_machine_that_has_enough_all_is_fine_and_nothing_is_to_be_done(demand: Demand) -> None:
    findings = examine(AMPLE, demand)
    assert is_enough(findings)
    assert {finding.level for finding in findings} == {"fine"}
    assert not any(finding.remedies for finding in findings)
    assert len(findings) == 12


# Each limit, a value that is just too low, and what is needed.
LOW = [
    ("nofile", DEMAND, {"nofile_soft": 10_255}, 10_256),
    ("nofile, hard", DEMAND, {"nofile_hard": 10_255}, 10_256),
    ("fs.nr_open", DEMAND, {"nofile_hard": 100, "nr_open": 10_255}, 10_256),
    ("fs.file-max", DEMAND, {"file_max": 10_355, "file_used": 100}, 10_356),
    ("fs.file-max", PROXIED, {"file_max": 30_255}, 30_256),
    ("fs.epoll.max_user_watches", DEMAND, {"epoll_watches": 9_999}, 10_000),
    ("net.core.somaxconn", DEMAND, {"somaxconn": 4_095}, 4_096),
    ("net.ipv4.tcp_max_syn_backlog", DEMAND, {"syn_backlog": 4_095, "syncookies": 0}, 4_096),
    ("net.ipv4.ip_local_port_range", PROXIED, {"port_low": 50_001, "port_high": 59_999}, 10_000),
    ("net.ipv4.tcp_tw_reuse", PROXIED, {"tw_reuse": 0}, 1),
    ("memory", DEMAND, {"memory_available": DEMAND.memory - 1}, DEMAND.memory),
    ("memory of the cgroup", DEMAND, {"cgroup": DEMAND.memory, "cgroup_used": 1}, DEMAND.memory),
    ("net.ipv4.tcp_mem", DEMAND, {"tcp_memory": 10_000 * 8192 - 1}, 10_000 * 8192),
    ("net.netfilter.nf_conntrack_max", DEMAND, {"conntrack": 10_006, "conntrack_used": 7}, 10_007),
    ("net.netfilter.nf_conntrack_max", PROXIED, {"conntrack": 19_999}, 20_000),
]


@pytest.mark.parametrize(("name", "demand", "values", "needed"), LOW, ids=[f"{row[0]}-{row[3]}" for row in LOW])
def test_one_below_what_is_needed_is_low_and_says_what_to_do(
    name: str, demand: Demand, values: dict[str, int], needed: int
) -> None:
    finding = found(name, demand, **values)
    assert (finding.level, finding.needed) == ("low", needed)
    assert finding.why.endswith(".")
    assert finding.remedies
    assert not is_enough((finding,))


@pytest.mark.parametrize(("name", "demand", "values", "needed"), LOW, ids=[f"{row[0]}-{row[3]}" for row in LOW])
def test_what_is_needed_is_enough(name: str, demand: Demand, values: dict[str, int], needed: int) -> None:
    key = "nr_open" if name == "fs.nr_open" else next(iter(values))
    enough = {**values, key: values[key] + (-1 if key == "port_low" else 1)}
    findings = examine(dataclasses.replace(AMPLE, **enough), demand)  # type: ignore[arg-type]
    assert name not in {finding.name for finding in findings if finding.level != "fine"}


@pytest.mark.parametrize("field", ["nofile_soft", "nofile_hard", "file_max", "epoll_watches", "cgroup", "conntrack"])
def test_what_is_not_limited_is_not_low(field: str) -> None:
    findings = examine(dataclasses.replace(AMPLE, **{field: None}), DEMAND)  # type: ignore[arg-type]
    assert is_enough(findings)


def test_of_a_machine_that_says_nothing_only_swap_is_known() -> None:
    assert [finding.name for finding in examine(Readings(), DEMAND)] == ["swap in use"]


def test_descriptors_are_raised_in_the_shell_the_service_the_container_and_the_login() -> None:
    assert lines(found("nofile", nofile_soft=1024)) == {
        "shell": "ulimit -Sn 10256",
        "systemd": "LimitNOFILE=10256",
        "docker": "--ulimit nofile=10256:10256",
        "limits.conf": "* - nofile 10256",
    }
    assert lines(found("nofile, hard", nofile_hard=512))["shell"] == "ulimit -n 10256"


def test_instead_of_the_hard_limit_the_number_of_workers_may_be_raised() -> None:
    fixes = lines(found("nofile, hard", nofile_hard=4096))
    assert fixes["server"] == "greenws run --workers 3 --reuse-port"
    assert "server" not in lines(found("nofile, hard", nofile_hard=512))  # it leaves next to nothing


def test_where_the_hard_limit_is_low_the_soft_one_is_no_finding_of_its_own() -> None:
    names = [finding.name for finding in examine(dataclasses.replace(AMPLE, nofile_soft=10, nofile_hard=10), DEMAND)]
    assert "nofile" not in names


@pytest.mark.parametrize(
    ("name", "values", "has_own"),
    [
        ("net.core.somaxconn", {"somaxconn": 128}, True),
        ("net.ipv4.tcp_max_syn_backlog", {"syn_backlog": 1, "syncookies": 0}, True),
        ("fs.file-max", {"file_max": 1}, False),
        ("net.ipv4.tcp_mem", {"tcp_memory": 1}, False),
        ("net.netfilter.nf_conntrack_max", {"conntrack": 1}, False),
    ],
)
def test_a_kernel_setting_is_a_command_a_line_and_where_a_container_has_its_own_an_option(
    name: str, values: dict[str, int], has_own: bool
) -> None:
    fixes = {remedy.place: remedy.line for remedy in reversed(found(name, **values).remedies)}
    assert re.fullmatch(rf'sysctl -w "?{re.escape(name)}=[\d ]+"?', fixes["shell"])
    assert re.fullmatch(rf"{re.escape(name)} = [\d ]+", fixes["sysctl"])
    assert ("docker" in fixes) == has_own


def test_the_backlog_of_gunicorn_is_told_with_that_of_the_kernel() -> None:
    assert lines(found("net.core.somaxconn", somaxconn=128))["server"] == f"greenws run --backlog {BACKLOG}"


def test_few_connections_need_a_short_queue_only() -> None:
    assert found("net.core.somaxconn", Demand(connections=100), somaxconn=128).level == "fine"


def test_with_syn_cookies_their_queue_does_not_count() -> None:
    assert found("net.ipv4.tcp_max_syn_backlog", syn_backlog=1).level == "fine"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("net.ipv4.ip_local_port_range", {"port_low": 60_000, "port_high": 60_999}),
        ("net.ipv4.tcp_tw_reuse", {"tw_reuse": 0}),
    ],
)
def test_what_is_for_those_who_connect_is_a_note_to_a_server(name: str, values: dict[str, int]) -> None:
    finding = found(name, **values)
    assert finding.level == "note"
    assert finding.remedies
    assert is_enough((finding,))


def test_more_connections_than_ports_need_several_addresses() -> None:
    finding = found("net.ipv4.ip_local_port_range", Demand(connections=200_000, is_proxied=True))
    assert lines(finding)["server"].startswith("4 addresses")
    assert "server" not in lines(found("net.ipv4.ip_local_port_range", PROXIED, port_low=60_000))


def test_the_control_group_gets_what_is_used_and_what_is_needed() -> None:
    finding = found("memory of the cgroup", cgroup=64 << 20, cgroup_used=32 << 20)
    megabytes = -(-((32 << 20) + DEMAND.memory) // (1 << 20))
    assert lines(finding) == {"systemd": f"MemoryMax={megabytes}M", "docker": f"--memory={megabytes}m"}


def test_swap_that_is_used_is_a_note() -> None:
    assert found("swap in use", swap=1 << 30, swap_used=65 << 20).level == "note"
    assert found("swap in use", swap=1 << 30, swap_used=1 << 20).level == "fine"


# ---- what is wanted


def test_one_worker_gets_all() -> None:
    assert (DEMAND.share, DEMAND.descriptors) == (10_000, 10_000 + RESERVE)


def test_several_workers_get_more_than_the_mean_by_chance() -> None:
    demand = Demand(connections=100_000, workers=10)
    assert demand.share == 10_000 + SIGMAS * 100
    assert Demand(connections=3, workers=2).share == 3  # never more than there are


@pytest.mark.parametrize("nofile", [20_000, 4_096, 1_024, 513])
def test_workers_are_added_until_each_has_room(nofile: int) -> None:
    demand = DEMAND.divided(nofile)
    assert demand.descriptors <= nofile
    assert demand.workers == 1 or dataclasses.replace(demand, workers=demand.workers - 1).descriptors > nofile


@pytest.mark.parametrize("nofile", [None, 512, 256, 1])
def test_a_limit_that_is_not_there_or_hopeless_adds_none(nofile: int | None) -> None:
    assert DEMAND.divided(nofile) == DEMAND


def test_a_proxy_on_this_machine_has_two_more_sockets_for_each() -> None:
    assert PROXIED.memory - DEMAND.memory == 10_000 * 2 * DEMAND.kernel


def test_each_worker_takes_memory() -> None:
    two = Demand(connections=10_000, workers=2)
    assert two.memory - DEMAND.memory == DEMAND.process


# ---- for people


def test_the_report_has_a_line_for_each_limit_and_the_remedies_of_those_that_are_low() -> None:
    findings = examine(dataclasses.replace(AMPLE, nofile_soft=1024, tw_reuse=0), DEMAND)
    text = report(findings, DEMAND)
    assert text.startswith("10,000 connections in one process\n")
    assert re.search(r"^TOO LOW  nofile +1,024, needs 10,256$", text, re.MULTILINE)
    assert re.search(r"^ +systemd +LimitNOFILE=10256$", text, re.MULTILINE)
    assert re.search(r"^note     net.ipv4.tcp_tw_reuse +0, needs 1$", text, re.MULTILINE)
    assert re.search(r"^fine     memory +2.0 GB, needs 104 MB$", text, re.MULTILINE)
    assert text.endswith("\n1 too low. Nothing was changed.")
    assert max(len(line) for line in text.splitlines()) <= 120


def test_the_report_of_a_machine_that_has_enough_is_short() -> None:
    text = report(examine(AMPLE, Demand(connections=10_000, workers=2, is_proxied=True)), Demand(connections=1))
    assert text.endswith("\nNothing is too low.")
    assert len(text.splitlines()) == 2 + 12 + 2


def test_the_report_says_what_it_is_about() -> None:
    assert report((), Demand(connections=5, workers=2, is_proxied=True)).startswith(
        "5 connections in 2 workers, behind a proxy here"
    )
