"""How long to wait before connecting again: values, with a random that is told what to return."""

from __future__ import annotations

import datetime
import itertools
import random
import socket
from collections.abc import Callable

import pytest

from greenws.client.backoff import MAX_RETRY_AFTER, Backoff, is_hopeless, is_temporary, retry_after
from greenws.errors import ConnectError, HandshakeError, OperationTimeout

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def always(value: float) -> Callable[[], float]:
    return lambda: value


def test_each_failure_waits_as_long_again_as_has_been_waited():
    backoff = Backoff(5, 60, always(1))
    assert backoff.delay_after_close(1006) == 5
    assert [backoff.delay_after_failure() for _ in range(6)] == [5, 10, 20, 40, 60, 60]


def test_no_failure_waits_less_than_the_first_delay():
    backoff = Backoff(8, 60, always(0.25))
    assert backoff.delay_after_close(1006) == 2
    assert [backoff.delay_after_failure() for _ in range(4)] == [8, 10, 20, 40]


def test_the_first_delay_is_a_random_one_whatever_it_follows():
    backoff = Backoff(8, 60, always(0.25))
    assert [backoff.delay_after_failure() for _ in range(3)] == [2, 8, 10]


def test_any_delay_from_nothing_to_the_limit_is_as_likely():
    """Full jitter."""
    source = random.Random(1)
    spread = sorted(Backoff(5, 60, source.random).delay_after_close(1006) for _ in range(1000))
    assert spread[0] < 0.1
    assert 2.2 < spread[500] < 2.8
    assert 4.9 < spread[-1] <= 5
    assert Backoff(5, 60, always(0)).delay_after_close(1006) == 0


def test_a_further_loss_is_answered_by_a_random_delay_again():
    """So that those who lose the same server twice do not come at one moment because they have waited as long."""
    source = iter((1.0, 0.5, 0.25))
    backoff = Backoff(8, 60, lambda: next(source))
    assert backoff.delay_after_close(1006) == 8
    assert backoff.delay_after_failure() == 8
    assert backoff.delay_after_close(1006) == 0.5 * 16
    assert backoff.delay_after_close(1006) == 0.25 * 24


def test_it_begins_anew_when_a_connection_has_lasted():
    backoff = Backoff(5, 60, always(1))
    for _ in range(4):
        backoff.delay_after_failure()
    backoff.reset()
    assert backoff.delay_after_failure() == 5


def test_it_never_overflows():
    backoff = Backoff(5, 60, always(1))
    assert [backoff.delay_after_failure() for _ in range(5000)][-1] == 60


@pytest.mark.parametrize("seed", range(20))
def test_a_hundred_attempts_are_on_average_less_than_one_a_second(seed):
    backoff = Backoff(random=random.Random(seed).random)
    moments = list(itertools.accumulate(backoff.delay_after_close(1013) for _ in range(100)))
    assert all(count <= 1 + moment for count, moment in enumerate(moments, 1))


def test_after_a_restart_at_least_five_seconds_and_everybody_within_twenty():
    assert Backoff(random=always(0)).delay_after_close(1012) == 5
    assert Backoff(random=always(1)).delay_after_close(1012) == 18


def test_try_again_later_is_never_at_once():
    assert Backoff(5, 60, always(0)).delay_after_close(1013) == 5
    assert Backoff(5, 60, always(0)).delay_after_close(1006) == 0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("1000000", MAX_RETRY_AFTER),
        ("9" * 400, MAX_RETRY_AFTER),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", MAX_RETRY_AFTER),
        ("Thu, 01 Jan 2026 00:00:30 -0000", 0),
        ("-7", 0),
        ("7.5", 0),
        ("²", 0),
        ("soon", 0),
        ("", 0),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after([("Date", "x"), ("RETRY-after", value)], NOW) == seconds


def test_retry_after_is_honoured_and_the_delay_comes_on_top():
    assert retry_after([], NOW) == 0
    assert Backoff(5, 60, always(1)).delay_after_refusal([("Retry-After", "7")], NOW) == 12


@pytest.mark.parametrize("status", [0, 408, 425, 429, 500, 502, 503, 504])
def test_what_may_be_otherwise_in_a_while_is_tried_again(status):
    assert is_temporary(HandshakeError(status, "x"))


@pytest.mark.parametrize("status", [101, 200, 301, 400, 401, 403, 404, 405, 407, 410, 426, 501, 505])
def test_a_refusal_for_good_is_not(status):
    assert not is_temporary(HandshakeError(status, "x"))


@pytest.mark.parametrize(
    ("code", "is_final"), [(socket.EAI_NONAME, True), (socket.EAI_NODATA, True), (socket.EAI_AGAIN, False)]
)
def test_a_name_that_does_not_exist_is_hopeless_for_a_warm_up_and_may_come_for_who_reconnects(code, is_final):
    error = ConnectError("x")
    error.__cause__ = socket.gaierror(code, "x")
    assert is_hopeless(error) is is_final
    assert is_temporary(error)


def test_what_is_final_is_hopeless_and_what_is_temporary_is_not():
    assert is_hopeless(HandshakeError(401, "x"))
    assert is_hopeless(ConnectError("a certificate", is_final=True))
    assert not is_hopeless(HandshakeError(503, "x"))
    assert not is_hopeless(ConnectError("x"))
    assert not is_hopeless(OperationTimeout("x"))
    assert not is_hopeless(RuntimeError("of on_open"))


def test_a_server_that_is_not_there_may_come():
    assert is_temporary(ConnectError("x"))
    assert is_temporary(OperationTimeout("x"))
    assert not is_temporary(ConnectError("a certificate", is_final=True))
