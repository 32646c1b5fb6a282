"""Stop a long computation between its steps: at a deadline, or when the visitor has left.

Loops call `between_steps`; a caller sets the check that runs there by `checking`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_check: ContextVar[Callable[[], None]] = ContextVar("check", default=lambda: None)


def between_steps() -> None:
    """Run the check that `checking` set, if any; an exception that it raises ends the computation."""
    _check.get()()


@contextmanager
def checking(check: Callable[[], None]) -> Iterator[None]:
    """Call `check()` at every `between_steps()` inside the block, in this thread."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)
