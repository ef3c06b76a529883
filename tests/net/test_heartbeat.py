"""When to ping: adapted to the peer, spread evenly, answered by any byte, and no mass kill."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from greenws.net.heartbeat import Rhythm

SECOND = 10  # ticks
PROMPT = 1

Answer = Callable[[int, int], int | None]  # of a connection, to a ping at a tick: in how many ticks, or None


class Life:
    """One connection, as ``Connection`` keeps it."""

    def __init__(self, rhythm: Rhythm, number: int, tick: int) -> None:
        self.rhythm, self.number = rhythm, number
        self.pace, self.tries, self.since = rhythm.first_pace, 0, 0
        self.answer_at: int | None = None
        self.firsts: list[int] = []  # of the pings, those that were no repetition
        self.pings: list[int] = []
        self.died: int | None = None
        self.ask_at = tick + rhythm.next_beat(number, tick, self.pace)

    def ask(self, tick: int, answer: Answer) -> None:
        """What ``Connection._check_heart`` does."""
        answered = self.tries and self.answer_at is not None and tick >= self.answer_at
        waited = tick - self.since if self.tries else 0
        if answered:
            self.pace = self.rhythm.next_pace(self.pace, self.tries)
            self.ask_at = tick + self.rhythm.next_beat(self.number, tick, self.pace)
            self.tries, self.answer_at = 0, None
            return
        wait = self.rhythm.patience(self.tries, waited)
        if not wait:
            self.died = tick
            return
        self.ask_at = tick + wait
        if not self.tries:
            self.since = tick
            self.firsts.append(tick)
        self.tries += 1
        self.pings.append(tick)
        delay = answer(self.number, tick)
        if self.answer_at is None and delay is not None:
            self.answer_at = tick + delay


def run(rhythm: Rhythm, begins: list[tuple[int, int]], until: int, answer: Answer) -> list[Life]:
    """Connections, each with its number and the tick it is opened at, up to a tick."""
    lives = [Life(rhythm, number, tick) for number, tick in begins]
    queue = [(life.ask_at, index) for index, life in enumerate(lives)]
    heapq.heapify(queue)
    while queue and queue[0][0] < until:
        tick, index = heapq.heappop(queue)
        lives[index].ask(tick, answer)
        if lives[index].died is None:
            heapq.heappush(queue, (lives[index].ask_at, index))
    return lives


def prompt(number: int, tick: int) -> int | None:
    return PROMPT


def never(number: int, tick: int) -> int | None:
    return None


def one(answer: Answer, interval: float | tuple[float, float] = (5.0, 30.0), timeout: float = 20.0) -> Life:
    return run(Rhythm(interval, timeout), [(7, 1000)], 1000 + 600 * SECOND, answer)[0]


def gaps(life: Life) -> list[float]:
    """The seconds between its pings, without repetitions."""
    return [(after - before) / SECOND for before, after in pairwise(life.firsts)]


# ---- one connection


def test_a_steady_peer_is_asked_less_often_up_to_the_longest_interval():
    seconds = gaps(one(prompt))
    assert set(seconds[3:]) == {30.0}
    assert all(5.0 <= gap <= 30.0 for gap in seconds)


def test_it_begins_with_two_thirds_of_the_longest_interval():
    rhythm = Rhythm((5.0, 30.0), 20.0)
    assert rhythm.first_pace * rhythm.unit == 20 * SECOND
    assert all(1 <= Life(rhythm, number, 12345).ask_at - 12345 <= 200 for number in range(1000))


def test_a_peer_that_is_always_late_is_asked_as_often_as_may_be():
    seconds = gaps(one(lambda number, tick: 3 * SECOND))
    assert set(seconds[4:]) <= {5.0, 10.0}
    assert min(seconds) >= 5.0


def test_a_doubtful_peer_that_mends_is_trusted_again():
    seconds = gaps(one(lambda number, tick: 4 * SECOND if tick < 3000 else PROMPT))
    assert seconds[-1] == 30.0


def test_a_fixed_interval_is_kept_whatever_the_peer_does():
    for answer in (prompt, lambda number, tick: 3 * SECOND):
        assert set(gaps(one(answer, interval=20.0))) == {20.0}


@pytest.mark.parametrize("interval", [(5.0, 30.0), (4.0, 30.0), (7.0, 10.0), (1.0, 60.0), 20.0, 0.1, (0.1, 0.2)])
def test_no_interval_is_longer_or_shorter_than_the_settings(interval):
    shortest, longest = interval if isinstance(interval, tuple) else (interval, interval)
    delays = random.Random(5)
    life = one(lambda number, tick: delays.choice((0, 0, 0, 1, 30, 60)), interval)
    assert life.died is None
    calm = one(prompt, interval)
    assert all(shortest <= gap + 0.05 and gap <= longest + 0.1 for gap in gaps(calm)), set(gaps(calm))
    assert max(gaps(life)) <= longest + 20  # with the time that it waited for an answer


def test_a_peer_that_never_answers_is_asked_again_each_time_after_twice_as_long_and_dies():
    life = one(never)
    begin = life.pings[0]
    assert [(tick - begin) / SECOND for tick in life.pings] == [0, 2.5, 7.5, 17.5]
    assert life.died == begin + 20 * SECOND


@pytest.mark.parametrize("timeout", [0.1, 0.2, 1.0, 5.0, 20.0, 60.0, 3600.0])
@pytest.mark.parametrize("interval", [0.1, 1.0, 20.0, (5.0, 30.0)])
def test_it_dies_exactly_at_the_timeout(interval, timeout):
    (life,) = run(Rhythm(interval, timeout), [(7, 1000)], 100_000, never)
    assert life.died == life.pings[0] + round(timeout * SECOND)
    assert len(life.pings) < 20


@pytest.mark.parametrize("timeout", [0.2, 1.0, 20.0])
def test_a_peer_that_answers_in_the_last_tick_lives(timeout):
    life = one(lambda number, tick: round(timeout * SECOND) - 1, timeout=timeout)
    assert life.died is None


def test_a_peer_that_falls_silent_is_found_within_interval_and_timeout():
    life = one(lambda number, tick: PROMPT if tick < 4000 else None)
    assert life.died is not None
    assert life.died <= 4000 + (30 + 20) * SECOND


# ---- ten thousand


def most_in_a_tick(lives: list[Life], begin: int, end: int) -> float:
    """The most pings in any 100 ms, over the mean of the ten seconds around."""
    pings = Counter(tick for life in lives for tick in life.pings)
    worst = 0.0
    for start in range(begin, end, 100):
        counts = [pings[tick] for tick in range(start, start + 100)]
        worst = max(worst, max(counts) / (sum(counts) / 100))
    return worst


def of_one_second(first: int, step: int = 1) -> list[tuple[int, int]]:
    return [(first + index * step, 1000 + index // 1000) for index in range(10_000)]


@pytest.mark.slow
@pytest.mark.parametrize(("first", "step"), [(1, 1), (12345, 1), (2**40, 1), (1, 2)])
@pytest.mark.parametrize("interval", [(5.0, 30.0), 20.0, (5.0, 25.0)])
def test_ten_thousand_connections_of_one_second_never_ping_in_one_burst(first, step, interval):
    """The most in any 100 ms is at most twice the mean, while the intervals adapt and afterwards."""
    lives = run(Rhythm(interval, 20.0), of_one_second(first, step), 3000, prompt)
    assert most_in_a_tick(lives, 1010, 2910) <= 2
    assert all(life.died is None for life in lives)


@pytest.mark.slow
def test_nor_when_some_of_them_are_late_now_and_then():
    delays = random.Random(2)
    lives = run(Rhythm((5.0, 30.0), 20.0), of_one_second(1), 4000, lambda n, t: delays.choice((1, 1, 1, 40, 80)))
    assert len({life.pace for life in lives}) == 6
    assert most_in_a_tick(lives, 1010, 3910) <= 2


@pytest.mark.slow
def test_nor_after_an_outage_of_the_network():
    lives = run(
        Rhythm((5.0, 30.0), 20.0), of_one_second(1), 5000, lambda n, t: 2101 - t if 2000 <= t < 2100 else PROMPT
    )
    assert most_in_a_tick(lives, 2010, 4910) <= 2
    assert all(life.died is None for life in lives)


def test_few_connections_are_spread_as_well():
    rhythm = Rhythm(20.0, 20.0)
    beats = sorted(rhythm.next_beat(number, 1000, 1) for number in range(1, 9))
    assert min(after - before for before, after in pairwise(beats)) >= 200 // 8 // 2
