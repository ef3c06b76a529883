"""The histogram: any time, to within 0.8 % of itself."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenws.bench.histogram import Histogram

ERROR = 1 / 128


def filled(times: list[int]) -> Histogram:
    histogram = Histogram()
    for time in times:
        histogram.record(time)
    return histogram


@given(st.lists(st.integers(0, 2**44), min_size=1), st.sampled_from([0.01, 0.5, 0.99, 0.999, 1.0]))
def test_percentile_is_that_of_the_sorted_times_within_its_error(times: list[int], share: float) -> None:
    exact = sorted(times)[max(1, math.ceil(share * len(times))) - 1]
    assert filled(times).percentile(share) == pytest.approx(exact, rel=ERROR)


@pytest.mark.parametrize("time", [0, 1, 63, 64, 127])
def test_short_times_are_exact(time: int) -> None:
    assert filled([time]).percentile(0.5) == time


@pytest.mark.parametrize("time", [128, 255, 256, 10**6, 2**44])
def test_the_largest_is_never_exceeded(time: int) -> None:
    histogram = filled([time])
    found = histogram.percentile(1.0)
    assert found is not None
    assert found <= histogram.largest == time


def test_a_time_beyond_all_buckets_is_counted_in_the_last() -> None:
    histogram = filled([2**60])
    assert (histogram.count, histogram.largest) == (1, 2**60)


def test_a_time_below_nothing_is_nothing() -> None:
    assert filled([-5]).percentile(0.5) == 0


def test_without_a_time_there_is_no_percentile() -> None:
    assert Histogram().percentile(0.5) is None


@given(st.lists(st.integers(0, 2**44)), st.lists(st.integers(0, 2**44)))
def test_merged_histograms_are_that_of_all_times(ours: list[int], theirs: list[int]) -> None:
    merged = filled(ours)
    merged.merge(filled(theirs).dump())
    assert merged.dump() == filled(ours + theirs).dump()
    assert merged.count == len(ours) + len(theirs)
