"""How many connections an address may have, and how fast it may open more."""

from __future__ import annotations

import pytest

from greenws.net import addresses
from greenws.net.addresses import BURST, FULL_WAIT, Addresses, network_of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_without_limits_nobody_waits_and_nothing_is_kept():
    found = Addresses()
    assert not any(found.wait("10.0.0.1") for _ in range(1000))
    assert not found._turns
    assert not found.are_counted


def test_an_address_has_its_connections_and_no_more():
    found = Addresses(max_connections=2)
    for _ in range(2):
        assert found.wait("10.0.0.1") == 0
        found.add("10.0.0.1")
    assert found.wait("10.0.0.1") == FULL_WAIT
    assert found.wait("10.0.0.2") == 0
    found.discard("10.0.0.1")
    assert found.wait("10.0.0.1") == 0
    found.discard("10.0.0.1")
    assert not found._counts


@pytest.mark.parametrize("rate", [0.1, 0.5, 1, 20])
def test_a_burst_is_taken_and_then_an_even_pace(clock, rate):
    found = Addresses(max_rate=rate, clock=clock)
    taken = 0
    while not (wait := found.wait("10.0.0.1")):
        taken += 1
    assert taken == pytest.approx(max(1, BURST * rate), abs=1)
    assert wait == -(-1 // rate) or wait == 1
    clock.now += wait
    assert found.wait("10.0.0.1") == 0, "who waits as long as it was told is taken"


def test_over_a_long_time_no_more_come_than_the_rate_allows(clock):
    found = Addresses(max_rate=2, clock=clock)
    taken = 0
    for _ in range(10_000):
        taken += not found.wait("10.0.0.1")
        clock.now += 0.01
    assert taken == pytest.approx(100 * 2 + 2 * BURST, abs=2)


def test_to_ask_too_early_does_not_make_the_wait_longer(clock):
    found = Addresses(max_rate=0.1, clock=clock)
    assert found.wait("10.0.0.1") == 0
    assert [found.wait("10.0.0.1") for _ in range(100)] == [10] * 100


def test_memory_is_bounded_however_many_addresses_come(clock, monkeypatch):
    monkeypatch.setattr(addresses, "MAX_ADDRESSES", 10)
    found = Addresses(max_rate=0.1, clock=clock)
    for number in range(1000):
        assert found.wait(f"10.0.0.{number}") == 0
    assert len(found._turns) == 10
    assert found.wait("10.0.0.999") > 0, "the latest are remembered"
    assert found.wait("10.0.0.0") == 0, "the oldest is not"


def test_a_peer_without_an_address_is_not_bounded():
    found = Addresses(max_connections=1, max_rate=0.1)
    for address in ("", None):
        found.add(address)
        assert [found.wait(address) for _ in range(3)] == [0, 0, 0]
        found.discard(address)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::/64"),
        ("no:address", "no:address"),
    ],
)
def test_an_ipv6_network_counts_as_one(address, network):
    assert network_of(address) == network
