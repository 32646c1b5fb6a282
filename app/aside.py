"""Work that stands aside: seconds of computing that must not keep other visitors waiting. No gradio."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
NICE = 10
"""Beside work of the usual claim (0), such a thread gets about a tenth of a core, and all of one that is free."""
RESTS = 9
"""How many times as long as it worked it rests at most, while others are being answered: all threads of a process
share Python's lock, and one of a lesser claim may keep it for long."""
LOOK_SECONDS = 0.02
"""How often it looks whether they still are."""

_lock, _answering = threading.Lock(), 0
_working = threading.local()


@contextmanager
def answering() -> Iterator[None]:
    """Within, a visitor waits for an answer that takes a moment."""
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def _count(change: int) -> None:
    global _answering
    with _lock:
        _answering += change


def aside(steps: Iterator[T]) -> Iterator[T]:
    """The same steps, each computed in a thread of their own that has the lesser claim to the CPU, on Linux.

    A thread cannot take its claim back, so it must be none of those that answer requests.
    """
    end = object()
    with ThreadPoolExecutor(1, "aside", initializer=_stand_aside) as thread:
        while (step := thread.submit(_work, steps, end).result()) is not end:
            yield step  # pyright: ignore[reportReturnType]


def _work(steps: Iterator[T], end: object) -> T | object:
    _working.since = time.monotonic()
    return next(steps, end)


def rest() -> None:
    """Such work calls this every few milliseconds: it rests as long as it should, if others are being answered."""
    now = time.monotonic()
    end = now + RESTS * (now - getattr(_working, "since", now))
    while _answering and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, LOOK_SECONDS))
    _working.since = time.monotonic()


def _stand_aside() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICE)
