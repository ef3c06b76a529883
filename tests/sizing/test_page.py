"""docs/capacity.md shows what the commands print."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from greenws.sizing.demand import Costs, Demand
from greenws.sizing.estimate import estimate
from greenws.sizing.findings import examine
from greenws.sizing.readings import Readings
from greenws.sizing.report import report, report_estimate
from tests.sizing.test_findings import AMPLE, DEMAND
from tests.test_docs import ROOT, rows

PAGE = (ROOT / "docs/capacity.md").read_text(encoding="utf-8")


def sample(beginning: str) -> list[str]:
    """The lines of the block that begins so, up to where it is cut."""
    match = re.search(rf"^```\n({re.escape(beginning)}.*?)^…$", PAGE, re.DOTALL | re.MULTILINE)
    assert match is not None
    return match[1].splitlines()


def test_the_table_of_limits_has_each_with_what_ten_thousand_need() -> None:
    low = dataclasses.replace(AMPLE, nofile_hard=1, nr_open=1, syncookies=0)
    findings = {finding.name: finding.needed for values in (AMPLE, low) for finding in examine(values, DEMAND)}
    table = {name: cells[0].strip("`") for name, cells in rows("docs/capacity.md", "limit").items()}
    assert table == {name: "none" if needed is None else str(needed) for name, needed in findings.items()}


def test_the_sample_of_the_doctor_is_what_it_prints() -> None:
    demand = Demand(connections=50_000, workers=4)
    machine = Readings(nofile_soft=1024, nofile_hard=524_288, file_max=2_466_174, file_used=994)
    lines = sample("50,000 connections in 4 workers")
    assert report(examine(machine, demand), demand).splitlines()[: len(lines)] == lines


def test_the_sample_of_the_plan_is_what_it_prints() -> None:
    costs = Costs(
        trial=1000, user=922, kernel=5120, is_kernel_assumed=True, process=52 << 20, handshake=175e-6, ping=91e-6
    )
    lines = sample("measured")
    assert report_estimate(estimate(50_000, costs, Readings(nofile_hard=20_000))).splitlines()[: len(lines)] == lines


def figures(run: dict[str, Any]) -> dict[str, str]:
    """The rows of the page for one run of `make capacity-100k`."""
    result, workers = run["result"], run["workers"]
    handshake = result["opening_cost"]["user_us"] + result["opening_cost"]["system_us"]
    spread = f"{workers[0]:,}" if len(workers) == 1 else f"{min(workers):,} to {max(workers):,}"
    return {
        "opened": f"{result['opened']:,} in {result['opening_seconds']:.0f} s",
        "failed, dropped": f"{result['failed']}, {result['lost']}",
        "held": f"{result['seconds']:.0f} s; {result['pings']:,} pings answered in all",
        "memory of the server, PSS, for each": f"**{result['memory']['pss'] / 1024:.2f} KB**",
        "memory of the kernel, both ends, for each": f"{result['memory']['kernel'] / 1024:.1f} KB",
        "CPU of the server while held": f"{100 * result['cost']['core']:.1f} % of a core",
        "CPU of the server for a handshake": f"{handshake:.0f} µs",
        "descriptors of a worker, of 20,000": spread,
        "load average at the end": f"{run['load'][0]:.1f}",
    }


def test_the_figures_are_those_that_were_measured() -> None:
    runs = json.loads((ROOT / "docs/measured/connections.json").read_text(encoding="utf-8"))
    assert all(run["is_good"] for run in runs)
    measured = [figures(run) for run in runs]
    table = rows("docs/capacity.md", "figure")
    assert table == {name: [column[name] for column in measured] for name in measured[0]}
