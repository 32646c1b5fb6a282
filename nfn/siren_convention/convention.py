"""`SirenConvention`: the parameters of a SIREN that its weights do not determine, and conversion to the defaults."""

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import torch

from nfn.features import WeightSpaceFeatures

Coordinates = Literal["row_col", "col_row"]
Output = Literal["linear", "sigmoid", "tanh", "sine"]
Level = float | tuple[float, ...]
Layer = tuple[torch.Tensor, torch.Tensor]
"""Weight `(B, 1, out, in)` and bias `(B, 1, out)`."""

OMEGA = 30.0
"""The default omega."""
MOST = 10_000.0
"""The largest absolute omega, coordinate or pixel value."""
MOST_PIXELS = 16_384


@dataclass(frozen=True)
class SirenConvention:
    """The parameters of a SIREN: `sin(omega * (W x + b))` per hidden layer, then a linear layer and `output`.

    The defaults (arXiv:2006.09661): omega 30, inputs (row, column) from -1 to 1, a linear output.

    - If `omega_scales_bias` is False the hidden layers are `sin(omega * W x + b)`. A sine output has the hidden omega.
    - `coordinates` says whether the first input is the row (`"row_col"`) or the column. Both range from `start` to
      `end`, at the centres of the first and last pixel or, if the picture has `pixel_centres` pixels a side, at its
      edges. `upwards`: the row coordinate grows towards the top.
    - A pixel is black where the output is `low` and white where it is `high`, in all channels or one number each; an
      inverted picture has `low > high`.
    """

    first_omega: float = OMEGA
    hidden_omega: float = OMEGA
    low: Level = -1.0
    high: Level = 1.0
    coordinates: Coordinates = "row_col"
    omega_scales_bias: bool = True
    start: float = -1.0
    end: float = 1.0
    pixel_centres: int | None = None
    upwards: bool = False
    output: Output = "linear"

    def __post_init__(self):
        for name in ("low", "high"):  # JSON gives lists
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))

    def normalize(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Convert a network to the default convention; a non-linear output is not included (see `pixels`)."""
        return self._rescale(features, inverse=False)

    def denormalize(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """The inverse of `normalize`: from the default convention to this one."""
        return self._rescale(features, inverse=True)

    def inputs(self, points: torch.Tensor) -> torch.Tensor:
        """The network's own coordinates of `points` `(P, 2)`, which are (row, col) on [-1, 1]."""
        half, middle = self._grid()
        inputs = points * self._signs(points) * half + middle
        return inputs.flip(1) if self.coordinates == "col_row" else inputs

    def pixels(self, outputs: torch.Tensor) -> torch.Tensor:
        """Pixels (-1 black, 1 white) from the outputs `(B, c, ...)` of a normalized network."""
        return outputs if self.output == "linear" else self.finished(outputs)

    def finished(self, values: torch.Tensor) -> torch.Tensor:
        """Pixels (-1 black, 1 white) from the outputs `(B, c, ...)` of the last layer: applies `output` and levels."""
        squashed = values if self.output == "linear" else _SQUASH[self.output](values)
        scale, shift = (x.view(-1, *[1] * (values.ndim - 2)) for x in self._levels(values))
        return squashed * scale + shift

    def unfinished(self, pixels: torch.Tensor) -> torch.Tensor:
        """The network outputs, after `output`, for pixels `(B, c, ...)` from -1 to 1."""
        scale, shift = (x.view(-1, *[1] * (pixels.ndim - 2)) for x in self._levels(pixels))
        return (pixels - shift) / scale

    def pixel_slope(self, outputs: torch.Tensor) -> torch.Tensor:
        """The derivative of `pixels` with respect to the outputs `(B, c, ...)`."""
        if self.output == "linear":
            return torch.ones_like(outputs)
        scale, _ = self._levels(outputs)
        return _SLOPE[self.output](outputs) * scale.view(-1, *[1] * (outputs.ndim - 2))

    def check(self, outputs: int | None = None) -> None:
        """Raise ValueError unless every parameter is valid, for a network with `outputs` outputs."""
        for omega in (self.first_omega, self.hidden_omega):
            _check_number("omega", omega, 0, MOST, f"a number above 0, at most {MOST:,.0f}")
        for place in (self.start, self.end):
            _check_number("coordinate", place, -MOST - 1, MOST, f"a number from {-MOST:,.0f} to {MOST:,.0f}")
        if self.start == self.end:
            raise ValueError(
                f"Got coordinates from {self.start} to {self.end}; expected two different numbers."
            )
        self._check_choices()
        self._check_levels(outputs)

    def _check_choices(self) -> None:
        if self.coordinates not in get_args(Coordinates):
            raise ValueError(f"Got the coordinates {self.coordinates!r}; expected 'row_col' or 'col_row'.")
        if self.output not in get_args(Output):
            raise ValueError(
                f"Got the output {self.output!r}; expected one of {', '.join(get_args(Output))}."
            )
        for name in ("omega_scales_bias", "upwards"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"Got {getattr(self, name)!r} for {name}; expected True or False.")
        centres = self.pixel_centres
        if centres is not None and not (type(centres) is int and 1 < centres <= MOST_PIXELS):
            raise ValueError(f"Got {centres!r} pixels a side; expected 2 to {MOST_PIXELS:,}, or None.")

    def _check_levels(self, outputs: int | None) -> None:
        lows, highs = _as_tuple(self.low), _as_tuple(self.high)
        for level in (*lows, *highs):
            _check_number("pixel", level, -MOST - 1, MOST, f"a number from {-MOST:,.0f} to {MOST:,.0f}")
        if not {len(lows), len(highs)} <= {1, outputs or 3}:
            raise ValueError(
                f"Got {len(lows)} lowest and {len(highs)} highest pixels; expected one of each, or one for each of "
                f"{outputs or 3} outputs."
            )
        pairs = zip(lows * len(highs), highs * len(lows), strict=True)
        if any(low == high for low, high in pairs):
            raise ValueError(
                f"Got the pixel range [{self.low}, {self.high}]; expected low and high to differ."
            )

    def _levels(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`scale` and `shift` `(c,)` or `(1,)` that map outputs to pixels in [-1, 1]."""
        low, high = (torch.as_tensor(_as_tuple(x), dtype=torch.float64) for x in (self.low, self.high))
        return (2 / (high - low)).to(like), (-(high + low) / (high - low)).to(like)

    def _rescale(self, features: WeightSpaceFeatures, inverse: bool) -> WeightSpaceFeatures:
        layers, last = list(features), len(features) - 1
        bias_units = self._bias_units(last == 0)
        if not inverse:
            layers[0] = self._to_our_grid(layers[0], bias_units)
        for i, (weight, bias) in enumerate(layers):
            weights_by, biases_by = self._factors(i, last)
            if inverse:
                weights_by, biases_by = 1 / weights_by, 1 / biases_by
            layers[i] = weight * weights_by, bias * biases_by
        if self.output == "linear":
            layers[last] = self._to_our_pixels(layers[last], inverse)
        if inverse:
            layers[0] = self._from_our_grid(layers[0], bias_units)
        return WeightSpaceFeatures.from_zipped(layers)

    def _factors(self, layer: int, last: int) -> tuple[float, float]:
        """Factors of a layer's weights and biases to the default convention: omega 30 in hidden layers, then 1."""
        if layer == last and self.output != "sine":
            return 1.0, 1.0
        omega = self.first_omega if layer == 0 != last else self.hidden_omega
        ours = 1.0 if layer == last else OMEGA
        return omega / ours, (omega if self.omega_scales_bias else 1.0) / ours

    def _bias_units(self, is_last: bool) -> float:
        """The first layer's ratio of weight scale to bias scale: omega if it multiplies weights only."""
        weights_by, biases_by = self._factors(0, 0 if is_last else 1)
        return weights_by / biases_by

    def _to_our_grid(self, layer: Layer, bias_units: float) -> Layer:
        """Convert the first layer to inputs (row, col) on [-1, 1]."""
        weight, bias = layer
        scale, middle = self._grid()
        moved = bias + weight.sum(3) * (middle * bias_units)
        weight = weight.flip(3) if self.coordinates == "col_row" else weight
        return weight * scale * self._signs(weight), moved

    def _from_our_grid(self, layer: Layer, bias_units: float) -> Layer:
        weight, bias = layer
        scale, middle = self._grid()
        weight = weight * self._signs(weight) / scale
        weight = weight.flip(3) if self.coordinates == "col_row" else weight
        return weight, bias - weight.sum(3) * (middle * bias_units)

    def _grid(self) -> tuple[float, float]:
        """Half the distance between the centres of the first and last pixel, and the midpoint."""
        half = (self.end - self.start) / 2
        if self.pixel_centres is not None:
            half *= (self.pixel_centres - 1) / self.pixel_centres
        return half, (self.start + self.end) / 2

    def _signs(self, like: torch.Tensor) -> torch.Tensor:
        return like.new_tensor([-1.0 if self.upwards else 1.0, 1.0])

    def _to_our_pixels(self, layer: Layer, inverse: bool) -> Layer:
        weight, bias = layer
        scale, shift = self._levels(weight)
        if inverse:
            return weight / scale[:, None], (bias - shift) / scale
        return weight * scale[:, None], bias * scale + shift


_SQUASH = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "sine": torch.sin}
_SLOPE = {
    "sigmoid": lambda x: torch.sigmoid(x) * torch.sigmoid(-x),
    "tanh": lambda x: 1 - torch.tanh(x).square(),
    "sine": torch.cos,
}

FIELDS = tuple(field.name for field in fields(SirenConvention))
"""The names of all parameters of a convention."""


def convention_from_json(content: dict[str, Any]) -> SirenConvention:
    """A convention as `dataclasses.asdict` wrote it, perhaps by someone else's hand; parts may be missing.

    Raises:
        ValueError: a part is unknown or impossible.
    """
    if not isinstance(content, dict) or not content.keys() <= set(FIELDS):
        raise ValueError(f"A convention of a SIREN has the parts {', '.join(FIELDS)}, and no others.")
    convention = SirenConvention(**content)
    convention.check()
    return convention


def levels_of(mean: Level, std: Level) -> tuple[Level, Level]:
    """`low` and `high` of networks fitted to `(pixel - mean) / std` with pixels in [0, 1], per channel."""
    pairs = list(zip(_as_tuple(mean), _as_tuple(std), strict=True))
    low, high = tuple(-m / s for m, s in pairs), tuple((1 - m) / s for m, s in pairs)
    return (low, high) if len(pairs) > 1 else (low[0], high[0])


def _as_tuple(level: Level) -> tuple[float, ...]:
    return level if isinstance(level, tuple) else (level,)


def _check_number(what: str, value: Any, above: float, most: float, expected: str) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and above < value <= most):
        raise ValueError(f"Got {what} {value!r}; expected {expected}.")
