"""Parse a SIREN's convention from text arguments, for the API, MCP and the command line."""

import math
from dataclasses import replace
from typing import Any

from nfn.network import Network
from nfn.siren_convention.convention import Output, SirenConvention, levels_of
from zoo.errors import shorten
from zoo.small_cnns import PIXELS

AUTO = "auto"
ORDERS = {"row,col": "row_col", "row_col": "row_col", "y,x": "row_col", "x,y": "col_row", "col,row": "col_row",
          "col_row": "col_row"}  # fmt: skip
OUTPUTS: tuple[Output, ...] = ("linear", "sigmoid", "tanh", "sine")
CONSTANTS = {"pi": math.pi, "-pi": -math.pi}


def override_convention(
    network: Network,
    omega: str = AUTO,
    coordinates: str = AUTO,
    coordinate_range: str = AUTO,
    pixels: str = AUTO,
    output: str = AUTO,
) -> Network:
    """Override parts of a SIREN's convention; what is `auto` stays as declared or found.

    `omega` is one number, or that of the first and of the other hidden layers, applied to weights and biases unless the
    file says otherwise; `coordinates` is their order; `pixels` are the outputs for black and white, or the name of a
    mean and deviation in `PIXELS`.

    Raises:
        ValueError: a part is invalid; the text says what was given and what was expected.

    Example: `override_convention(network, omega="30,1", pixels="0,1")`.
    """
    overrides: dict[str, Any] = {}
    if omega != AUTO:
        first, *hidden = _numbers("omega", omega, (1, 2), "30, or 30,1 for the first and the other layers")
        overrides |= {"first_omega": first, "hidden_omega": hidden[0] if hidden else first,
                 "omega_scales_bias": network.siren.omega_scales_bias}  # fmt: skip
    if coordinates != AUTO:
        overrides |= {"coordinates": _choice("coordinates", coordinates, ORDERS), "upwards": False}
    if coordinate_range != AUTO:
        start, end = _numbers("coordinate_range", coordinate_range, (2,), "-1,1 or -0.5,0.5 or 0,1 or -pi,pi")
        overrides |= {"start": start, "end": end, "pixel_centres": network.siren.pixel_centres}
    if pixels != AUTO:
        low, high = _levels(pixels, network.outputs or 1)
        overrides |= {"low": low, "high": high}
    if output != AUTO:
        overrides["output"] = _choice("output", output, {name: name for name in OUTPUTS})
    convention = replace(network.siren, **overrides)
    convention.check(network.outputs or 1)
    return replace(
        network, convention=convention, undeclared=tuple(p for p in network.undeclared if p not in overrides)
    )


def _levels(pixels: str, outputs: int) -> tuple[Any, Any]:
    if pixels not in PIXELS:
        low, high = _numbers("pixels", pixels, (2,), f"0,1 or -1,1 or one of {', '.join(PIXELS)}")
        return low, high
    mean, std = PIXELS[pixels]
    if len(mean) not in (1, outputs):
        raise ValueError(
            f"The pixels {pixels!r} have {len(mean)} channels, but this network has {outputs} output."
        )
    return levels_of(mean, std)


def _numbers(what: str, text: str, counts: tuple[int, ...], expected: str) -> list[float]:
    parts = [part.strip().lower() for part in text.strip(" []()").split(",")]
    try:
        numbers = [CONSTANTS[part] if part in CONSTANTS else float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in counts or not all(map(math.isfinite, numbers)):
        raise ValueError(f"Got the {what} {shorten(text)}; expected {expected}, or auto.")
    return numbers


def _choice(what: str, text: str, choices: dict[str, str]) -> str:
    choice = choices.get(text.replace(" ", "").strip("()").lower())
    if choice is None:
        raise ValueError(f"Got the {what} {shorten(text)}; expected auto or one of {', '.join(choices)}.")
    return choice


def as_text(convention: SirenConvention) -> dict[str, str]:
    """A convention as the arguments of `override_convention`, as far as these can express it."""
    low, high = convention.low, convention.high
    return {
        "omega": f"{convention.first_omega:g},{convention.hidden_omega:g}",
        "coordinates": "row,col" if convention.coordinates == "row_col" else "x,y",
        "coordinate_range": f"{convention.start:.6g},{convention.end:.6g}",
        "pixels": "per channel" if isinstance(low, tuple) or isinstance(high, tuple) else f"{low:g},{high:g}",
        "output": convention.output,
    }
