"""Work that stands aside for others."""

import time
from collections.abc import Iterator

from app.aside import RESTS, answering, aside, rest


def steps() -> Iterator[int]:
    for number in range(3):
        for _ in range(20):
            time.sleep(0.005)
            rest()
        yield number


def seconds() -> float:
    start = time.monotonic()
    assert list(aside(steps())) == [0, 1, 2]
    return time.monotonic() - start


def test_it_rests_while_others_are_answered_and_goes_on_at_once_when_they_are():
    resting = 3 * 0.1 * (1 + RESTS)
    assert seconds() < 0.9 * resting
    with answering():
        assert seconds() > 0.95 * resting
    assert seconds() < 0.9 * resting
