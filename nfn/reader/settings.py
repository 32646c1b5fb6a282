"""Find a network's convention in a file's settings: `args`, Hydra configs, YAML or JSON strings, nested dicts."""

import re
from collections.abc import Mapping

from nfn.reader.classifier_convention import CLASSIFIER_KEYS, read_classifier_convention
from nfn.reader.contents import Path
from nfn.reader.convention import SIREN_KEYS, read_convention
from nfn.reader.errors import NetworkFileError
from nfn.reader.facts import KEY_CHARACTERS, normal

_SETTINGS = (
    "args",
    "config",
    "hparams",
    "hyper_parameters",
    "metadata",
    "meta",
    "model_args",
    "model_config",
)
_KNOWN = {*SIREN_KEYS, *CLASSIFIER_KEYS}
_OTHER_HALF = {
    **{key: {key.replace("_mean", "_std"): "1"} for key in _KNOWN if key.endswith("_mean")},
    **{key: {key.replace("_std", "_mean"): "0"} for key in _KNOWN if key.endswith("_std")},
    "output_low": {"output_high": "1"},
    "output_high": {"output_low": "0"},
}
"""A value for the other entry of a pair (mean and std, low and high), to check a single entry."""
_TEXT_CHARACTERS = 50_000
_ALL_CHARACTERS = 200_000
"""The total length of searched strings."""
_PAIR = re.compile(
    r"(?<![\w.])[\"']?(" + "|".join(sorted(_KNOWN, key=len, reverse=True)) + r")[\"']?\s{0,9}[:=]\s{0,9}"
    r"(\[[^\]\n]{0,80}\]|\([^)\n]{0,80}\)|[\"'][^\"'\n]{0,80}[\"']|[^\s,;)}\]]{1,80})",
    re.IGNORECASE,
)


def direct_settings(facts: Mapping[Path, str], network: Path) -> dict[str, str]:
    """Numbers and strings in the network's dict, in the usual dicts of settings, and at the top of the file."""
    settings: dict[str, str] = {}
    for where in (network, *((name,) for name in _SETTINGS), ()):
        settings |= {path[-1]: text for path, text in facts.items() if path[:-1] == where}
    return settings


def nested_settings(facts: Mapping[Path, str], known: Mapping[str, str]) -> dict[str, str]:
    """Entries of a network's convention at any depth, outermost first, except those in `known`.

    Values that cannot be of a convention (`range: 5` of something else) are skipped.
    """
    seen = {normal(key) for key in known}
    settings: dict[str, str] = {}
    room = _ALL_CHARACTERS
    for path, text in sorted(facts.items(), key=lambda item: len(item[0])):
        pairs = [(path[-1], text)] if len(path[-1]) <= KEY_CHARACTERS else []
        if room > 0 and ("=" in text or ":" in text):
            pairs += _PAIR.findall(text[:_TEXT_CHARACTERS])
            room -= len(text[:_TEXT_CHARACTERS])
        for key, value in pairs:
            if normal(key) in _KNOWN and normal(key) not in seen and _is_valid(normal(key), value):
                seen.add(normal(key))
                settings[key] = value.strip("\"'")
    return settings


def _is_valid(key: str, text: str) -> bool:
    text = text.strip("\"'")
    try:
        read_convention({key: text, **_OTHER_HALF.get(key, {})})
        read_classifier_convention({key: text, **_OTHER_HALF.get(key, {})})
    except NetworkFileError:
        return False
    return True
