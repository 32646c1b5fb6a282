"""How a file says which kind of network it holds, and how a SIREN's numbers become a picture."""

import json
import re
from collections.abc import Mapping
from typing import get_args

from nfn.network import Kind, SirenConvention
from nfn.reader import limits
from nfn.reader.errors import NetworkFileError
from nfn.reader.facts import KEY_CHARACTERS, first, normal, normalized, parse_number, parse_range, unreadable

_OMEGA = ("omega_0", "omega0", "omega", "w0", "w_0", "siren_omega_0")
_FIRST_OMEGA = ("first_omega", "first_omega_0", "omega_first", "w0_initial", "w0_first", "first_w0")
_HIDDEN_OMEGA = ("hidden_omega", "hidden_omega_0", "omega_hidden", "w0_hidden", "hidden_w0")
_RANGE = ("output_range", "pixel_range", "range")
_COORDINATES = ("coordinates", "coordinate_order")
_ORDERS = {
    **dict.fromkeys(("row_col", "rowcol", "row,col", "y,x", "yx", "ij"), "row_col"),
    **dict.fromkeys(("col_row", "colrow", "col,row", "x,y", "xy"), "col_row"),
}
SIREN_KEYS = (*_OMEGA, *_FIRST_OMEGA, *_HIDDEN_OMEGA, *_RANGE, *_COORDINATES)
"""What a file may call the parts of a convention, in one spelling (`facts.normal`)."""
LAYER_ORDER = "layer_order"
"""The weights' names from input to output, as a JSON list: written where names and shapes do not tell it."""


def read_convention(metadata: Mapping[str, str]) -> SirenConvention:
    """The convention that the metadata tells, with our defaults where it is silent.

    Raises:
        NetworkFileError: an entry is there but not readable.
    """
    facts = normalized(metadata)
    omega = first(facts, _OMEGA, _parse_omega) or 30.0
    low, high = first(facts, _RANGE, parse_range) or (-1.0, 1.0)
    return SirenConvention(
        first_omega=first(facts, _FIRST_OMEGA, _parse_omega) or omega,
        hidden_omega=first(facts, _HIDDEN_OMEGA, _parse_omega) or omega,
        low=low,
        high=high,
        coordinates=first(facts, _COORDINATES, _parse_coordinates) or "row_col",
    )


def write_convention(metadata: Mapping[str, str], siren: SirenConvention) -> dict[str, str]:
    """The metadata with the convention spelled out; entries that say something else are replaced."""
    ours = {
        "first_omega": repr(float(siren.first_omega)),
        "hidden_omega": repr(float(siren.hidden_omega)),
        "output_range": f"[{float(siren.low)!r}, {float(siren.high)!r}]",
        "coordinates": siren.coordinates,
    }
    plain = {key: value for key, value in metadata.items() if normal(key) not in SIREN_KEYS}
    return {**(metadata if _says(metadata, siren) else plain), **ours}


def _says(metadata: Mapping[str, str], siren: SirenConvention) -> bool:
    try:
        return read_convention(metadata) == siren
    except NetworkFileError:
        return False


def check_convention(siren: SirenConvention) -> None:
    """Raise ValueError unless the numbers of a convention are finite and sensible."""
    for omega in (siren.first_omega, siren.hidden_omega):
        if not 0 < omega <= limits.OMEGA:
            raise ValueError(f"Got omega {omega}; wanted a number above 0, at most {limits.OMEGA:,.0f}.")
    if not -limits.PIXEL <= siren.low < siren.high <= limits.PIXEL:
        raise ValueError(f"Got the pixel range [{siren.low}, {siren.high}]; wanted low < high.")
    if siren.coordinates not in ("row_col", "col_row"):
        raise ValueError(f"Got the coordinates {siren.coordinates!r}; wanted 'row_col' or 'col_row'.")


def read_kind(metadata: Mapping[str, str]) -> Kind | None:
    """The kind that the metadata names, if it is one of ours."""
    return next((kind for kind in get_args(Kind) if metadata.get("kind") == kind), None)


def read_layer_order(metadata: Mapping[str, str]) -> list[str] | None:
    """The recorded order of the weights, or None."""
    if LAYER_ORDER not in metadata:
        return None
    try:
        order = json.loads(metadata[LAYER_ORDER])
    except (ValueError, RecursionError) as error:
        raise unreadable(LAYER_ORDER, metadata[LAYER_ORDER], "a JSON list of tensor names") from error
    if not isinstance(order, list) or not all(isinstance(name, str) for name in order):
        raise unreadable(LAYER_ORDER, metadata[LAYER_ORDER], "a JSON list of tensor names")
    return order


def cap_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """The entries worth carrying along: not too many, none too long."""
    short = {
        k: v for k, v in metadata.items() if len(k) <= KEY_CHARACTERS and len(v) <= limits.METADATA_CHARACTERS
    }
    short.pop(LAYER_ORDER, None)
    return dict(list(short.items())[: limits.METADATA_ENTRIES])


def _parse_omega(key: str, text: str) -> float:
    return parse_number(key, text, 0, limits.OMEGA)


def _parse_coordinates(key: str, text: str) -> str:
    order = re.match(r"\W*([a-z_]+(?:\W*,\W*[a-z]+)?)", text[:100].lower())
    found = _ORDERS.get(re.sub(r"[^a-z_,]", "", order[1])) if order else None
    if found is None:
        raise unreadable(key, text, "'row_col' or 'col_row'")
    return found
