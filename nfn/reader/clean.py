"""From the tensors that stand together in a file to those of one network, in torch's layout and in one piece each."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from nfn.reader import limits
from nfn.reader.beside import notes_on, set_aside
from nfn.reader.contents import ModuleFacts
from nfn.reader.errors import NetworkFileError
from nfn.reader.layouts import to_torch
from nfn.reader.normal_inputs import Normalization, coordinate_facts, find_normalization
from nfn.reader.omegas import module_omegas, omega_facts, split_omegas
from nfn.reader.reparametrized import fold_parts
from nfn.reader.roles import ALL, find_roles, pick
from nfn.reader.tensors import StoredTensor, show_count

_WRAPPERS = re.compile(
    r"(?:(?:module|_orig_mod|_forward_module|model|net|network|siren|inr|wrapped|online_model|params)[./])*"
)


@dataclass(frozen=True)
class Cleaned:
    """The tensors of one network, and what became of the others; the fields as in `StoredFile`."""

    tensors: dict[str, StoredTensor]
    facts: dict[str, str]
    notes: tuple[str, ...]
    modules: dict[str, ModuleFacts]
    networks: tuple[str, ...]
    prefix: str
    normalization: Normalization | None


def clean(
    tensors: Mapping[str, StoredTensor],
    modules: Mapping[str, ModuleFacts],
    part: str,
    declared: bool = False,
) -> Cleaned:
    """The network called `part`, or the only one; all tensors as they are where the file declares what they do.

    Raises:
        NetworkFileError: a tensor is refused, or it is unclear which network is meant.
    """
    if declared:
        _check_budget(tensors)
        return Cleaned(dict(tensors), {}, (), dict(modules), (), _prefix(list(tensors)), None)
    kept, beside = set_aside(tensors) if part != ALL else (dict(tensors), {})
    roles = find_roles(list(kept))
    chosen = _pick(tensors, kept, roles, part)
    _check_budget(chosen)
    whole, folded = fold_parts(chosen)
    whole, turned = to_torch(whole)
    layers, omegas = split_omegas(whole)
    layers, told, omega_notes = omega_facts(layers, omegas)
    normalization = find_normalization(beside.get("means and deviations of the inputs", {}))
    facts = {
        **(normalization.facts() if normalization else {}),
        **coordinate_facts(beside.get("coordinates", {})),
        **module_omegas(modules),
        **told,
    }
    return Cleaned(
        tensors=layers,
        facts=facts,
        notes=(*notes_on(beside), *folded, *turned, *omega_notes),
        modules=_modules_beside(modules, tensors, chosen),
        networks=(*roles, ALL) if roles else (),
        prefix=_prefix(list(layers)),
        normalization=normalization,
    )


def _pick(
    tensors: Mapping[str, StoredTensor],
    kept: Mapping[str, StoredTensor],
    roles: Mapping[str, list[str]],
    part: str,
) -> dict[str, StoredTensor]:
    """A part may also be one of those that are usually set aside."""
    known = part in roles or any(name.startswith((f"{part}.", f"{part}/")) for name in kept)
    return pick(kept if known or part in ("", ALL) else tensors, roles, part)


def _check_budget(tensors: Mapping[str, StoredTensor]) -> None:
    """Of tensors that claim more than they hold, each is refused by its name later."""
    total = sum(tensor.numel for tensor in tensors.values() if tensor.numel <= len(tensor.data))
    if total > limits.ELEMENTS:
        raise NetworkFileError(
            f"The network has {show_count(total)} values; at most {limits.ELEMENTS:,} are supported."
        )


def _modules_beside(
    modules: Mapping[str, ModuleFacts],
    tensors: Mapping[str, StoredTensor],
    chosen: Mapping[str, StoredTensor],
) -> dict[str, ModuleFacts]:
    """The modules without those whose tensors, or those around them, were all left out."""
    if not modules:
        return {}
    kept = _around(chosen, modules)
    lost = _around([name for name in tensors if name not in chosen], modules) - kept
    return {
        path: facts
        for path, facts in modules.items()
        if path in kept or not lost & _around([path, f"{path}."], modules)
    }


def _around(names: Iterable[str], modules: Collection[str]) -> set[str]:
    """Of the paths around each name (`a`, `a.b` of `a.b.weight`), those of modules."""
    return {
        name[:at]
        for name in names
        for at, character in enumerate(name)
        if character == "." and name[:at] in modules
    }


def _prefix(names: list[str]) -> str:
    """What all names begin with, of the names that wrappers give the network that they hold."""
    longest = min((_WRAPPERS.match(name)[0] for name in names), key=len)  # type: ignore[index]
    while longest and not all(name.startswith(longest) for name in names):
        longest = longest.rstrip("./").rpartition(".")[0]
        longest = f"{longest}." if longest else ""
    return longest
