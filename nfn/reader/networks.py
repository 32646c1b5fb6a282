"""Group a file's tensors into candidate networks, and choose one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from nfn.reader import limits
from nfn.reader.contents import Contents, Path
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote, quote_some
from nfn.reader.extras import is_copy
from nfn.reader.tensors import StoredTensor

_USUAL_KEYS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "siren",
    "inr",
)
_LAYER_WORDS = frozenset(
    (
        "weight", "bias", "kernel", "w", "b", "scale", "mean", "var", "gamma", "beta", "embedding",
        "moving_mean", "moving_variance", "running_mean", "running_var", "num_batches_tracked",
        "weight_g", "weight_v", "weight_orig", "weight_mask", "bias_orig", "bias_mask", "weight_u",
    )
)  # fmt: skip
"""Names of a layer's tensors in files with one dict per layer."""
_LISTS = frozenset(("weights", "biases", "ws", "bs", "kernels", "coefs_", "intercepts_"))
"""Names of lists with the weights, or biases, of all layers."""
_WEIGHT_NAME = re.compile(r"(?i)(?:weight|kernel|(?:^|[._/])w)[s_]*(?:orig|original|v|bar)?[\d._]*$")


@dataclass(frozen=True)
class Candidate:
    """Tensors that may be one network: their path in the file, and each by its name below that path."""

    path: Path
    tensors: Mapping[str, StoredTensor]
    nested: bool
    """Whether each layer has a container of its own."""

    @property
    def name(self) -> str:
        """The dotted path; `top` if empty."""
        return ".".join(self.path) or "top"


def find_candidates(contents: Contents) -> list[Candidate]:
    """The groups of tensors that include one with two or more dimensions, in the file's order."""
    groups: dict[Path, dict[str, StoredTensor]] = {}
    nested: set[Path] = set()
    owners = _owners(contents.tensors)
    for path, tensor in contents.tensors.items():
        owner = owners[path[:-1]]
        if owner != path[:-1]:
            nested.add(owner)
        groups.setdefault(owner, {})[".".join(_merged(path)[len(owner) :])] = tensor
    return [
        Candidate(path, tensors, path in nested)
        for path, tensors in groups.items()
        if any(tensor.problem or len(tensor.shape) > 1 for tensor in tensors.values())
    ]


def choose(candidates: list[Candidate], contents: Contents, part: str | None) -> tuple[Candidate, str]:
    """The candidate that `part` names, or the default one, and the rest of `part` after its name.

    Raises:
        NetworkFileError: there is none, or the choice is ambiguous.
    """
    if not candidates:
        vectors = [".".join(path) for path in contents.tensors]
        content = f"only vectors ({quote_some(vectors)})" if vectors else contents.description
        raise NetworkFileError(f"No weights found: {content}. Expected a state_dict. {EXPORT_ADVICE}")
    if part is not None:
        named = [one for one in candidates if part == one.name or part.startswith(f"{one.name}.")]
        if named:
            best = max(named, key=lambda one: len(one.name))
            return best, part[len(best.name) + 1 :]
    return _usual(candidates), part or ""


def _usual(candidates: list[Candidate]) -> Candidate:
    own = [one for one in candidates if not is_copy(".".join(one.path))] or candidates
    named = [one for one in own if any(_WEIGHT_NAME.search(name) for name in one.tensors)] or own
    if len(named) == 1:
        return named[0]
    usual = [one for one in named if not one.path or one.path[-1] in _USUAL_KEYS]
    if len(usual) == 1:
        return usual[0]
    raise unclear([one.name for one in named], "state_dicts")


def unclear(names: list[str], what: str) -> NetworkFileError:
    """The error that says that `part` must choose one of several networks."""
    return NetworkFileError(
        f"The file holds {len(names)} {what} ({quote_some(names)}) and it is unclear which is the network. "
        f"Choose one by its name (part={quote(names[0])}), or save it alone. {EXPORT_ADVICE}"
    )


def _merged(path: Path) -> Path:
    """Put Flax's batch norm statistics (`batch_stats`) under the same path as its parameters."""
    return tuple("params" if key == "batch_stats" else key for key in path)


def _owners(tensors: Mapping[Path, StoredTensor]) -> dict[Path, Path]:
    """Map each container to its network: itself or, if it is only a layer, a container around it."""
    leaves: dict[Path, list[str]] = {}
    for path in tensors:
        leaves.setdefault(path[:-1], []).append(path[-1])
    return {path: _owner(_merged(path), names) for path, names in leaves.items()}


def _owner(container: Path, leaves: list[str]) -> Path:
    if not container or not _is_layer(container[-1], leaves):
        return container
    while container and not _stops(container[-1]):
        container = container[:-1]
    return container


def _is_layer(key: str, leaves: list[str]) -> bool:
    if key.lower() in _LISTS and all(name.isdigit() for name in leaves):
        return True
    return all(name.lower() in _LAYER_WORDS for name in leaves)


def _stops(key: str) -> bool:
    return (key in _USUAL_KEYS and key != "weights") or is_copy(key)


def check_count(tensors: Mapping[str, StoredTensor]) -> None:
    """Raise NetworkFileError for more tensors than `limits.TENSORS`."""
    if len(tensors) > limits.TENSORS:
        raise NetworkFileError(
            f"The file holds {len(tensors):,} tensors; at most {limits.TENSORS:,} are read. {EXPORT_ADVICE}"
        )
