"""The report: one HTML file that needs no other, and says first whether it went well."""

from __future__ import annotations

import html
import math
import os
import platform
from collections.abc import Sequence
from statistics import mean

from capacity.outcome import Outcome, known
from capacity.plots import picture

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2329; max-width: 1150px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em; margin-bottom: 0 } h2 { font-size: 1.2em; margin: 2em 0 .4em }
p.machine { color: #6a737d; margin-top: .2em }
.verdict { padding: .7em 1em; border-radius: 6px; color: #fff; font-weight: 600; font-size: 1.15em }
.good { background: #1b7f4d } .bad { background: #b3261e }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .35em .9em; border-bottom: 1px solid #e1e4e8 }
td:not(:first-child), th:not(:first-child) { text-align: right; font-variant-numeric: tabular-nums }
th { color: #6a737d; text-align: left } .tables { display: flex; flex-wrap: wrap; gap: 0 3em; align-items: start }
.met { color: #1b7f4d } .missed { color: #b3261e; font-weight: 700 } svg { width: 100%; height: auto }
"""


def page(outcomes: Sequence[Outcome]) -> str:
    """Writes the page."""
    is_good = all(outcome.is_good for outcome in outcomes)
    plan = outcomes[0].plan
    what = f"{plan.connections:,} connections, {plan.rate:,.0f} messages a second"
    verdict = f"{'Passed' if is_good else 'Not passed'}: {what}"
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{verdict}</title><style>{STYLE}</style>",
        f"<h1>Capacity</h1><p class='machine'>{html.escape(machine())}; server and load share it</p>",
        f"<p class='verdict {'good' if is_good else 'bad'}'>{verdict}</p>",
        f"<div class='tables'>{_criteria(outcomes)}{_figures(outcomes)}</div>",
    ]
    for outcome in outcomes:
        parts.append(f"<h2>{_title(outcome)}</h2>{picture(outcome)}")
    return "\n".join(parts) + "</html>\n"


def figures(outcome: Outcome) -> dict[str, str]:
    """Returns what is reported beside the criteria, for people."""
    server, load = outcome.during_hold("server_cpu"), outcome.during_hold("load_cpu")
    longest = max(outcome.during_hold("gc_longest"), default=math.nan)
    return {
        "echo p50": f"{outcome.percentile(0.5):g} ms",
        "echo p95": f"{outcome.percentile(0.95):g} ms",
        "echo p99.9": f"{outcome.percentile(0.999):g} ms",
        "server's CPU": f"{mean(server) if server else 0:.0%} of a core",
        "locust's CPU": f"{mean(load) if load else 0:.0%} of a core",
        "server's memory without connections": f"{outcome.base / 2**20:.0f} MB",
        "server's memory for each connection": f"{outcome.memory / 1024:.2f} KB",
        "locust's memory": f"{max(outcome.during_hold('load_pss'), default=0) / 2**20:.0f} MB",
        "hub late by, p99 of its timers": _at_most(outcome.hub_lag(0.99)),
        "longest pause of the garbage collector": _at_most(longest),
        "limits hit, in the whole run": known(outcome.last("limits")),
        "most descriptors of the server": f"{max(outcome.during_hold('descriptors'), default=0):,.0f}",
        "load average of the machine, at most": f"{max(outcome.during_hold('busy'), default=0):.1f}",
    }


def _at_most(seconds: float) -> str:
    """Writes the bound of a histogram's bucket."""
    if math.isnan(seconds):
        return "unknown"
    return "over 10 s" if math.isinf(seconds) else f"at most {seconds * 1000:g} ms"


def machine() -> str:
    """Says what this was measured on."""
    return f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {os.cpu_count()} cores"


def _title(outcome: Outcome) -> str:
    return "One worker" if outcome.workers == 1 else f"{outcome.workers} workers"


def _criteria(outcomes: Sequence[Outcome]) -> str:
    head = "".join(f"<th>{_title(outcome)}</th>" for outcome in outcomes)
    lines = []
    for row in zip(*(outcome.criteria() for outcome in outcomes), strict=True):
        cells = "".join(
            f"<td class='{'met' if item.is_met else 'missed'}'>{item.found} {'✓' if item.is_met else '✗'}</td>"
            for item in row
        )
        lines.append(f"<tr><td>{row[0].what}</td><td>{row[0].wanted}</td>{cells}</tr>")
    return f"<table><tr><th>what must hold</th><th>wanted</th>{head}</tr>{''.join(lines)}</table>"


def _figures(outcomes: Sequence[Outcome]) -> str:
    head = "".join(f"<th>{_title(outcome)}</th>" for outcome in outcomes)
    found = [figures(outcome) for outcome in outcomes]
    lines = [f"<tr><td>{name}</td>{''.join(f'<td>{one[name]}</td>' for one in found)}</tr>" for name in found[0]]
    return f"<table><tr><th>measured while all were open</th>{head}</tr>{''.join(lines)}</table>"
