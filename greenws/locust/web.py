"""A tab "Connections" in locust's web UI, and its table as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from locust.env import Environment
from locust.web import WebUI

from greenws.locust.figures import figures

KEY = "connections"
COLUMNS = ("seconds", "at", "open", "opened", "reconnects", "failed", "dropped", "sent", "received")


def extend(environment: Environment, web_ui: WebUI) -> None:
    """Adds the tab. The way is locust's: template arguments, and data that goes with each ``/stats/requests``."""
    columns = [{"key": "figure", "title": "Connections"}, {"key": "value", "title": "Value"}]
    web_ui.template_args.update(
        extended_tabs=[{"title": "Connections", "key": KEY}],
        extended_tables=[{"key": KEY, "structure": columns}],
        extended_csv_files=[{"href": "./connections/csv", "title": "Download connections CSV"}],
    )
    app = web_ui.app
    # locust's own example looks at the path after each request. The view is the same thing, whatever the base path.
    view = app.view_functions["locust.request_stats"]
    app.view_functions["locust.request_stats"] = lambda: _with_rows(view, environment)
    base = (environment.parsed_options and environment.parsed_options.web_base_path) or ""
    app.add_url_rule(f"{base}/connections/csv", view_func=web_ui.auth_required_if_enabled(connections_csv))


def rows(environment: Environment) -> list[dict[str, str]]:
    """Returns the tab's table."""
    total = figures.total()
    lifetime = environment.stats.entries.get(("lifetime", "WS"))
    found: list[tuple[str, object]] = [
        ("open now", total.open),
        ("most open at once", figures.most_open),
        ("opened", total.opened),
        ("reconnects", total.reconnects),
        ("failed to open", total.failed),
        ("dropped", total.dropped),
        ("messages sent a second", f"{figures.rate('sent'):,.1f}"),
        ("messages received a second", f"{figures.rate('received'):,.1f}"),
        ("messages sent", total.sent),
        ("messages received", total.received),
    ]
    if lifetime is not None and lifetime.response_times:
        for title, share in (("median", 0.5), ("95 %", 0.95), ("longest", 1.0)):
            seconds = lifetime.get_response_time_percentile(share) / 1000
            found.append((f"lifetime, {title}", f"{seconds:,.1f} s"))
    found += [(f"closed with {code}", count) for code, count in sorted(total.closes.items())]
    return [{"figure": name, "value": f"{value:,}" if isinstance(value, int) else str(value)} for name, value in found]


def connections_csv() -> tuple[str, int, dict[str, str]]:
    """Returns how the counts went over time, for a download."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(figures.history)
    headers = {"Content-Type": "text/csv", "Content-Disposition": "attachment; filename=connections.csv"}
    return text.getvalue(), 200, headers


def _with_rows(view: Callable[[], Any], environment: Environment) -> Any:
    response = view()
    if response.is_json:
        data = {**response.json, "extended_stats": [{"key": KEY, "data": rows(environment)}]}
        response.set_data(json.dumps(data))
    return response
