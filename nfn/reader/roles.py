"""Several networks under one state_dict: actor and critic, generator and discriminator, two heads on one trunk."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from nfn.reader.beside import keys_of
from nfn.reader.errors import NetworkFileError, quote, quote_some
from nfn.reader.networks import unclear
from nfn.reader.tensors import StoredTensor

ALL = "all"
"""The name under which everything together is asked for."""


@dataclass(frozen=True)
class _Family:
    """Words for networks that come together, and whether what has no such word belongs to each of them."""

    words: Mapping[str, str]
    shared: bool


_NUMBERED = "critic"
"""The only networks that come in numbers; elsewhere a number counts layers."""
_FAMILIES = (
    _Family({"actor": "actor|policy|pi|action", "critic": "critics?|value|vf|v|qf?|baseline"}, True),
    _Family({"generator": "generator|gen|net_?g|g", "discriminator": "discriminator|disc|net_?d|d"}, False),
    _Family({"encoder": r"(?:\w+_)?enc(?:oder)?", "decoder": r"(?:\w+_)?dec(?:oder)?"}, False),
)
_NETWORK_AFFIX = r"(?:_?(?:net|network|model|mlp|head|func|function|branch))?_?(?P<number>\d*)"
_LAYER_AFFIX = r"_?(?:fc|lin|linear|layer|hidden|conv|out|output)_?\d*"
_HEAD = re.compile(r"(?!\w*(?:multi_?head|att))\w*heads?(?:_?\w+)?")


def find_roles(names: list[str]) -> dict[str, list[str]]:
    """The names of each network's tensors, by what the network is called; empty where there is but one."""
    for family in _FAMILIES:
        found = _by_word(names, family)
        if len(found) > 1:
            return found
    return _by_head(names)


def pick(
    tensors: Mapping[str, StoredTensor], roles: Mapping[str, list[str]], part: str
) -> dict[str, StoredTensor]:
    """The tensors of one network; `part` may also be what its tensors' names begin with.

    Raises:
        NetworkFileError: there is no such network, or it is unclear which is meant.
    """
    if (not part and not roles) or part == ALL:
        return dict(tensors)
    if not part:
        raise unclear(list(roles), "networks")
    named = roles.get(part) or [name for name in tensors if name.startswith((f"{part}.", f"{part}/"))]
    if not named:
        known = f"it holds {quote_some([*roles, ALL])}" if roles else "it holds one network"
        raise NetworkFileError(f"The file has no part {quote(part)}: {known}. Choose one of these, or none.")
    return {name: tensors[name] for name in tensors if name in set(named)}


def _by_word(names: list[str], family: _Family) -> dict[str, list[str]]:
    """Names by the first of their keys that is one of the family's words."""
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
    """A trunk and each of its heads, where several modules are called heads."""
    heads: dict[str, list[str]] = {}
    trunk = []
    for name in names:
        head = _head_of(name)
        (trunk if head is None else heads.setdefault(head, [])).append(name)
    if len(heads) < 2 or not trunk:
        return {}
    return {head: _in_order(names, trunk + group) for head, group in heads.items()}


def _head_of(name: str) -> str | None:
    """`cls_head`; `heads.0` where they are numbered."""
    keys = re.split(r"[./]", name)[:-1]
    for i, key in enumerate(keys):
        if _HEAD.fullmatch(key.lower()):
            numbered = keys[i + 1 : i + 2] if key.lower() == "heads" else []
            return ".".join([*keys[: i + 1], *numbered])
    return None


def _in_order(names: list[str], chosen: list[str]) -> list[str]:
    kept = set(chosen)
    return [name for name in names if name in kept]
