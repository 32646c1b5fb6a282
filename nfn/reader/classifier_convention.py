"""How a file says what its classifier of images does: the activation, and the pixels that it takes."""

import re
from collections.abc import Mapping

from nfn.network import ClassifierConvention
from nfn.reader import limits
from nfn.reader.errors import NetworkFileError
from nfn.reader.facts import Facts, first, normal, normalized, parse_number, parse_range, unreadable

_ACTIVATION = ("activation", "nonlinearity", "act", "activation_function")
_MEAN = ("pixel_mean", "input_mean", "image_mean")
_STD = ("pixel_std", "input_std", "image_std")
_RANGE = ("pixel_range", "input_range")
_BATCH_NORM = ("batch_norm", "batchnorm", "norm_position")
_ACTIVATIONS = ("relu", "tanh")


def read_classifier_convention(metadata: Mapping[str, str]) -> ClassifierConvention:
    """The convention that the metadata tells: pixels by mean and std or by range, in [-1, 1] where it is silent.

    Raises:
        NetworkFileError: an entry is there but not readable, or half of one is missing.
    """
    facts = normalized(metadata)
    mean, std = _read_pixels(facts)
    return ClassifierConvention(first(facts, _ACTIVATION, _parse_activation), mean, std)


def tells_no_sine(metadata: Mapping[str, str]) -> bool:
    """Whether the metadata names an activation, and one that no SIREN has."""
    told = first(normalized(metadata), _ACTIVATION, lambda _, text: text)
    return told is not None and "sin" not in told[:200].lower()


def read_norm_after(metadata: Mapping[str, str]) -> bool | None:
    """Whether batch norm stands after the activation, or None where the metadata does not tell."""
    return first(normalized(metadata), _BATCH_NORM, _parse_norm_after)


def tells_pixels(metadata: Mapping[str, str]) -> bool:
    """Whether the metadata says anything of the pixels."""
    return not normalized(metadata).keys().isdisjoint({*_MEAN, *_STD, *_RANGE})


def write_classifier_convention(
    metadata: Mapping[str, str], classifier: ClassifierConvention
) -> dict[str, str]:
    """The metadata with the convention spelled out; entries that say something else are replaced."""
    ours = {"pixel_mean": repr(float(classifier.pixel_mean)), "pixel_std": repr(float(classifier.pixel_std))}
    if classifier.activation is not None:
        ours["activation"] = classifier.activation
    known = {*_ACTIVATION, *_MEAN, *_STD, *_RANGE}
    plain = {key: value for key, value in metadata.items() if normal(key) not in known}
    return {**(metadata if _says(metadata, classifier) else plain), **ours}


def check_classifier_convention(classifier: ClassifierConvention) -> None:
    """Raise ValueError unless the activation is known and the pixels' numbers are finite and sensible."""
    if classifier.activation not in (None, *_ACTIVATIONS):
        raise ValueError(f"Got the activation {classifier.activation!r}; wanted 'relu', 'tanh' or None.")
    if not -limits.PIXEL <= classifier.pixel_mean <= limits.PIXEL:
        raise ValueError(f"Got the pixel mean {classifier.pixel_mean}; wanted a number such as 0.5.")
    if not limits.PIXEL_STD <= classifier.pixel_std <= limits.PIXEL:
        raise ValueError(f"Got the pixel std {classifier.pixel_std}; wanted a number such as 0.5.")


def _read_pixels(facts: Facts) -> tuple[float, float]:
    """Mean and std of `(pixel / 255 - mean) / std`."""
    mean, std = first(facts, _MEAN, _parse_mean), first(facts, _STD, _parse_std)
    if (mean is None) != (std is None):
        raise NetworkFileError(
            "The metadata tells only one of 'pixel_mean' and 'pixel_std'; wanted both, or neither. "
            "Add the other one."
        )
    if mean is not None:
        return mean, std
    low, high = first(facts, _RANGE, parse_range) or (-1.0, 1.0)
    return -low / (high - low), 1 / (high - low)


def _parse_mean(key: str, text: str) -> float:
    return parse_number(key, text, -limits.PIXEL, limits.PIXEL)


def _parse_std(key: str, text: str) -> float:
    return parse_number(key, text, 0, limits.PIXEL)


def _parse_activation(key: str, text: str) -> str:
    """`relu`, `nn.ReLU(inplace=True)`, `<class 'torch.nn.modules.activation.Tanh'>`."""
    found = set(re.findall(r"[a-z_0-9]+", text[:200].lower())) & set(_ACTIVATIONS)
    if len(found) != 1:
        raise unreadable(key, text, "'relu' or 'tanh'")
    return found.pop()


def _parse_norm_after(key: str, text: str) -> bool | None:
    """`after`, `before`, and also `True`, as a setting of whoever trained the network, which tells nothing."""
    words = re.findall(r"[a-z]+", text[:200].lower())
    return words[0] == "after" if words and words[0] in ("after", "before") else None


def _says(metadata: Mapping[str, str], classifier: ClassifierConvention) -> bool:
    try:
        return read_classifier_convention(metadata) == classifier
    except NetworkFileError:
        return False
