"""A pool and an upstream that does everything wrong."""

from __future__ import annotations

import pytest

from tests.client.faults import run


@pytest.mark.slow
def test_a_pool_survives_resets_stalls_and_half_open_peers() -> None:
    found = run(2000)
    assert found["answered"] >= 1500  # nobody ever got an answer that was another's, and nothing is left behind
    assert found["closed"] > 0
    assert found["too late"] > 0
