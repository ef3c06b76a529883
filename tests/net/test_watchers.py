"""The reactor on gevent's own watchers, which serves where there is no epoll: the tests of connections once more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = ("test_connection.py", "test_closing.py", "test_backpressure.py", "test_broadcast.py", "test_pool.py")
FILES += ("test_inflow.py", "test_outflow.py", "test_together.py")

CHECK = """
from tests.leaks import descriptors, warm_up
warm_up()
print(list(descriptors().values()).count("anon_inode:[eventpoll]"))
"""


def run(*command: str, reactor: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "GREENWS_REACTOR": reactor},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_the_setting_takes_effect():
    """Without our two epoll sets there is only gevent's."""
    sets = {reactor: run("-c", CHECK, reactor=reactor).stdout for reactor in ("epoll", "watchers")}
    assert sets == {"epoll": "3\n", "watchers": "1\n"}


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("file", FILES)
def test_connections_on_watchers(file):
    done = run(
        "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", f"tests/net/{file}", reactor="watchers"
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
