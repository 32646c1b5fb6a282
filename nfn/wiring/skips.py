"""`Skips`: skip connections over the convolutions of a chain, and the names that suggest them."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nfn.wiring.modules import Layer


@dataclass(frozen=True)
class Skips:
    """The input of every block of `length` convolutions that keep its shape is added to its output: before or after the
    block's last activation, or instead of that."""

    length: Literal[1, 2]
    place: Literal["before", "after", "instead of"]

    @property
    def words(self) -> str:
        """The skips in words."""
        plural = "s" if self.length > 1 else ""
        return f"skips over {self.length} convolution{plural}, added {self.place} the last activation"


SKIPS = (
    Skips(2, "before"),
    Skips(2, "after"),
    Skips(1, "after"),
    Skips(1, "before"),
    Skips(2, "instead of"),
)
"""The kinds of skips that are tried, the most common first."""
_RESIDUAL = re.compile(r"(?<![A-Za-z])(res|skip)", re.IGNORECASE)


def named_residual(convolutions: Sequence[Layer]) -> list[bool]:
    """Which convolutions the names suggest to be inside of skips: "res..." or "skip...", or two that make a module and
    keep its width. If there are any, the others are inside of none."""
    named = [bool(_RESIDUAL.search(layer.path)) for layer in convolutions]
    paths = [tuple(layer.path.split(".")) for layer in convolutions]
    for i in range(1, len(convolutions) - 1):
        module = _common_start(paths[i], paths[i + 1])
        keeps_width = convolutions[i - 1].shape[0] == convolutions[i + 1].shape[0]
        if module and keeps_width and sum(path[: len(module)] == module for path in paths) == 2:
            named[i] = named[i + 1] = True
    return named


def _common_start(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    pairs = zip(one, other, strict=False)
    return tuple(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
