"""Find the one state_dict in what a `torch.save` file holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nfn.reader import limits
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote, quote_some
from nfn.reader.pickle_plan import Inert, read_plan
from nfn.reader.tensors import INTEGERS, StoredTensor
from nfn.reader.torch_zip import read_members

_DEPTH = 4
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
_TRAINING_STATE = ("optim", "sched", "scaler")
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


@dataclass(frozen=True)
class _Found:
    path: tuple[str, ...]
    table: dict[Any, Any]


def read_torch(data: bytes) -> tuple[dict[str, StoredTensor], dict[str, str], tuple[str, ...]]:
    """The tensors of the file's state_dict by name and in its order, facts stored beside it, and notes.

    Raises:
        NetworkFileError: the archive or its pickle is refused, or it holds none or several state_dicts.
    """
    members = read_members(data)
    byteorder = bytes(members.get("byteorder", b"little")[:16])
    if byteorder != b"little":
        raise NetworkFileError(
            f"The checkpoint's byte order is {quote(byteorder)}; wanted little. {EXPORT_ADVICE}"
        )
    root = read_plan(members["data.pkl"], members)
    found = _choose(root, list(_state_dicts(root, (), {})))
    tensors = _named_tensors(found.table)
    notes = (f"The network was read from the entry {quote('.'.join(found.path))}.",) if found.path else ()
    return tensors, _facts(root, found.table), notes


def _state_dicts(value: Any, path: tuple[str, ...], seen: dict[int, Any]) -> Iterator[_Found]:
    """Every dict, up to a few levels down, that holds a tensor of two or more dimensions."""
    if not isinstance(value, dict) or id(value) in seen or len(path) > _DEPTH:
        return
    seen[id(value)] = value
    if any(_is_weight(entry) for entry in value.values()):
        yield _Found(path, value)
    for key, entry in value.items():
        if _names_a_part(key):
            yield from _state_dicts(entry, (*path, key), seen)


def _names_a_part(key: Any) -> bool:
    """Whether a network may stand under this key; one that is too long for a name is not even looked at."""
    if not isinstance(key, str) or len(key) > limits.NAME_CHARACTERS:
        return False
    return not any(word in key.lower() for word in _TRAINING_STATE)


def _is_weight(value: Any) -> bool:
    return isinstance(value, StoredTensor) and (bool(value.problem) or len(value.shape) > 1)


def _choose(root: Any, found: list[_Found]) -> _Found:
    if not found:
        raise NetworkFileError(
            f"No weights found: {_describe_root(root)}. Wanted a state_dict. {EXPORT_ADVICE}"
        )
    usual = [candidate for candidate in found if not candidate.path or candidate.path[-1] in _USUAL_KEYS]
    if len(found) > 1 and len(usual) != 1:
        names = [".".join(candidate.path) or "(top level)" for candidate in found]
        raise NetworkFileError(
            f"The checkpoint holds {len(found)} state_dicts ({quote_some(names)}) and it is unclear which is "
            f"the network. Save that one alone. {EXPORT_ADVICE}"
        )
    return usual[0] if len(found) > 1 else found[0]


def _describe_root(root: Any) -> str:
    if isinstance(root, Inert):
        return (
            f"this is a whole pickled object of class {quote(root.name)}, which is code and not a state_dict"
        )
    if isinstance(root, StoredTensor):
        return "this is a single tensor, without a name"
    if not isinstance(root, dict):
        return f"the file holds a {type(root).__name__}"
    objects = [f"{key}: {value.name}" for key, value in root.items() if isinstance(value, Inert)]
    if objects:
        return f"the file holds pickled objects ({quote_some(objects)}), which are code and not tensors"
    return (
        f"the file holds the entries {quote_some([str(key) for key in root])}"
        if root
        else "the file holds nothing"
    )


def _named_tensors(table: Mapping[Any, Any]) -> dict[str, StoredTensor]:
    """The tensors of a state_dict; anything else in it is left out, unless it stands where a weight would."""
    tensors = {}
    for key, value in table.items():
        if isinstance(value, StoredTensor):
            if not isinstance(key, str):
                raise NetworkFileError(
                    f"A tensor has a name that is not text. Wanted a state_dict. {EXPORT_ADVICE}"
                )
            tensors[key] = value
        elif isinstance(value, Inert) and str(key).endswith(("weight", "bias")):
            raise NetworkFileError(
                f"{quote(key)} is an object of class {quote(value.name)}; wanted a tensor. {EXPORT_ADVICE}"
            )
    if len(tensors) > limits.TENSORS:
        raise NetworkFileError(
            f"The file holds {len(tensors):,} tensors; at most {limits.TENSORS:,} are read. {EXPORT_ADVICE}"
        )
    return tensors


def _facts(root: Any, table: Mapping[Any, Any]) -> dict[str, str]:
    """Numbers and texts stored beside the tensors, which may say omega_0 or the pixel range."""
    facts = _scalars(table)
    if isinstance(root, dict):
        for name in _SETTINGS:
            facts |= _scalars(root.get(name))
        facts |= _scalars(root)
    return facts


def _scalars(table: Any) -> dict[str, str]:
    if not isinstance(table, dict):
        return {}
    pairs = [(key, _scalar_text(value)) for key, value in table.items() if isinstance(key, str)]
    return {key: text for key, text in pairs if text is not None}


def _scalar_text(value: Any) -> str | None:
    if isinstance(value, StoredTensor):
        return _integer_text(value)
    if isinstance(value, (str, bool, float)) or (isinstance(value, int) and abs(value) < 2**63):
        return str(value)
    if (
        isinstance(value, (list, tuple))
        and 0 < len(value) < 4
        and all(type(v) in (int, float) for v in value)
    ):
        return str([float(v) for v in value]) if all(abs(v) < 1e300 for v in value) else None
    return None


def _integer_text(tensor: StoredTensor) -> str | None:
    """A single integer that was saved as a tensor, such as a label."""
    if not tensor.is_integer or tensor.shape != ():
        return None
    size = INTEGERS[tensor.dtype]
    data = bytes(tensor.data[tensor.offset * size :][:size]) if tensor.offset >= 0 else b""
    signed = not tensor.dtype.startswith("u")
    return str(int.from_bytes(data, "little", signed=signed)) if len(data) == size else None
