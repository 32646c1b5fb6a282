"""The layout of a network's boxes: one column, cut where only one value is live, repeated parts drawn once."""

from collections.abc import Sequence
from dataclasses import dataclass

FEW = 14
"""Networks with up to this many boxes are drawn without folding repeats."""
LONGEST_PERIOD = 6


@dataclass(frozen=True)
class Step:
    """A box in the column: the steps whose results it takes, -1 for the network's input; `look` is its content."""

    inputs: tuple[int, ...]
    look: tuple


@dataclass(frozen=True)
class Part:
    """Consecutive steps: those of the first repetition, and of each equal repetition."""

    repetitions: tuple[tuple[int, ...], ...]

    @property
    def steps(self) -> tuple[int, ...]:
        """The drawn steps."""
        return self.repetitions[0]


@dataclass(frozen=True)
class Lane:
    """A result that is used further down: from its step (-1: the part's input) to the steps `to`.

    Steps are counted from the part's first; lane 0 is next to the boxes.
    """

    source: int
    to: tuple[int, ...]
    lane: int


def parts_of(steps: Sequence[Step]) -> list[Part]:
    """Split the steps into parts, each of which takes only the previous part's result; fold equal parts."""
    segments = _segments(steps)
    if len(steps) <= FEW:
        return [Part((segment,)) for segment in segments]
    looks = [_look(steps, segment) for segment in segments]
    parts, at = [], 0
    while at < len(segments):
        period, count = _repeats(looks, segments, at)
        runs = [segments[at + i * period : at + (i + 1) * period] for i in range(count)]
        parts.append(Part(tuple(tuple(step for segment in run for step in segment) for run in runs)))
        at += period * count
    return parts


def _segments(steps: Sequence[Step]) -> list[tuple[int, ...]]:
    """Cut after each step whose result is the only live value."""
    last = {source: number for number, step in enumerate(steps) for source in step.inputs}
    segments, start, needed_until = [], 0, -1
    for number in range(len(steps)):
        needed_until = max(needed_until, last.get(number - 1, -1))
        if needed_until <= number:
            segments.append(tuple(range(start, number + 1)))
            start = number + 1
    return segments


def _look(steps: Sequence[Step], segment: tuple[int, ...]) -> tuple:
    """The content of a segment, independent of its position."""
    return tuple((steps[i].look, tuple(j - segment[0] for j in steps[i].inputs)) for i in segment)


def _repeats(looks: Sequence[tuple], segments: Sequence[tuple[int, ...]], at: int) -> tuple[int, int]:
    """The period and the number of repetitions, starting at this segment, that fold the most boxes."""
    best, saved = (1, 1), 0
    for period in range(1, LONGEST_PERIOD + 1):
        count = 1
        while looks[at : at + period] == looks[at + count * period : at + (count + 1) * period]:
            count += 1
        boxes = sum(map(len, segments[at : at + period]))
        if count > 1 and (count > 2 or boxes > 1) and (count - 1) * boxes > saved:
            best, saved = (period, count), (count - 1) * boxes
    return best


def lanes_of(steps: Sequence[Step], part: Part) -> list[Lane]:
    """The results that skip steps of a part, the shortest next to the boxes."""
    first = part.steps[0]
    to: dict[int, list[int]] = {}
    for number in part.steps:
        for source in dict.fromkeys(steps[number].inputs):
            if source != number - 1:
                to.setdefault(max(source, first - 1) - first, []).append(number - first)
    spans = sorted(to, key=lambda source: (to[source][-1] - source, source))
    taken: list[list[tuple[int, int]]] = []
    lanes = []
    for source in spans:
        lane = _free(taken, (source, to[source][-1]))
        lanes.append(Lane(source, tuple(to[source]), lane))
    return lanes


def _free(taken: list[list[tuple[int, int]]], span: tuple[int, int]) -> int:
    """The first lane that is free along the span."""
    for lane, spans in enumerate(taken):
        if all(span[1] <= start or end <= span[0] for start, end in spans):
            spans.append(span)
            return lane
    taken.append([span])
    return len(taken) - 1
