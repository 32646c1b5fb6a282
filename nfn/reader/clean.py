"""Extract the tensors of one network, in torch's layout, without extra tensors and reparametrizations."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from nfn.reader import limits
from nfn.reader.contents import ModuleFacts
from nfn.reader.errors import NetworkFileError
from nfn.reader.extras import notes_on, split_extras
from nfn.reader.layouts import to_torch
from nfn.reader.normalization import Normalization, coordinate_facts, find_normalization
from nfn.reader.omegas import module_omegas, omega_facts, split_omegas
from nfn.reader.reparametrized import fold_parametrizations
from nfn.reader.roles import ALL, find_roles, pick
from nfn.reader.tensors import StoredTensor, show_count

_WRAPPERS = re.compile(
    r"(?:(?:module|_orig_mod|_forward_module|model|net|network|siren|inr|wrapped|online_model|params)[./])*"
)


@dataclass(frozen=True)
class Cleaned:
    """The tensors of one network, with the facts and notes from the others; fields as in `StoredFile`."""

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
    """The network called `part`, or the only one. If the file has `declared` its layers, all tensors are unchanged.

    Raises:
        NetworkFileError: a tensor is not valid, or it is unclear which network to read.
    """
    if declared:
        _check_budget(tensors)
        return Cleaned(dict(tensors), {}, (), dict(modules), (), _prefix(list(tensors)), None)
    kept, extras = split_extras(tensors) if part != ALL else (dict(tensors), {})
    roles = find_roles(list(kept))
    chosen = _pick(tensors, kept, roles, part)
    _check_budget(chosen)
    weights, folding_notes = fold_parametrizations(chosen)
    weights, layout_notes = to_torch(weights)
    layers, omegas = split_omegas(weights)
    layers, stored_omegas, omega_notes = omega_facts(layers, omegas)
    normalization = find_normalization(extras.get("means and deviations of the inputs", {}))
    facts = {
        **(normalization.facts() if normalization else {}),
        **coordinate_facts(extras.get("coordinates", {})),
        **module_omegas(modules),
        **stored_omegas,
    }
    return Cleaned(
        tensors=layers,
        facts=facts,
        notes=(*notes_on(extras), *folding_notes, *layout_notes, *omega_notes),
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
    """The tensors of a part, which may also be one of the extra tensors."""
    is_part = part in roles or any(name.startswith((f"{part}.", f"{part}/")) for name in kept)
    return pick(kept if is_part or part in ("", ALL) else tensors, roles, part)


def _check_budget(tensors: Mapping[str, StoredTensor]) -> None:
    """Raise NetworkFileError for too many values; tensors larger than their bytes are rejected later, by name."""
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
    """The modules, without those whose tensors (or those of modules around them) were all left out."""
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
    """The prefixes of each name (`a`, `a.b` of `a.b.weight`) that are module paths."""
    return {
        name[:at]
        for name in names
        for at, character in enumerate(name)
        if character == "." and name[:at] in modules
    }


def _prefix(names: list[str]) -> str:
    """The common prefix of all names that consists of wrapper names, such as `module.model.`."""
    longest = min((_WRAPPERS.match(name)[0] for name in names), key=len)  # type: ignore[index]
    while longest and not all(name.startswith(longest) for name in names):
        longest = longest.rstrip("./").rpartition(".")[0]
        longest = f"{longest}." if longest else ""
    return longest
