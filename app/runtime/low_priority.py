"""Background work: seconds of computing that must not keep other visitors waiting. No gradio."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
NICENESS = 10
"""A thread of this niceness gets about a tenth of a core next to normal work (0), and all of an idle core."""
MAX_PAUSE_FACTOR = 9
"""The longest pause while requests are answered, in multiples of the time worked: the threads of a process share the
GIL, and a thread of low priority may hold it for long."""
POLL_SECONDS = 0.02
"""How often a pause checks whether requests are still being answered."""

_lock, _foreground_requests = threading.Lock(), 0
_working = threading.local()


@contextmanager
def foreground_request() -> Iterator[None]:
    """Mark a request that a visitor is waiting for, and that takes a moment."""
    global _foreground_requests
    with _lock:
        _foreground_requests += 1
    try:
        yield
    finally:
        with _lock:
            _foreground_requests -= 1


def run_at_low_priority(steps: Iterator[T]) -> Iterator[T]:
    """Yield the same steps, each computed in a separate thread of low CPU priority (on Linux).

    A thread cannot raise its priority again, so threads that answer requests are never used for this.
    """
    end = object()
    with ThreadPoolExecutor(1, "low priority", initializer=_lower_priority) as thread:
        while (step := thread.submit(_work, steps, end).result()) is not end:
            yield step  # pyright: ignore[reportReturnType]


def _work(steps: Iterator[T], end: object) -> T | object:
    _working.since = time.monotonic()
    return next(steps, end)


def pause_for_requests() -> None:
    """Pause while requests are being answered, up to `MAX_PAUSE_FACTOR`; call this every few milliseconds of work."""
    now = time.monotonic()
    end = now + MAX_PAUSE_FACTOR * (now - getattr(_working, "since", now))
    while _foreground_requests and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, POLL_SECONDS))
    _working.since = time.monotonic()


def _lower_priority() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
