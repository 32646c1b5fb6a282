"""Whether a weight still has the distribution that a usual initialization drew it from.

A Kolmogorov-Smirnov test of a sample against each scheme with its parameters known (none is fitted), so that the values
of trained weights, which are spread otherwise, are told from it: of tensors that are at their initialization one in a
thousand is missed. Schemes: torch.nn.init; Glorot & Bengio 2010; He et al. arXiv:1502.01852; SIREN, arXiv:2006.09661.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from nfn.health.measure import Measured

CRITICAL = 1.95
"""The 99.9th percentile of the Kolmogorov distribution."""
LEAST_UNIFORM, LEAST_NORMAL = 256, 4_096
"""Values that a test needs to tell trained weights apart; uniform ones have bounds that training leaves at once."""
LEAST_BIAS = 8


@dataclass(frozen=True)
class Scheme:
    """A distribution with mean 0: uniform in [-`scale`, `scale`], or normal with the deviation `scale`."""

    name: str
    form: str
    scale: float


def schemes(shape: tuple[int, ...]) -> Iterator[Scheme]:
    """Common initializations of a weight `(out, in, ...)`."""
    into = math.prod(shape[1:])
    out = shape[0] * math.prod(shape[2:])
    yield Scheme("torch's default (uniform, 1/√fan_in)", "uniform", 1 / math.sqrt(into))
    yield Scheme("Kaiming uniform", "uniform", math.sqrt(6 / into))
    yield Scheme("Kaiming uniform (fan_out)", "uniform", math.sqrt(6 / out))
    yield Scheme("Xavier uniform", "uniform", math.sqrt(6 / (into + out)))
    yield Scheme("a SIREN's first layer", "uniform", 1 / into)
    yield Scheme("a SIREN's hidden layers (ω = 30)", "uniform", math.sqrt(6 / into) / 30)
    yield Scheme("Kaiming normal", "normal", math.sqrt(2 / into))
    yield Scheme("Kaiming normal (fan_out)", "normal", math.sqrt(2 / out))
    yield Scheme("Xavier normal", "normal", math.sqrt(2 / (into + out)))
    yield Scheme("LeCun normal", "normal", math.sqrt(1 / into))
    yield Scheme("normal with deviation 0.02", "normal", 0.02)
    yield Scheme("standard normal", "normal", 1.0)


def initial_scheme(weight: Measured) -> str:
    """The initialization whose distribution the values of a weight still have; "" if there is none."""
    if weight.finite < weight.count or len(weight.info.shape) < 2:
        return ""
    return next((scheme.name for scheme in schemes(weight.info.shape) if _fits(weight, scheme)), "")


def _fits(weight: Measured, scheme: Scheme) -> bool:
    least = LEAST_UNIFORM if scheme.form == "uniform" else LEAST_NORMAL
    if weight.count < least or (scheme.form == "uniform" and not _reaches(weight, scheme.scale)):
        return False
    return distance(weight.sample, CDFS[scheme.form], scheme.scale) < CRITICAL


def _reaches(weight: Measured, bound: float) -> bool:
    """Whether the largest of n values is within the bound by less than 7/n, as in 99.9% of samples."""
    rounding = 0.005 if weight.info.dtype in ("bfloat16", "float16") else 1e-6
    return bound * (1 - 7 / weight.count - rounding) <= weight.largest <= bound * (1 + rounding)


def is_initial_bias(weight: Measured, bias: Measured | None) -> bool:
    """Whether the bias of a weight, if any, looks initial: 0, or uniform within 1/√fan_in."""
    if bias is None or bias.zeros == bias.count:
        return True
    bound = 1 / math.sqrt(math.prod(weight.info.shape[1:]))
    if bias.largest > 1.005 * bound:
        return False
    return bias.count < LEAST_BIAS or distance(bias.sample, CDFS["uniform"], bound) < CRITICAL


def distance(sample: np.ndarray, cdf: Callable[[np.ndarray], np.ndarray], scale: float) -> float:
    """The Kolmogorov-Smirnov statistic of a sample and a distribution, times the square root of the sample size."""
    at = cdf(np.sort(sample.astype(np.float64)) / scale)
    steps = np.arange(len(at) + 1) / len(at)
    return float(max((steps[1:] - at).max(), (at - steps[:-1]).max()) * math.sqrt(len(at)))


def _normal(x: np.ndarray) -> np.ndarray:
    """Abramowitz & Stegun 7.1.26 for the error function: within 2e-7."""
    z = np.abs(x) / math.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return 0.5 + np.sign(x) * (0.5 - 0.5 * tail * np.exp(-z * z))


CDFS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "uniform": lambda x: np.clip(0.5 + x / 2, 0, 1),
    "normal": _normal,
}
"""Distribution functions at scale 1."""
