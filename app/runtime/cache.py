"""An LRU cache that skips large results: thirty large networks would fill the memory. No gradio."""

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class _Uncacheable(Exception):
    """Carries a result past `lru_cache`, which stores nothing for a call that raises."""

    def __init__(self, result: object):
        self.result = result


class ConditionalCache(Generic[K, R]):
    """A function of one argument with an LRU cache of the results for which `is_small` is true."""

    def __init__(self, function: Callable[[K], R], is_small: Callable[[R], bool], max_size: int):
        self.__doc__, self.__name__ = function.__doc__, function.__name__
        self._function, self._is_small = function, is_small
        self._cached = lru_cache(max_size)(self._compute)
        self.cache_clear = self._cached.cache_clear

    def __call__(self, argument: K) -> R:
        try:
            return self._cached(argument)
        except _Uncacheable as uncacheable:
            return uncacheable.result  # pyright: ignore[reportReturnType]

    def _compute(self, argument: K) -> R:
        result = self._function(argument)
        if not self._is_small(result):
            raise _Uncacheable(result)
        return result


def lru_cache_if(
    max_size: int, is_small: Callable[[R], bool]
) -> Callable[[Callable[[K], R]], ConditionalCache[K, R]]:
    """Decorate a function as `lru_cache(max_size)` does, but cache only results for which `is_small` is true."""
    return lambda function: ConditionalCache(function, is_small, max_size)
