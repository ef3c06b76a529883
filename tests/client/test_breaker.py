"""The circuit breaker, by a fake clock."""

from __future__ import annotations

from greenws.client.breaker import Breaker


def broken(now: float = 100.0) -> Breaker:
    breaker = Breaker(3, 15)
    for _ in range(3):
        assert breaker.may_try(now)
        breaker.failed(now)
    return breaker


def test_it_stays_closed_while_attempts_succeed_now_and_then():
    breaker = Breaker(3, 15)
    for _ in range(10):
        breaker.failed(100)
        breaker.failed(100)
        breaker.succeeded()
    assert not breaker.is_open
    assert breaker.may_try(100)


def test_so_many_failures_in_a_row_open_it():
    breaker = broken()
    assert breaker.is_open
    assert not breaker.may_try(100)
    assert not breaker.may_try(114)


def test_behind_the_cooldown_one_attempt_is_let_through():
    breaker = broken()
    assert [breaker.may_try(115), breaker.may_try(115), breaker.may_try(1000)] == [True, False, False]


def test_a_probe_that_succeeds_closes_it():
    breaker = broken()
    breaker.may_try(115)
    breaker.succeeded()
    assert all(breaker.may_try(115) for _ in range(3))


def test_a_probe_that_fails_opens_it_again():
    breaker = broken()
    breaker.may_try(115)
    breaker.failed(120)
    assert not breaker.may_try(134)
    assert breaker.may_try(135)


def test_a_probe_that_is_given_up_lets_another_through():
    breaker = broken()
    breaker.may_try(115)
    breaker.gave_up()
    assert breaker.may_try(115)


def test_a_thousand_clients_of_a_dead_server_are_one_attempt_in_a_cooldown():
    breaker = broken(0)
    attempts = 0
    for second in range(1, 301):
        for _ in range(1000):
            if breaker.may_try(second):
                attempts += 1
                breaker.failed(second)
    assert attempts == 300 // 15
