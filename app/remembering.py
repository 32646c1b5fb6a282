"""Remember what was opened, unless it is large: thirty large networks would fill the memory for good. No gradio."""

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class _Large(Exception):
    """A result that is not remembered, for a cache keeps nothing of a call that raises."""

    def __init__(self, result: object):
        self.result = result


class Remembered(Generic[K, R]):
    """A function of one argument that remembers its last results, of those that `is_small` says may be kept."""

    def __init__(self, function: Callable[[K], R], is_small: Callable[[R], bool], most: int):
        self.__doc__, self.__name__ = function.__doc__, function.__name__
        self._function, self._is_small = function, is_small
        self._cached = lru_cache(most)(self._compute)
        self.cache_clear = self._cached.cache_clear

    def __call__(self, argument: K) -> R:
        try:
            return self._cached(argument)
        except _Large as large:
            return large.result  # pyright: ignore[reportReturnType]

    def _compute(self, argument: K) -> R:
        result = self._function(argument)
        if not self._is_small(result):
            raise _Large(result)
        return result


def remember(most: int, is_small: Callable[[R], bool]) -> Callable[[Callable[[K], R]], Remembered[K, R]]:
    """`lru_cache(most)` for the results that are small."""
    return lambda function: Remembered(function, is_small, most)
