"""What was opened is remembered, unless it is large."""

import pytest

from app.runtime.cache import lru_cache_if


def counting(most: int):
    """A function that remembers results below 10, and the list of what it was really asked for."""
    asked = []

    def is_small(result: int) -> bool:
        return result < 10

    @lru_cache_if(most, is_small)
    def double(number: int) -> int:
        """Twice as much."""
        asked.append(number)
        if number < 0:
            raise ValueError("below 0")
        return 2 * number

    return double, asked


def test_small_results_are_computed_once_and_large_ones_each_time():
    double, asked = counting(most=3)
    assert [double(n) for n in (1, 1, 4, 5, 5, 4)] == [2, 2, 8, 10, 10, 8]
    assert asked == [1, 4, 5, 5]
    double.cache_clear()
    assert double(1) == 2 and asked == [1, 4, 5, 5, 1]
    assert (double.__name__, double.__doc__) == ("double", "Twice as much.")


def test_the_least_recently_used_is_evicted_and_large_results_evict_none():
    double, asked = counting(most=2)
    for number in (1, 2, 1, 7, 8, 9, 3):  # 7, 8 and 9 are large; 3 takes the place of 2
        double(number)
    asked.clear()
    assert [double(n) for n in (1, 3, 2)] == [2, 6, 4] and asked == [2]


def test_errors_are_raised_and_not_cached():
    double, asked = counting(most=2)
    for _ in range(2):
        with pytest.raises(ValueError, match="below 0"):
            double(-1)
    assert asked == [-1, -1]
