"""How a visitor says in words how a SIREN is written down, for the API, MCP and the command line."""

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


def tell(
    network: Network,
    omega: str = AUTO,
    coordinates: str = AUTO,
    coordinate_range: str = AUTO,
    pixels: str = AUTO,
    output: str = AUTO,
) -> Network:
    """The SIREN with the parts of its convention that are told; what is `auto` stays declared, or open, as it was.

    `omega` is one number, or that of the first and that of the other hidden layers, on weights and biases unless the
    file says otherwise; `coordinates` is the order;
    `pixels` are the outputs of black and white, or a usual mean and deviation by name (`PIXELS`).

    Raises:
        ValueError: a part makes no sense; the text says what came and what was wanted.

    Example: `tell(network, omega="30,1", pixels="0,1")`.
    """
    told: dict[str, Any] = {}
    if omega != AUTO:
        first, *hidden = _numbers("omega", omega, (1, 2), "30, or 30,1 for the first and the other layers")
        told |= {"first_omega": first, "hidden_omega": hidden[0] if hidden else first,
                 "omega_scales_bias": network.siren.omega_scales_bias}  # fmt: skip
    if coordinates != AUTO:
        told |= {"coordinates": _choice("coordinates", coordinates, ORDERS), "upwards": False}
    if coordinate_range != AUTO:
        start, end = _numbers("coordinate_range", coordinate_range, (2,), "-1,1 or -0.5,0.5 or 0,1 or -pi,pi")
        told |= {"start": start, "end": end, "pixel_centres": network.siren.pixel_centres}
    if pixels != AUTO:
        low, high = _levels(pixels, network.outputs or 1)
        told |= {"low": low, "high": high}
    if output != AUTO:
        told["output"] = _choice("output", output, {name: name for name in OUTPUTS})
    convention = replace(network.siren, **told)
    convention.check(network.outputs or 1)
    return replace(
        network, convention=convention, undeclared=tuple(p for p in network.undeclared if p not in told)
    )


def _levels(pixels: str, outputs: int) -> tuple[Any, Any]:
    if pixels not in PIXELS:
        low, high = _numbers("pixels", pixels, (2,), f"0,1 or -1,1 or one of {', '.join(PIXELS)}")
        return low, high
    mean, std = PIXELS[pixels]
    if len(mean) not in (1, outputs):
        raise ValueError(
            f"The pixels {pixels!r} are of {len(mean)} channels, and this network has {outputs} output."
        )
    return levels_of(mean, std)


def _numbers(what: str, text: str, counts: tuple[int, ...], wanted: str) -> list[float]:
    parts = [part.strip().lower() for part in text.strip(" []()").split(",")]
    try:
        found = [CONSTANTS[part] if part in CONSTANTS else float(part) for part in parts]
    except ValueError:
        found = []
    if len(found) not in counts or not all(map(math.isfinite, found)):
        raise ValueError(f"Got the {what} {shorten(text)}; wanted {wanted}, or auto.")
    return found


def _choice(what: str, text: str, choices: dict[str, str]) -> str:
    found = choices.get(text.replace(" ", "").strip("()").lower())
    if found is None:
        raise ValueError(f"Got the {what} {shorten(text)}; wanted auto or one of {', '.join(choices)}.")
    return found


def as_text(convention: SirenConvention) -> dict[str, str]:
    """A convention as the arguments of `tell`, as far as those go."""
    low, high = convention.low, convention.high
    return {
        "omega": f"{convention.first_omega:g},{convention.hidden_omega:g}",
        "coordinates": "row,col" if convention.coordinates == "row_col" else "x,y",
        "coordinate_range": f"{convention.start:.6g},{convention.end:.6g}",
        "pixels": "per channel" if isinstance(low, tuple) or isinstance(high, tuple) else f"{low:g},{high:g}",
        "output": convention.output,
    }
