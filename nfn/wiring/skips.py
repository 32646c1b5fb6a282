"""`Skips`: skip connections over the convolutions of a chain, and the names that suggest them."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nfn.wiring.modules import Layer

Place = Literal["before", "after", "instead of"]
"""Where a skip is added, of the last activation of its block."""


@dataclass(frozen=True)
class Skips:
    """The input of each block of `length` convolutions is added to its output: before or after the block's last
    activation, or instead of that.

    Blocks keep the shape of their input, do not overlap, and never contain the first convolution.
    """

    length: Literal[1, 2]
    place: Place

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
_RESIDUAL = re.compile(r"(?<![a-z])(res(?![a-z])|res_?(block|idual|unit|layer|conv)|skip)", re.IGNORECASE)


def named_residual(convolutions: Sequence[Layer]) -> list[bool]:
    """Which convolutions have names like "res1" or "skip"; none if all have."""
    named = [bool(_RESIDUAL.search(layer.path)) for layer in convolutions]
    return [False] * len(named) if all(named) else named


def inside_skips(convolutions: Sequence[Layer]) -> list[bool]:
    """Which convolutions may be inside of skips, by their names: those of `named_residual` and pairs that make a module
    and keep its width, or all if there are none."""
    inside = named_residual(convolutions)
    paths = [tuple(layer.path.split(".")) for layer in convolutions]
    for i in range(1, len(paths) - 1):
        module = _common_start(paths[i], paths[i + 1])
        beside = [path[: len(module)] for path in (paths[i - 1], *paths[i + 2 : i + 3])]
        keeps_width = convolutions[i - 1].shape[0] == convolutions[i + 1].shape[0]
        if module and keeps_width and module not in beside:
            inside[i] = inside[i + 1] = True
    return inside if any(inside) else [True] * len(inside)


def _common_start(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    pairs = zip(one, other, strict=False)
    return tuple(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
