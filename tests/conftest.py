"""What holds for every test.

With ``GREENWS_NO_SKIP=1`` a skipped test fails, with the reason it gave: on a machine that has everything, a skip is a
test that silently stopped testing.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from types import SimpleNamespace
from typing import TypeVar

import gevent.hub
import hypothesis
import pytest

from tests import codecs

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# The timeout of setup.cfg fails a test in a signal handler, which may run in the hub or in any greenlet. gevent brings
# exceptions of these types to the main greenlet, where the test waits; others it would only print.
gevent.hub.Hub.SYSTEM_ERROR = (*gevent.hub.Hub.SYSTEM_ERROR, pytest.fail.Exception)

# One clock is enough: a test that takes long is named by its timeout, and a slow machine makes no example wrong.
hypothesis.settings.register_profile("greenws", deadline=None)
hypothesis.settings.load_profile("greenws")


@pytest.fixture(scope="session", params=codecs.BUILDS)
def codec(request: pytest.FixtureRequest) -> SimpleNamespace:
    """The modules of ``greenws.protocol``, once compiled and once uncompiled."""
    return codecs.load(request.param)


@pytest.fixture(scope="module", autouse=True)
def frozen() -> None:
    """What is there by now outlives the module's tests. To look through it after each took most of their time.

    That is what is loaded, and what pytest keeps of each test that has run.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _fail_if_skipped((yield))


def _fail_if_skipped(report: Report) -> Report:
    is_expected_failure = hasattr(report, "wasxfail")
    if report.skipped and not is_expected_failure and os.environ.get("GREENWS_NO_SKIP") == "1":
        path, line, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: {reason}\nGREENWS_NO_SKIP=1 lets no test skip"
    return report
