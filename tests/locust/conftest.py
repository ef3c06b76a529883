from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.serving import serve


@pytest.fixture(scope="session")
def host() -> Iterator[str]:
    """Where the server of these tests is."""
    with serve("tests.locust.app:create_app") as server:
        yield server.url("")
