"""The timing wheel, on a clock and a loop that the test moves."""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable

import pytest

from greenws.net import wheel as wheels
from greenws.net.wheel import MAX_STEPS, SLOTS, TICK, Wheel


class Timer:
    def __init__(self, due: float, repeat: float) -> None:
        self.due = due
        self.repeat = repeat
        self.callback: Callable[[], None] | None = None
        self.is_open = True

    def start(self, callback: Callable[[], None]) -> None:
        self.callback = callback

    def stop(self) -> None:
        self.callback = None

    def close(self) -> None:
        self.is_open = False


class Loop:
    """Stands for gevent's loop: time passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []
        self.errors: list[BaseException] = []

    def timer(self, after: float, repeat: float = 0.0) -> Timer:
        assert (after, repeat) in ((TICK, TICK), (0, 0))
        self.timers.append(Timer(self.now + after, repeat))
        return self.timers[-1]

    def handle_error(self, context: object, kind: type, value: BaseException, traceback: object) -> None:
        self.errors.append(value)

    def turn(self, seconds: float = TICK) -> None:
        """Lets time pass and gives the timers that there are one turn."""
        self.now += seconds + 1e-9  # sums of 0.1 fall short
        for timer in tuple(self.timers):
            if timer.callback is not None and self.now >= timer.due:
                timer.due = self.now + timer.repeat
                timer.callback()


class Item(wheels.Item):
    """Notes when it was asked; answers with what it is to answer."""

    def __init__(self, answer: int = 0) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[int] = []

    def expire(self, tick: int) -> int:
        self.asked.append(tick)
        return self.answer


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def wheel(loop: Loop) -> Wheel:
    return Wheel(loop, lambda: loop.now)


@pytest.mark.parametrize(
    ("delay", "tick"), [(0.01, 1), (0.1, 1), (0.11, 2), (0.25, 3), (1.0, 10), (5.0, 50), (102.3, 1023)]
)
def test_an_item_is_asked_when_its_time_has_come_rounded_up_to_a_tick(loop, wheel, delay, tick):
    item = Item()
    wheel.schedule(item, delay)
    for _ in range(1100):
        loop.turn()
    assert item.asked == [tick]
    assert wheel.count == 0


def test_an_item_that_waits_longer_than_a_round_is_asked_in_between(loop, wheel):
    item = Item()
    wheel.schedule(item, 10 * SLOTS * TICK)
    for _ in range(SLOTS):
        loop.turn()
    assert item.asked == [SLOTS - 1]


def test_an_item_is_asked_again_when_it_says_so(loop, wheel):
    item = Item(answer=7)
    wheel.schedule(item, TICK)
    for _ in range(30):
        loop.turn()
    assert item.asked == [1, 8, 15, 22, 29]
    assert wheel.count == 1


def test_scheduling_again_replaces_what_was_before(loop, wheel):
    item = Item()
    wheel.schedule(item, 1)
    wheel.schedule(item, 0.5)
    wheel.schedule(item, 2)
    assert wheel.count == 1
    for _ in range(30):
        loop.turn()
    assert item.asked == [20]


def test_an_item_may_be_asked_sooner_but_not_later(loop, wheel):
    early, late, fresh = Item(), Item(), Item()
    wheel.schedule(early, 5)
    wheel.schedule_sooner(early, 2)
    wheel.schedule_sooner(early, 9)
    wheel.schedule(late, 200)
    wheel.schedule_sooner(late, 50)
    wheel.schedule_sooner(fresh, 1)
    for _ in range(1100):
        loop.turn()
    assert (early.asked, late.asked, fresh.asked) == ([20], [500], [10])


def test_a_cancelled_item_is_never_asked(loop, wheel):
    item, other = Item(), Item()
    wheel.schedule(item, 0.5)
    wheel.schedule(other, 0.5)
    wheel.cancel(item)
    wheel.cancel(item)
    wheel.cancel(Item())
    assert (wheel.count, item.wheel_slot) == (1, -1)
    for _ in range(10):
        loop.turn()
    assert (item.asked, other.asked) == ([], [5])


def test_an_item_may_cancel_or_move_another_of_its_own_tick(loop, wheel):
    class Meddler(Item):
        def expire(self, tick):
            wheel.cancel(victim)
            wheel.schedule(moved, 0.5)
            return super().expire(tick)

    victim, moved = Item(), Item()
    meddlers = [Meddler() for _ in range(2)]  # a set has no order: one of them comes before the others
    for item in (*meddlers, victim, moved):
        wheel.schedule(item, 0.3)
    for _ in range(20):
        loop.turn()
    assert [len(item.asked) for item in meddlers] == [1, 1]
    assert victim.asked in ([], [3])
    assert moved.asked[-1] in (8, 3)
    assert len(moved.asked) <= 2
    assert wheel.count == 0


def test_an_item_that_schedules_itself_while_it_is_asked_is_asked_once_more(loop, wheel):
    class Own(Item):
        def expire(self, tick):
            super().expire(tick)
            if len(self.asked) == 1:
                wheel.schedule(self, 0.5)
            return 0

    item = Own()
    wheel.schedule(item, 0.1)
    for _ in range(20):
        loop.turn()
    assert item.asked == [1, 6]
    assert wheel.count == 0


def test_the_timer_runs_only_while_there_is_something_on_the_wheel(loop, wheel):
    assert loop.timers == []
    item = Item()
    wheel.schedule(item, 0.2)
    for _ in range(3):
        loop.turn()
    assert not loop.timers[0].is_open
    loop.turn(500)
    wheel.schedule(item, 0.2)
    assert len(loop.timers) == 2
    tick = wheel.tick
    loop.turn()
    loop.turn()
    assert item.asked[1:] == [tick + 2]


def test_a_cancelled_last_item_stops_the_timer(loop, wheel):
    item = Item()
    wheel.schedule(item, 5)
    wheel.cancel(item)
    loop.turn()
    assert not loop.timers[0].is_open


@pytest.mark.parametrize("freeze", [0.5, 5, 60, 3600, 86400])
def test_while_the_hub_is_frozen_no_deadline_comes_nearer_than_half_a_second(loop, wheel, freeze):
    """A frozen server must not take its healthy peers for dead."""
    items = {delay: Item() for delay in (0.6, 1, 5, 20)}
    for delay, item in items.items():
        wheel.schedule(item, delay)
    loop.turn(freeze)
    assert all(item.asked == [] for item in items.values())
    assert wheel.tick <= MAX_STEPS
    ticks = round(20 / TICK)
    for _ in range(ticks):
        loop.turn()
    assert all(len(item.asked) == 1 for item in items.values())


def test_a_clock_that_stands_still_or_goes_back_expires_nobody(loop, wheel):
    item = Item()
    wheel.schedule(item, 0.3)
    loop.turn(0)
    loop.turn(-3600)
    assert (item.asked, wheel.tick) == ([], 0)


def test_small_delays_of_the_loop_do_not_add_up(loop, wheel):
    item = Item()
    wheel.schedule(item, 100)
    for _ in range(771):
        loop.turn(TICK * 1.3)  # the timer is always a little late: 100.2 s
    assert item.asked[0] in (1000, 1001)


def test_an_item_that_raises_is_reported_and_the_others_are_asked(loop, wheel):
    class Broken(Item):
        def expire(self, tick):
            raise ZeroDivisionError

    items = [Item() for _ in range(20)]
    for item in (*items[:10], Broken(), *items[10:]):
        wheel.schedule(item, 0.1)
    loop.turn()
    assert all(item.asked == [1] for item in items)
    assert [type(error) for error in loop.errors] == [ZeroDivisionError]
    assert wheel.count == 0


def test_a_sweep_that_takes_long_goes_on_in_the_next_turn(loop, wheel):
    class Slow(Item):
        def expire(self, tick):
            loop.now += 0.001
            return super().expire(tick)

    items = [Slow() for _ in range(100)]
    for item in items:
        wheel.schedule(item, 0.1)
    longest = 0.0
    turns = 0
    while not all(item.asked for item in items):
        before = loop.now
        loop.turn(0 if turns else TICK)
        longest = max(longest, loop.now - before - (0 if turns else TICK))
        turns += 1
    assert turns >= 20
    assert longest <= 0.0085, "the hub is held longer than it may be"
    assert [len(item.asked) for item in items] == [1] * 100


def test_an_item_that_waits_for_its_turn_in_a_long_sweep_may_be_cancelled(loop, wheel):
    class Slow(Item):
        def expire(self, tick):
            loop.now += 1
            return super().expire(tick)

    items = [Slow() for _ in range(5)]
    for item in items:
        wheel.schedule(item, 0.1)
    loop.turn()
    left = [item for item in items if not item.asked]
    assert left
    for item in left:
        wheel.cancel(item)
    for _ in range(10):
        loop.turn()
    assert all(not item.asked for item in left)
    assert wheel.count == 0
    assert not any(timer.is_open for timer in loop.timers)


def test_who_has_been_asked_in_a_long_sweep_is_let_go(loop, wheel):
    asked, gone = [], []

    class Slow(Item):
        def expire(self, tick):
            loop.now += 1
            asked.append(tick)
            return 0

    items = [Slow() for _ in range(9)]
    seen = [weakref.ref(item, gone.append) for item in items]
    for item in items:
        wheel.schedule(item, 0.1)
    del item, items
    loop.turn()
    assert 0 < len(gone) == len(asked) < len(seen)
    while len(asked) < len(seen):
        loop.turn(0)
        assert len(gone) == len(asked)


def test_random_schedules_and_cancels_against_a_plain_list(loop, wheel):
    random.seed(6455)
    due: dict[Item, int] = {}
    items = [Item() for _ in range(50)]
    for _ in range(5000):
        item = random.choice(items)
        if random.random() < 0.3:
            wheel.cancel(item)
            due.pop(item, None)
        else:
            ticks = random.randint(1, 200)
            wheel.schedule(item, ticks * TICK - TICK / 2)
            due[item] = wheel.tick + ticks
        if random.random() < 0.5:
            for known in items:
                known.asked.clear()
            loop.turn()
            expected = {known for known, when in due.items() if when == wheel.tick}
            assert {known for known in items if known.asked} == expected
            for known in expected:
                del due[known]
        assert wheel.count == len(due)
