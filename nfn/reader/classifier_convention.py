"""Read and write a `ClassifierConvention` (activation and input normalization) as metadata."""

import re
from collections.abc import Mapping

from nfn.architecture.ops import FUNCTIONS
from nfn.network import ClassifierConvention, PixelNumber
from nfn.reader import limits
from nfn.reader.errors import NetworkFileError
from nfn.reader.facts import Facts, first, normal, normalized, numbers, parse_number, parse_range, unreadable

_ACTIVATION = ("activation", "nonlinearity", "act", "activation_function")
_MEAN = ("pixel_mean", "input_mean", "image_mean")
_STD = ("pixel_std", "input_std", "image_std")
_RANGE = ("pixel_range", "input_range")
_BATCH_NORM = ("batch_norm", "batchnorm", "norm_position")
_ACTIVATIONS = {name.replace("_", ""): name for name in FUNCTIONS} | {"swish": "silu", "sin": "sine"}
CLASSIFIER_KEYS = (*_ACTIVATION, *_MEAN, *_STD, *_RANGE)
"""All normalized metadata keys of a classifier's convention (`facts.normal`)."""


def read_classifier_convention(metadata: Mapping[str, str]) -> ClassifierConvention:
    """The convention in the metadata: the activation, and pixels as mean and std or as range.

    Raises:
        NetworkFileError: an entry cannot be parsed, or there is only one of mean and std.
    """
    facts = normalized(metadata)
    return ClassifierConvention(first(facts, _ACTIVATION, _parse_activation), *_read_pixels(facts))


def tells_no_sine(metadata: Mapping[str, str]) -> bool:
    """Whether the metadata names an activation that is not a sine."""
    activation = first(normalized(metadata), _ACTIVATION, lambda _, text: text)
    return activation is not None and "sin" not in activation[:200].lower()


def read_norm_after(metadata: Mapping[str, str]) -> bool | None:
    """Whether batch norm comes after the activation; None if the metadata does not say."""
    return first(normalized(metadata), _BATCH_NORM, _parse_norm_after)


def write_classifier_convention(
    metadata: Mapping[str, str], classifier: ClassifierConvention
) -> dict[str, str]:
    """The metadata with entries for the convention; entries that contradict it are removed."""
    entries = {}
    if classifier.pixel_mean is not None and classifier.pixel_std is not None:
        entries |= {"pixel_mean": _text(classifier.pixel_mean), "pixel_std": _text(classifier.pixel_std)}
    if classifier.activation is not None:
        entries["activation"] = classifier.activation
    others = {key: value for key, value in metadata.items() if normal(key) not in CLASSIFIER_KEYS}
    return {**(metadata if _agrees(metadata, classifier) else others), **entries}


def check_classifier_convention(classifier: ClassifierConvention) -> None:
    """Raise ValueError unless the activation is supported, and pixel mean and std are in range."""
    if classifier.activation not in (None, *FUNCTIONS):
        raise ValueError(
            f"Got the activation {classifier.activation!r}; expected one of {', '.join(FUNCTIONS)}."
        )
    if (classifier.pixel_mean is None) != (classifier.pixel_std is None):
        raise ValueError("Got one of pixel mean and pixel std; expected both, or neither.")
    if not all(abs(number) <= limits.PIXEL for number in _each(classifier.pixel_mean)):
        raise ValueError(f"Got the pixel mean {classifier.pixel_mean}; expected a number such as 0.5.")
    if not all(limits.PIXEL_STD <= abs(number) <= limits.PIXEL for number in _each(classifier.pixel_std)):
        raise ValueError(f"Got the pixel std {classifier.pixel_std}; expected a number such as 0.5.")


def _each(numbers: PixelNumber | None) -> tuple[float, ...]:
    return () if numbers is None else numbers if isinstance(numbers, tuple) else (numbers,)


def _text(numbers: PixelNumber) -> str:
    return repr(float(numbers)) if not isinstance(numbers, tuple) else str([float(n) for n in numbers])


def _read_pixels(facts: Facts) -> tuple[PixelNumber | None, PixelNumber | None]:
    """Mean and std of `(pixel / 255 - mean) / std`."""
    mean, std = first(facts, _MEAN, _parse_mean), first(facts, _STD, _parse_std)
    if (mean is None) != (std is None):
        raise NetworkFileError(
            "The metadata has only one of 'pixel_mean' and 'pixel_std'; expected both, or neither. "
            "Add the other one."
        )
    if mean is not None:
        return mean, std
    pixels = first(facts, _RANGE, parse_range)
    if pixels is None:
        return None, None
    low, high = pixels
    return -low / (high - low), 1 / (high - low)


def _parse_mean(key: str, text: str) -> PixelNumber:
    return _parse_numbers(key, text, -limits.PIXEL)


def _parse_std(key: str, text: str) -> PixelNumber:
    return _parse_numbers(key, text, 0)


def _parse_numbers(key: str, text: str, above: float) -> PixelNumber:
    """One number, or one for each of three channels."""
    values = numbers(text)
    if len(values) not in (1, 3):
        raise unreadable(key, text, "a number, or three")
    parsed = tuple(parse_number(key, repr(number), above, limits.PIXEL) for number in values)
    return parsed[0] if len(parsed) == 1 else parsed


def _parse_activation(key: str, text: str) -> str:
    """`relu`, `nn.ReLU(inplace=True)`, `<class 'torch.nn.modules.activation.Tanh'>`."""
    words = re.findall(r"[a-z_0-9]+", text[:200].lower())
    matches = {word.replace("_", "") for word in words} & _ACTIVATIONS.keys()
    if len(matches) != 1:
        raise unreadable(key, text, f"one of {', '.join(FUNCTIONS)}")
    return _ACTIVATIONS[matches.pop()]


def _parse_norm_after(key: str, text: str) -> bool | None:
    """Parse `after` or `before`; None for other values, such as `True` in a training config."""
    words = re.findall(r"[a-z]+", text[:200].lower())
    return words[0] == "after" if words and words[0] in ("after", "before") else None


def _agrees(metadata: Mapping[str, str], classifier: ClassifierConvention) -> bool:
    try:
        return read_classifier_convention(metadata) == classifier
    except NetworkFileError:
        return False
