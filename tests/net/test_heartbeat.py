"""When to ping: spread evenly, answered by any byte, and no mass kill."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from greenws.net.heartbeat import beat, first_beat
from greenws.net.wheel import MAX_STEPS

INTERVAL, TIMEOUT = 200, 200  # ticks: 20 s


def run(ticks, answers, interval=INTERVAL, timeout=TIMEOUT):
    """One connection's life: ``answers(tick of a ping)`` is the tick at which its answer comes, or None.

    Returns:
        The ticks of its pings, and that of its death or None.
    """
    pings, ping_tick, answer_at, ask_at = [], 0, None, 1
    for tick in range(1, ticks):
        answered = answer_at is not None and tick >= answer_at
        if tick < ask_at:
            continue
        what, wait = beat(tick, ping_tick, answered, interval, timeout)
        if what == "dead":
            return pings, tick
        if what == "ping":
            pings.append(tick)
            ping_tick = tick
            answer_at = answers(tick)
        assert wait > 0
        ask_at = tick + wait
    return pings, None


@pytest.mark.parametrize("begin", [1, 12345, 2**32 - 5000, 2**40])
@pytest.mark.parametrize("interval", [50, 200, 300, 997])
def test_ten_thousand_connections_of_one_second_never_ping_in_one_burst(begin, interval):
    """HARDENING F12: the most in any tick is at most twice the mean."""
    beats = Counter(first_beat(number, interval) for number in range(begin, begin + 10_000))
    assert min(beats) >= 1
    assert max(beats) <= interval
    assert max(beats.values()) <= 2 * 10_000 / interval
    assert len(beats) == interval


def test_few_connections_are_spread_as_well():
    beats = sorted(first_beat(number, INTERVAL) for number in range(1, 9))
    gaps = [after - before for before, after in pairwise(beats)]
    assert min(gaps) >= INTERVAL // 8 // 2


def test_a_peer_that_answers_is_pinged_once_an_interval():
    pings, death = run(5000, lambda tick: tick + 3)
    assert death is None
    assert {after - before for before, after in pairwise(pings)} == {INTERVAL}


@pytest.mark.parametrize(("interval", "timeout"), [(200, 200), (200, 50), (50, 200), (1, 1), (10, 300)])
def test_a_peer_that_never_answers_dies_after_the_timeout(interval, timeout):
    pings, death = run(5000, lambda tick: None, interval, timeout)
    assert pings == [1]
    assert death == 1 + timeout


@pytest.mark.parametrize(("interval", "timeout"), [(200, 200), (200, 50), (50, 200), (10, 300)])
def test_a_peer_that_answers_in_the_last_tick_lives(interval, timeout):
    _, death = run(5000, lambda tick: tick + timeout - 1, interval, timeout)
    assert death is None


def test_a_peer_that_falls_silent_dies_after_the_timeout_of_its_next_ping():
    pings, death = run(5000, lambda tick: tick + 1 if tick < 1000 else None)
    assert death == pings[-1] + TIMEOUT
    assert pings[-1] <= 1000 + INTERVAL


@pytest.mark.parametrize("timeout", [6, 50, 200])
def test_a_freeze_of_sixty_seconds_expires_nobody(timeout):
    """HARDENING F13. The wheel moves at most MAX_STEPS ticks then; the answers lie in the kernel and are read next."""
    for phase in range(timeout - MAX_STEPS):
        ping_tick = 1000
        asleep_at = ping_tick + phase
        woke_at = asleep_at + MAX_STEPS
        what, _ = beat(woke_at, ping_tick, False, INTERVAL, timeout)
        assert what == "wait"


def test_the_first_ping_needs_no_answer_before_it():
    assert beat(5000, 0, False, INTERVAL, TIMEOUT) == ("ping", INTERVAL)
    assert beat(5000, 0, True, INTERVAL, TIMEOUT)[0] == "ping"
