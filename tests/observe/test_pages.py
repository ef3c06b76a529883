"""The table in the docs, the dashboard and Prometheus's configuration name the metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from greenws.observe.figures import METRICS
from tests.observe.conftest import SUFFIX, Served
from tests.test_docs import rows

ROOT = Path(__file__).parents[2]
FILES = ROOT / "docs" / "deploy"
TABLE = rows("docs/metrics.md", "metric")
KNOWN = {metric.name: metric for metric in METRICS}
NAME = re.compile(r"\b(?:greenws|process|node)_\w+")


def test_the_table_is_what_a_scrape_says(serve: Callable[..., Served]) -> None:
    families = serve().scrape().families.values()
    found = {}
    for family in families:
        total = "_total" if family.type == "counter" else ""
        kind = {"unknown": "untyped"}.get(family.type, family.type)
        found[family.name.removesuffix("_total") + total] = [kind, family.documentation]
    assert {name: [kind, text] for name, (kind, _, text) in TABLE.items()} == found
    assert list(TABLE) == list(KNOWN)


def test_the_table_has_the_labels_of_each() -> None:
    for name, (_, labels, _) in TABLE.items():
        assert tuple(re.findall(r"`(\w+)`", labels)) == KNOWN[name].labels


def test_the_column_of_the_limits_names_a_metric_that_there_is() -> None:
    cells = {cells[3].strip("`") for cells in rows("docs/limits.md", "setting").values()} - {"none"}
    assert {cell.partition("{")[0] for cell in cells} == {"greenws_limits_total"}
    assert KNOWN["greenws_limits_total"].labels == ("limit",)


# ---- the dashboard

DASHBOARD: dict[str, Any] = json.loads((FILES / "grafana.json").read_text(encoding="utf-8"))


def targets() -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target


@pytest.mark.parametrize(("title", "target"), list(targets()))
def test_a_query_of_the_dashboard_names_what_there_is(title: str, target: dict[str, Any]) -> None:
    query = target["expr"]
    names = NAME.findall(query)
    assert names, title
    labels = {"job", "instance", "le"}
    for name in names:
        base, suffix = SUFFIX.sub("", name), SUFFIX.search(name)
        assert base in KNOWN
        assert (KNOWN[base].kind == "histogram") == (suffix is not None)
        labels.update(KNOWN[base].labels)
        is_counter = KNOWN[base].kind in ("counter", "histogram")
        assert not is_counter or f"rate({name}" in query, "a counter by itself says nothing"
    used = re.findall(r"(\w+)\s*=~?\s*\"", query) + re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    used += [word for group in re.findall(r"by \(([^)]*)\)", query) for word in re.split(r",\s*", group)]
    assert set(used) <= labels


def test_the_dashboard_shows_each_metric_of_ours() -> None:
    shown = {SUFFIX.sub("", name) for _, target in targets() for name in NAME.findall(target["expr"])}
    assert {name for name in KNOWN if name.startswith("greenws_")} <= shown


def test_panels_do_not_overlap_and_know_their_source() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        mine = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert not mine & cells
        assert max(x for x, _ in mine) < 24
        cells |= mine
        assert panel["type"] == "row" or panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"source", "job"}


def test_prometheus_asks_where_the_page_says() -> None:
    (job,) = yaml.safe_load((FILES / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    (targets,) = job["static_configs"]
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert set(re.findall(r'metrics="([^"/]+)"', page)) == set(targets["targets"])
