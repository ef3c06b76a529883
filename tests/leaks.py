"""What a test must not leave behind. The conftest.py of net/, server/ and flaskext/ imports the names below.

A parked greenlet of the pool is no leak: it waits inside compiled code and nowhere else, so it has no Python frame.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator

import gevent
import greenlet
import pytest

from greenws.net.connection import Connection
from greenws.net.reactor import Watched, get_reactor

TURNS = 100  # of the loop, at most, for what the last event of a test set going


class _Nothing(Watched):
    """Makes the reactor watch something."""

    def on_ready(self, readable: bool) -> None:
        """Is never called."""


def warm_up() -> None:
    """Makes all that a process makes once: the epoll set, the loop's wake-up descriptor."""
    ours, theirs = os.pipe()
    nothing = _Nothing()
    nothing.watch(ours)
    nothing.release()
    os.close(ours)
    os.close(theirs)
    get_reactor().loop.run_callback_threadsafe(lambda: None)
    gevent.idle()


def descriptors() -> dict[int, str]:
    """The open descriptors and what they are."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # that of the listing itself
    return found


def greenlets() -> set[greenlet.greenlet]:
    """The greenlets that run or wait, but for hubs, the parked ones of the pool and this one."""
    return {
        item
        for item in gc.get_objects()
        if isinstance(item, greenlet.greenlet)
        and not isinstance(item, gevent.hub.Hub)
        and item  # begun and not ended
        and item.parent is not None  # the first of a thread, such as those that gevent resolves names in
        and item.gr_frame is not None  # this one, or parked
    }


def connections() -> set[Connection]:
    """All connection objects."""
    return {item for item in gc.get_objects() if isinstance(item, Connection)}


class Snapshot:
    """What there is now."""

    def __init__(self) -> None:
        reactor = get_reactor()
        self.descriptors = descriptors()
        self.greenlets = {id(item) for item in greenlets()}
        self.connections = {id(item) for item in connections()}
        self.watched, self.deadlines = reactor.count, reactor.wheel.count
        self.running = reactor.pool.running if reactor.pool is not None else 0

    def leaks(self) -> list[str]:
        """What there is now and was not then, in words."""
        reactor = get_reactor()
        found = [f"descriptor {fd}: {what}" for fd, what in descriptors().items() if self.descriptors.get(fd) != what]
        found += [f"{item} at {item.gr_frame}" for item in greenlets() if id(item) not in self.greenlets]
        found += [f"{item}" for item in connections() if id(item) not in self.connections]
        if reactor.count != self.watched:
            found.append(f"{reactor.count - self.watched} descriptors in the reactor")
        if reactor.wheel.count != self.deadlines:
            found.append(f"{reactor.wheel.count - self.deadlines} items on the wheel")
        if reactor.pool is not None and (reactor.pool.running > self.running or reactor.pool.waiting):
            found.append(f"the pool: {reactor.pool.running} running, {len(reactor.pool.waiting)} waiting")
        return found


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that left anything behind, after all of its other fixtures have ended."""
    warm_up()
    gc.collect()
    before = Snapshot()
    yield
    if not request.node.stash.get(_PASSED, False):
        return  # its traceback holds on to what it used
    found: list[str] = []
    for turn in range(1, TURNS + 1):
        gevent.idle()
        gc.collect(0 if turn % 10 else 2)  # Flask's request is a cycle, which may have grown old in the meantime
        if not (found := before.leaks()):
            return
    gc.collect()
    gevent.idle()
    gc.collect()
    if found := before.leaks():
        pytest.fail("left behind:\n  " + "\n  ".join(found))


_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets ``no_leaks`` know whether the test passed."""
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report
