"""Find several networks in one state_dict: actor and critic, generator and discriminator, two heads on one trunk."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from nfn.reader.errors import NetworkFileError, quote, quote_some
from nfn.reader.extras import keys_of
from nfn.reader.networks import unclear
from nfn.reader.tensors import StoredTensor

ALL = "all"
"""The value of `part` for all tensors together."""


@dataclass(frozen=True)
class _Family:
    """Name patterns of networks that occur together, and whether other tensors belong to each of them."""

    words: Mapping[str, str]
    shared: bool


_NUMBERED = "critic"
"""The only networks that are numbered; elsewhere a number counts layers."""
_FAMILIES = (
    _Family({"actor": "actor|policy|pi|action", "critic": "critics?|value|vf|v|qf?|baseline"}, True),
    _Family({"generator": "generator|gen|net_?g|g", "discriminator": "discriminator|disc|net_?d|d"}, False),
    _Family({"encoder": r"(?:\w+_)?enc(?:oder)?", "decoder": r"(?:\w+_)?dec(?:oder)?"}, False),
)
_NETWORK_AFFIX = r"(?:_?(?:net|network|model|mlp|head|func|function|branch))?_?(?P<number>\d*)"
_LAYER_AFFIX = r"_?(?:fc|lin|linear|layer|hidden|conv|out|output)_?\d*"
_HEAD = re.compile(r"(?!\w*(?:multi_?head|att))\w*heads?(?:_?\w+)?")


def find_roles(names: list[str]) -> dict[str, list[str]]:
    """Network name to the names of its tensors; empty if there is only one network."""
    for family in _FAMILIES:
        networks = _by_word(names, family)
        if len(networks) > 1:
            return networks
    return _by_head(names)


def pick(
    tensors: Mapping[str, StoredTensor], roles: Mapping[str, list[str]], part: str
) -> dict[str, StoredTensor]:
    """The tensors of the network `part`, which may also be a prefix of tensor names.

    Raises:
        NetworkFileError: there is no such network, or there are several and `part` is empty.
    """
    if (not part and not roles) or part == ALL:
        return dict(tensors)
    if not part:
        raise unclear(list(roles), "networks")
    named = roles.get(part) or [name for name in tensors if name.startswith((f"{part}.", f"{part}/"))]
    if not named:
        choices = f"it holds {quote_some([*roles, ALL])}" if roles else "it holds one network"
        raise NetworkFileError(
            f"The file has no part {quote(part)}: {choices}. Choose one of these, or none."
        )
    return {name: tensors[name] for name in tensors if name in set(named)}


def _by_word(names: list[str], family: _Family) -> dict[str, list[str]]:
    """Group names by the first of their keys that matches one of the family's patterns."""
    patterns = {
        word: re.compile(f"(?:{words})(?:{_NETWORK_AFFIX}|{_LAYER_AFFIX})")
        for word, words in family.words.items()
    }
    groups: dict[str, list[str]] = {}
    shared = []
    for name in names:
        word = _word_of(name, patterns)
        (shared if word is None else groups.setdefault(word, [])).append(name)
    if family.shared:
        groups = {word: _in_order(names, group + shared) for word, group in groups.items()}
    return groups


def _word_of(name: str, patterns: Mapping[str, re.Pattern[str]]) -> str | None:
    for key in keys_of(name)[:-1]:
        for word, pattern in patterns.items():
            match = pattern.fullmatch(key)
            if match:
                return word + (match["number"] or "") if word == _NUMBERED else word
    return None


def _by_head(names: list[str]) -> dict[str, list[str]]:
    """The trunk with each of its heads, if several modules are named as heads; else {}."""
    heads: dict[str, list[str]] = {}
    trunk = []
    for name in names:
        head = _head_of(name)
        (trunk if head is None else heads.setdefault(head, [])).append(name)
    if len(heads) < 2 or not trunk:
        return {}
    return {head: _in_order(names, trunk + group) for head, group in heads.items()}


def _head_of(name: str) -> str | None:
    """The head in a name: `cls_head`, or `heads.0` if numbered; None if there is none."""
    keys = re.split(r"[./]", name)[:-1]
    for i, key in enumerate(keys):
        if _HEAD.fullmatch(key.lower()):
            numbered = keys[i + 1 : i + 2] if key.lower() == "heads" else []
            return ".".join([*keys[: i + 1], *numbered])
    return None


def _in_order(names: list[str], chosen: list[str]) -> list[str]:
    kept = set(chosen)
    return [name for name in names if name in kept]
