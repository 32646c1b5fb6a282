"""Background work pauses while requests are answered."""

import time
from collections.abc import Iterator

from app.runtime.low_priority import (
    MAX_PAUSE_FACTOR,
    foreground_request,
    pause_for_requests,
    run_at_low_priority,
)


def steps() -> Iterator[int]:
    for number in range(3):
        for _ in range(8):
            time.sleep(0.005)
            pause_for_requests()
        yield number


def seconds() -> float:
    start = time.monotonic()
    assert list(run_at_low_priority(steps())) == [0, 1, 2]
    return time.monotonic() - start


def test_background_work_pauses_only_while_requests_are_answered():
    resting = 3 * 8 * 0.005 * (1 + MAX_PAUSE_FACTOR)
    assert seconds() < 0.9 * resting
    with foreground_request():
        assert seconds() > 0.95 * resting
    assert seconds() < 0.9 * resting
