"""Read and write a network's kind and a `SirenConvention` as metadata."""

import json
import re
from collections.abc import Mapping
from typing import get_args

from nfn.network import Kind
from nfn.reader import limits
from nfn.reader.class_names import is_class_key
from nfn.reader.errors import NetworkFileError
from nfn.reader.facts import (
    KEY_CHARACTERS,
    Facts,
    first,
    normal,
    normalized,
    numbers,
    parse_number,
    parse_range,
    unreadable,
)
from nfn.siren_convention.convention import (
    FIELDS,
    MOST,
    MOST_PIXELS,
    OMEGA,
    Level,
    SirenConvention,
    levels_of,
)

_OMEGA = ("omega_0", "omega0", "omega", "w0", "w_0", "siren_omega_0")
_FIRST_OMEGA = ("first_omega", "first_omega_0", "omega_first", "w0_initial", "w0_first", "first_w0")
_HIDDEN_OMEGA = ("hidden_omega", "hidden_omega_0", "omega_hidden", "w0_hidden", "hidden_w0")
_RANGE = ("output_range", "pixel_range", "range")
_LOW, _HIGH = ("output_low",), ("output_high",)
_MEAN = ("output_mean", "pixel_mean", "image_mean")
_STD = ("output_std", "pixel_std", "image_std")
_COORDINATES = ("coordinates", "coordinate_order")
_COORDINATE_RANGE = ("coordinate_range", "coords_range", "coord_range")
_CENTRES = ("pixel_centres", "pixel_centers")
_UPWARDS = ("upwards", "y_up")
_SCALES_BIAS = ("omega_scales_bias",)
_OUTPUT = ("output_activation", "final_activation", "last_activation", "out_activation")
_LINEAR = ("outermost_linear", "last_linear", "final_linear")
_ORDERS = {
    **dict.fromkeys(("row_col", "rowcol", "row,col", "y,x", "yx", "ij"), "row_col"),
    **dict.fromkeys(("col_row", "colrow", "col,row", "x,y", "xy"), "col_row"),
}
_OUTPUTS = {
    **dict.fromkeys(("none", "linear", "identity"), "linear"),
    **dict.fromkeys(("sigmoid", "logistic"), "sigmoid"),
    "tanh": "tanh",
    **dict.fromkeys(("sin", "sine", "siren"), "sine"),
}
_BOOLEANS = {**dict.fromkeys(("true", "1", "yes"), True), **dict.fromkeys(("false", "0", "no"), False)}
_TOPICS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    ((*_OMEGA, *_FIRST_OMEGA), ("first_omega",)),
    ((*_OMEGA, *_HIDDEN_OMEGA), ("hidden_omega",)),
    (_SCALES_BIAS, ("omega_scales_bias",)),
    (_COORDINATES, ("coordinates", "upwards")),
    (_UPWARDS, ("upwards",)),
    (_COORDINATE_RANGE, ("start", "end", "pixel_centres")),
    ((*_RANGE, *_LOW, *_MEAN), ("low", "high")),
    ((*_OUTPUT, *_LINEAR), ("output",)),
)
"""Metadata keys, and the parts of a convention that they declare; a coordinate order implies downward rows."""
SIREN_KEYS = tuple({*(name for names, _ in _TOPICS for name in names), *_HIGH, *_STD, *_CENTRES})
"""All normalized metadata keys of a SIREN's convention (`facts.normal`)."""
_ALWAYS_WRITTEN = {"first_omega", "hidden_omega", "output_range", "coordinates"}
"""Files of older versions have these four entries, which declare the whole convention."""
LAYER_ORDER = "layer_order"
"""The weights' names from input to output, as a JSON list: written if names and shapes do not determine it."""


def read_convention(metadata: Mapping[str, str]) -> SirenConvention:
    """The convention in the metadata, with defaults for missing entries.

    Raises:
        NetworkFileError: an entry cannot be parsed, or one of a pair is missing.
    """
    facts = normalized(metadata)
    omega = first(facts, _OMEGA, _parse_omega) or OMEGA
    low, high = _read_levels(facts)
    start, end = first(facts, _COORDINATE_RANGE, _parse_places) or (-1.0, 1.0)
    is_linear = first(facts, _LINEAR, _parse_boolean)
    return SirenConvention(
        first_omega=first(facts, _FIRST_OMEGA, _parse_omega) or omega,
        hidden_omega=first(facts, _HIDDEN_OMEGA, _parse_omega) or omega,
        low=low,
        high=high,
        coordinates=first(facts, _COORDINATES, _parse_coordinates) or "row_col",
        omega_scales_bias=first(facts, _SCALES_BIAS, _parse_boolean) is not False,
        start=start,
        end=end,
        pixel_centres=first(facts, _CENTRES, _parse_pixels),
        upwards=first(facts, _UPWARDS, _parse_boolean) or False,
        output=first(facts, _OUTPUT, _parse_output) or ("sine" if is_linear is False else "linear"),
    )


def undeclared_parts(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The fields of `SirenConvention` that the metadata does not declare."""
    keys = normalized(metadata).keys()
    declared = {part for names, parts in _TOPICS if not keys.isdisjoint(names) for part in parts}
    return () if keys >= _ALWAYS_WRITTEN else tuple(part for part in FIELDS if part not in declared)


def write_convention(metadata: Mapping[str, str], siren: SirenConvention) -> dict[str, str]:
    """The metadata with entries for the convention; entries that contradict it are removed."""
    others = {key: value for key, value in metadata.items() if normal(key) not in SIREN_KEYS}
    return {**(metadata if _agrees(metadata, siren) else others), **_entries(siren)}


def _entries(siren: SirenConvention) -> dict[str, str]:
    """The four entries of all versions; and all others, if these four do not determine the convention."""
    levels = {"output_range": f"[{siren.low!r}, {siren.high!r}]"}
    if isinstance(siren.low, tuple) or isinstance(siren.high, tuple) or siren.low > siren.high:
        levels = {"output_low": _level_text(siren.low), "output_high": _level_text(siren.high)}
    four = {
        "first_omega": repr(float(siren.first_omega)),
        "hidden_omega": repr(float(siren.hidden_omega)),
        "coordinates": siren.coordinates,
        **levels,
    }
    if four.keys() == _ALWAYS_WRITTEN and read_convention(four) == siren:
        return four
    centres = {} if siren.pixel_centres is None else {"pixel_centres": str(siren.pixel_centres)}
    return {
        **four,
        **centres,
        "omega_scales_bias": str(siren.omega_scales_bias),
        "output_activation": siren.output,
        "coordinate_range": f"[{float(siren.start)!r}, {float(siren.end)!r}]",
        "upwards": str(siren.upwards),
    }


def _level_text(level: Level) -> str:
    return str([float(value) for value in level]) if isinstance(level, tuple) else repr(float(level))


def _agrees(metadata: Mapping[str, str], siren: SirenConvention) -> bool:
    try:
        return read_convention(metadata) == siren
    except NetworkFileError:
        return False


def _read_levels(facts: Facts) -> tuple[Level, Level]:
    """The levels of black and white: from a range, from two entries, or from mean and std of pixels in [0, 1]."""
    pair = first(facts, _RANGE, parse_range)
    if pair is not None:
        return pair
    low, high = _read_both(facts, _LOW, _HIGH)
    if low is not None and high is not None:
        return _as_level(low), _as_level(high)
    mean, std = _read_both(facts, _MEAN, _STD)
    if mean is None or std is None:
        return -1.0, 1.0
    return levels_of(mean, std)


def _read_both(facts: Facts, one: tuple[str, ...], other: tuple[str, ...]):
    """Two entries of which both or neither must be present, a number or one per channel each; None if absent."""
    parse = _parse_positive if other is _STD else _parse_level
    pair = first(facts, one, _parse_level), first(facts, other, parse)
    if pair.count(None) == 1:
        raise NetworkFileError(
            f"The metadata has only one of {one[0]!r} and {other[0]!r}; expected both, or neither. Add the other one."
        )
    if pair[0] is None:
        return pair
    channels = max(map(len, pair))
    return tuple(numbers_ if len(numbers_) == channels else numbers_ * channels for numbers_ in pair)


def _as_level(numbers_: tuple[float, ...]) -> Level:
    return numbers_[0] if len(numbers_) == 1 else numbers_


def read_kind(metadata: Mapping[str, str]) -> Kind | None:
    """The `kind` in the metadata if valid, else None; an initialization ("init") is a classifier."""
    named = "classifier" if metadata.get("kind") == "init" else metadata.get("kind")
    return next((kind for kind in get_args(Kind) if named == kind), None)


def read_layer_order(metadata: Mapping[str, str]) -> list[str] | None:
    """The recorded order of the weights, or None; NetworkFileError if it is not a JSON list of names."""
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
    """The metadata without `LAYER_ORDER`, limited in number and length of entries."""
    short = {
        k: v
        for k, v in metadata.items()
        if len(k) <= KEY_CHARACTERS
        and len(v) <= (limits.CLASSES_CHARACTERS if is_class_key(k) else limits.METADATA_CHARACTERS)
    }
    short.pop(LAYER_ORDER, None)
    return dict(list(short.items())[: limits.METADATA_ENTRIES])


def _parse_omega(key: str, text: str) -> float:
    return parse_number(key, text, 0, limits.OMEGA)


def _parse_places(key: str, text: str) -> tuple[float, float]:
    """The first and the last coordinate."""
    values = numbers(text)
    if len(values) != 2 or values[0] == values[1] or max(map(abs, values)) > MOST:
        raise unreadable(key, text, "two different numbers such as [0, 1]")
    return values[0], values[1]


def _parse_level(key: str, text: str) -> tuple[float, ...]:
    """One number, or one for each of three channels."""
    level = tuple(numbers(text))
    if len(level) not in (1, 3) or max(map(abs, level)) > limits.PIXEL:
        raise unreadable(key, text, "a number, or three")
    return level


def _parse_positive(key: str, text: str) -> tuple[float, ...]:
    level = _parse_level(key, text)
    if min(level) < limits.PIXEL_STD:
        raise unreadable(key, text, "a number above 0, or three")
    return level


def _parse_pixels(key: str, text: str) -> int:
    return round(parse_number(key, text, 1, MOST_PIXELS))


def _parse_boolean(key: str, text: str) -> bool:
    value = _BOOLEANS.get(text[:20].strip().lower())
    if value is None:
        raise unreadable(key, text, "True or False")
    return value


def _parse_output(key: str, text: str) -> str:
    """`sigmoid`, `nn.Sigmoid()`, `<class 'torch.nn.modules.activation.Tanh'>`."""
    outputs = {_OUTPUTS[word] for word in re.findall(r"[a-z]+", text[:200].lower()) if word in _OUTPUTS}
    if len(outputs) != 1:
        raise unreadable(key, text, "linear, sigmoid, tanh or sine")
    return outputs.pop()


def _parse_coordinates(key: str, text: str) -> str:
    order = re.match(r"\W*([a-z_]+(?:\W*,\W*[a-z]+)?)", text[:100].lower())
    coordinates = _ORDERS.get(re.sub(r"[^a-z_,]", "", order[1])) if order else None
    if coordinates is None:
        raise unreadable(key, text, "'row_col' or 'col_row'")
    return coordinates
