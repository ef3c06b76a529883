"""What ten thousand clients do to a server that restarts: their decisions, carried out by a clock that jumps."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter

import pytest

from greenws.client.backoff import Backoff
from greenws.client.breaker import Breaker

CLIENTS = 10_000
ACCEPTS = 1500  # connections a second, of a server on part of a core
TIMEOUT = 10.0  # of an attempt: that of ``greenws.connect``
REFUSAL = 0.001  # seconds until "connection refused" is heard


class Storm:
    """Clients that lose their server in the same second.

    Args:
        down: seconds from the first loss to the moment in which the server listens again.
        each: how many clients are in one process, and so share a breaker.
        losses: over how many seconds they notice.
        code: what the server's Close has said.
    """

    def __init__(self, down: float, each: int, losses: float = 1.0, code: int = 1006) -> None:
        source = random.Random(1)
        self._down = down
        self._breakers = [Breaker() for _ in range(CLIENTS // each)]
        self._backoffs = [Backoff(random=source.random) for _ in range(CLIENTS)]
        self._order = itertools.count()
        self._events: list[tuple[float, int, int, str]] = []
        self._free_at = down  # when the server can accept the next
        self.attempts: list[float] = []
        self.last = 0.0  # when the last client was back
        for client, backoff in enumerate(self._backoffs):
            self._at(losses * client / CLIENTS + backoff.delay_after_close(code), client, "try")

    def _at(self, moment: float, client: int, what: str) -> None:
        heapq.heappush(self._events, (moment, next(self._order), client, what))

    def run(self) -> Storm:
        """Until everybody is back: there is nothing left to happen then."""
        while self._events:
            now, _, client, what = heapq.heappop(self._events)
            breaker, backoff = self._breakers[client % len(self._breakers)], self._backoffs[client]
            if what == "try" and breaker.may_try(now):
                self.attempts.append(now)
                self._attempt(now, client)
            elif what == "done":
                breaker.succeeded()
                self.last = now
            else:
                if what == "fail":
                    breaker.failed(now)
                self._at(now + backoff.delay_after_failure(), client, "try")
        return self

    def _attempt(self, now: float, client: int) -> None:
        if now < self._down:
            self._at(now + REFUSAL, client, "fail")
        else:
            self._free_at = max(self._free_at, now) + 1 / ACCEPTS
            is_in_time = self._free_at - now <= TIMEOUT
            self._at(self._free_at if is_in_time else now + TIMEOUT, client, "done" if is_in_time else "fail")

    @property
    def most_by_mean(self) -> float:
        """The attempts of the worst second, by those of a mean one from the first loss until all are back."""
        seconds = Counter(int(moment) for moment in self.attempts)
        return max(seconds.values()) * self.last / len(self.attempts)


@pytest.mark.slow
@pytest.mark.parametrize("each", [1, 100, CLIENTS], ids=["one-a-process", "hundred-a-process", "all-in-one-process"])
@pytest.mark.parametrize("down", [0.1, 1, 3, 5, 8])
def test_after_a_restart_all_are_back_within_twenty_seconds_and_never_in_a_burst(down, each):
    storm = Storm(down, each).run()
    assert storm.last - down <= 15
    assert storm.most_by_mean <= 2.5


@pytest.mark.slow
@pytest.mark.parametrize("losses", [0.5, 2, 5])
def test_so_it_is_when_the_server_has_said_1012(losses):
    storm = Storm(3, 100, losses, code=1012).run()
    assert len(storm.attempts) == CLIENTS
    assert storm.last - losses <= 20
    assert storm.most_by_mean <= 3


@pytest.mark.slow
@pytest.mark.parametrize("each", [1, CLIENTS])
def test_after_a_long_outage_nobody_waits_much_longer_than_it_took(each):
    storm = Storm(40, each).run()
    assert storm.last <= 2 * 40 + 10


@pytest.mark.slow
def test_a_dead_server_gets_one_attempt_every_two_seconds_from_ten_thousand_clients_of_one_process():
    storm = Storm(120, CLIENTS).run()
    assert sum(10 <= moment < 120 for moment in storm.attempts) <= 110 / 2 + 1
