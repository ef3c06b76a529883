"""A server for each file of tests, and the machine's own programs."""

import shutil
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.interop.app import STYLES
from tests.interop.serving import serve


@pytest.fixture(scope="module")
def server() -> Iterator[SimpleNamespace]:
    with serve("tests.interop.app:create_app") as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


@pytest.fixture(params=STYLES)
def style(request: pytest.FixtureRequest) -> str:
    """Each route that echoes."""
    return request.param


@pytest.fixture(scope="session")
def chromium() -> str:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium on PATH (Debian: apt-get install chromium)")
    return path


@pytest.fixture(scope="session")
def node() -> str:
    path = shutil.which("node")
    if path is None:
        pytest.skip("there is no node on PATH (Debian: apt-get install nodejs npm)")
    return path
