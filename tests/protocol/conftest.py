"""The tests of heads and handshakes call what they import by its name. Here each name stands for each build in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import codecs


@pytest.fixture(scope="module", params=codecs.BUILDS)
def each_build(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the test module has imported of ``greenws.protocol`` becomes that of one build, then of the other."""
    names = vars(request.module)
    imported = {
        name: value
        for name, value in names.items()
        if callable(value) and str(value.__module__).startswith("greenws.protocol.")
    }
    assert imported
    build = codecs.load(request.param)
    for name, value in imported.items():
        names[name] = getattr(vars(build)[value.__module__.rpartition(".")[2]], name)
    yield
    names.update(imported)
