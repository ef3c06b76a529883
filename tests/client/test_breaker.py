"""The circuit breaker, by a fake clock."""

from __future__ import annotations

from greenws.client.breaker import Breaker


def broken(now: float = 100.0) -> Breaker:
    breaker = Breaker(3, 15)
    for _ in range(3):
        assert breaker.ask(now) == 0
        breaker.failed(now)
    return breaker


def test_it_stays_closed_while_attempts_succeed_now_and_then():
    breaker = Breaker(3, 15)
    for _ in range(10):
        breaker.failed(100)
        breaker.failed(100)
        breaker.succeeded()
    assert not breaker.is_open
    assert breaker.ask(100) == 0


def test_so_many_failures_in_a_row_open_it():
    breaker = broken()
    assert breaker.is_open
    assert breaker.ask(100) == 15
    assert breaker.ask(114) == 1


def test_behind_the_cooldown_one_attempt_is_let_through():
    breaker = broken()
    assert breaker.ask(115) == 0
    assert breaker.ask(115) == 15
    assert breaker.ask(1000) > 0


def test_a_probe_that_succeeds_closes_it():
    breaker = broken()
    breaker.ask(115)
    breaker.succeeded()
    assert [breaker.ask(115) for _ in range(3)] == [0, 0, 0]


def test_a_probe_that_fails_opens_it_again():
    breaker = broken()
    breaker.ask(115)
    breaker.failed(120)
    assert breaker.ask(120) == 15
    assert breaker.ask(135) == 0


def test_a_probe_that_is_given_up_lets_another_through():
    breaker = broken()
    breaker.ask(115)
    breaker.gave_up()
    assert breaker.ask(115) == 0


def test_a_thousand_clients_of_a_dead_server_are_one_attempt_in_a_cooldown():
    breaker = broken(0)
    attempts = 0
    for second in range(1, 301):
        for _ in range(1000):
            if breaker.ask(second) == 0:
                attempts += 1
                breaker.failed(second)
    assert attempts == 300 // 15
