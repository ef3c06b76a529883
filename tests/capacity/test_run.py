"""A run of ``make capacity`` from end to end, with few connections."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from capacity.plan import Plan
from capacity.run import run


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_server_and_locust_count_the_same(tmp_path: Path) -> None:
    found = run(Plan(connections=5, rate=5.0, ramp=1.0, hold=5.0, drain=1.0), 1, tmp_path)
    assert found.most_open == found.open_by_server == 5
    assert found.failures == found.last("abnormal_closes") == found.last("limits") == 0
    assert max(found.during_hold("received")) > 0
    assert not math.isnan(found.hub_lag(0.99))
    assert 0 < found.base < max(found.during_hold("server_pss")) * 1.1
