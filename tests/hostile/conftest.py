"""The server that the hostile clients talk to. It serves a whole file: what a case leaves, the next one meets."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import closing

import gevent
import pytest

from tests.hostile.site import TRACEBACKS, Site, Sites
from tests.leaks import Snapshot, warm_up


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    hub = gevent.get_hub()
    hub.exception_stream = TRACEBACKS
    warm_up()
    before = Snapshot()
    yield
    del hub.exception_stream
    if not request.session.testsfailed:  # a traceback holds on to what it used
        gevent.idle()
        gc.collect()
        assert before.leaks() == []


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    """With the settings that everybody gets."""
    with closing(Sites()) as sites:
        yield sites


@pytest.fixture
def site(request: pytest.FixtureRequest, sites: Sites) -> Site:
    """On our server, or on the stack that a test asks for."""
    return sites.get(getattr(request, "param", "ours"))
