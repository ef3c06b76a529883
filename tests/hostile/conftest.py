"""The servers that the hostile clients talk to. They live as long as the tests: what a case leaves behind, the next one meets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from greenws.config import Config
from tests.hostile.site import Site, serve
from tests.leaks import Snapshot, warm_up


@pytest.fixture(scope="package", autouse=True)
def nothing_is_left() -> Iterator[None]:
    warm_up()
    before = Snapshot()
    yield
    found = before.leaks()
    assert not found


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    """With the settings that everybody gets."""
    yield from serve()


@pytest.fixture(scope="package")
def impatient() -> Iterator[Site]:
    yield from serve(Config(handshake_timeout=0.3), message_timeout=0.3, close_timeout=0.3)
