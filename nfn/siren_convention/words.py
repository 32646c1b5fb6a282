"""Describe a convention in words."""

import math
from collections.abc import Sequence

from nfn.siren_convention.convention import Level, SirenConvention

_ENDS = {"linear": "", "sigmoid": ", behind a sigmoid", "tanh": ", behind a tanh", "sine": ", behind a sine"}


def describe(convention: SirenConvention, parts: Sequence[str], probability: float) -> str:
    """A sentence on the found (not declared) parts of a convention, and their probability."""
    phrases = [text for names, text in _phrases(convention) if not set(names).isdisjoint(parts)]
    text = "; ".join(phrases)
    return (
        f"{text[:1].upper()}{text[1:]}: found by trying the usual conventions, {_percent(probability)} sure."
    )


def describe_all(convention: SirenConvention) -> str:
    """A phrase that describes the whole convention."""
    return "; ".join(text for _, text in _phrases(convention))


def _phrases(convention: SirenConvention) -> list[tuple[tuple[str, ...], str]]:
    """Phrases, each with the parameters that it describes."""
    return [
        (("first_omega", "hidden_omega", "omega_scales_bias"), _omegas(convention)),
        (("coordinates", "upwards", "start", "end", "pixel_centres"), _coordinates(convention)),
        (("low", "high", "output"), f"black at {_level(convention.low)} and white at {_level(convention.high)}"
                                    f"{_ENDS[convention.output]}"),
    ]  # fmt: skip


def _omegas(convention: SirenConvention) -> str:
    first, hidden = convention.first_omega, convention.hidden_omega
    text = (
        f"omega {first:g}"
        if first == hidden
        else f"omega {first:g} in the first layer and {hidden:g} in the others"
    )
    return text if convention.omega_scales_bias else f"{text}, on the weights but not the biases"


def _coordinates(convention: SirenConvention) -> str:
    order = "(row, column)" if convention.coordinates == "row_col" else "(x, y)"
    up = ", rows from the bottom up" if convention.upwards else ""
    return f"coordinates {order} from {_place(convention.start)} to {_place(convention.end)}{up}"


def _place(value: float) -> str:
    return {math.pi: "pi", -math.pi: "-pi"}.get(value, f"{value:g}")


def _level(level: Level) -> str:
    return " / ".join(f"{value:.3g}" for value in (level if isinstance(level, tuple) else (level,)))


def _percent(probability: float) -> str:
    return "more than 99%" if probability > 0.99 else f"{100 * probability:.0f}%"


_FIELDS = {
    (1, 1): "a sound: 1 input (time) and 1 output",
    (1, 2): "a stereo sound: 1 input (time) and 2 outputs",
    (2, 2): "a field of arrows or complex numbers on the plane: 2 inputs and 2 outputs",
    (2, 4): "a picture with transparency (RGBA): 2 inputs (a pixel's coordinates) and 4 outputs",
    (3, 1): "a distance field or a volume: 3 inputs (x, y, z) and 1 output",
    (3, 3): "a video: 3 inputs (x, y and time) and 3 outputs",
    (3, 4): "a coloured volume: 3 inputs (x, y, z) and 4 outputs",
    (5, 4): "a radiance field: 5 inputs (place and direction) and 4 outputs",
    (6, 4): "a radiance field: 6 inputs (place and direction) and 4 outputs",
}


def name_field(inputs: int, outputs: int) -> str | None:
    """The kind of function for these numbers of inputs and outputs, such as a sound; None if unknown or a picture."""
    return _FIELDS.get((inputs, outputs))
