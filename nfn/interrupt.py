"""Stopping long computations between their steps: by a deadline, or because nobody waits for the result any more.

Loops of steps call `between_steps`; whoever calls them may say, within `checking`, what is asked there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


def _go_on() -> None:
    """Nothing stops a computation that nobody has set a limit to."""


_check: ContextVar[Callable[[], None]] = ContextVar("check", default=_go_on)


def between_steps() -> None:
    """Raise what the caller's check raises."""
    _check.get()()


@contextmanager
def checking(check: Callable[[], None]) -> Iterator[None]:
    """Within, and in this thread, `check()` is called between steps; what it raises ends the computation."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)
