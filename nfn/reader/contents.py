"""Everything in a file by its path: tensors, numbers and strings, and the modules of pickled objects."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nfn.reader import limits
from nfn.reader.class_names import is_class_key, names_text
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote, quote_some
from nfn.reader.numpy_rebuild import NumpyArray
from nfn.reader.pickle_objects import Global, Inert, Instance
from nfn.reader.scalars import number_text, tensor_text
from nfn.reader.tensors import StoredTensor

Path = tuple[str, ...]
"""The keys of the enclosing containers, outermost first, and the entry's own key."""

_TRAINING_STATE = re.compile("optim|opt_state|sched|scaler", re.IGNORECASE)
_BATCH_NORM_LIST = ("weight", "bias", "running_mean", "running_var")
"""The order of Keras's `get_weights`."""

_TYPE_NAMES = {"LongText": "text", "str": "text", "memoryview": "row of bytes"}

_OMEGACONF = ("_content", "_val")
"""The attributes of OmegaConf nodes that have their content."""

Attribute = None | bool | int | float | str | tuple


@dataclass(frozen=True)
class ModuleFacts:
    """A module of a pickled network: its class, and its attributes that are plain numbers or strings."""

    class_name: str
    attributes: dict[str, Attribute]


@dataclass
class Contents:
    """The content of a file. Keys of `modules` end in the module's dotted path, "" for the outermost one."""

    tensors: dict[Path, StoredTensor] = field(default_factory=dict)
    facts: dict[Path, str] = field(default_factory=dict)
    modules: dict[Path, ModuleFacts] = field(default_factory=dict)
    objects: dict[Path, str] = field(default_factory=dict)
    """The classes of objects in place of tensors."""
    training_state: list[str] = field(default_factory=list)
    description: str = "the file holds nothing"


def contents_of(value: Any) -> Contents:
    """The content of an unpickled object.

    Raises:
        NetworkFileError: it has more parts than `limits.PARTS`.
    """
    walk = _Walk()
    walk.visit(value, ())
    walk.contents.description = _describe(value)
    return walk.contents


class _Walk:
    """Visits containers depth first; a container may occur many times, but is not visited inside itself."""

    def __init__(self) -> None:
        self.contents = Contents()
        self._visited = 0
        self._around: set[int] = set()
        self._modules: dict[int, tuple[dict, ModuleFacts] | None] = {}

    def visit(self, value: Any, path: Path) -> None:
        self._visited += 1
        if self._visited > limits.PARTS:
            raise NetworkFileError(
                f"The checkpoint was refused: it holds more than {limits.PARTS:,} parts. {EXPORT_ADVICE}"
            )
        if isinstance(value, NumpyArray) and not value.items:
            value = value.tensor
        if isinstance(value, StoredTensor):
            self._tensor(value, path)
        elif isinstance(value, (dict, list, tuple, Inert)):
            self._enter(value, path)
        else:
            self._fact(number_text(value), path)

    def _tensor(self, tensor: StoredTensor, path: Path) -> None:
        if path:
            self.contents.tensors[path] = tensor
            if tensor.is_integer or "." not in path[-1]:
                self._fact(tensor_text(tensor), path)

    def _fact(self, text: str | None, path: Path) -> None:
        if text is not None and path and len(self.contents.facts) < limits.FACTS:
            self.contents.facts[path] = text

    def _enter(self, value: Any, path: Path) -> None:
        if id(value) in self._around or len(path) > limits.DEPTH:
            return
        self._around.add(id(value))
        if isinstance(value, Inert):
            self._object(value, path)
        elif isinstance(value, dict):
            self._table(value, path)
        else:
            self._sequence(value, path)
        self._around.discard(id(value))

    def _table(self, table: dict, path: Path) -> None:
        for key, value in table.items():
            name = key if isinstance(key, str) else str(key) if type(key) is int else None
            if name is None or (len(name) > limits.NAME_CHARACTERS and not isinstance(value, StoredTensor)):
                continue
            names = names_text(value) if is_class_key(name) else None
            if names is not None:
                self._fact(names, (*path, name))
            elif isinstance(value, (dict, list, tuple, Inert)) and _TRAINING_STATE.search(name):
                self.contents.training_state.append(".".join((*path, name)))
            else:
                self.visit(value, (*path, name))

    def _sequence(self, items: list | tuple, path: Path) -> None:
        pairs = _named_pairs(items)
        if pairs is not None:
            self._table(pairs, path)
            return
        self._fact(number_text(items), path)
        if any(isinstance(item, (StoredTensor, dict, list, tuple, Inert)) for item in items):
            for name, item in zip(_names_of(items), items, strict=True):
                self.visit(item, (*path, name))

    def _object(self, value: Inert, path: Path) -> None:
        if path and path[-1].endswith(("weight", "bias")):
            self.contents.objects[path] = value.name
        if isinstance(value, NumpyArray):
            self.visit(value.items[0] if len(value.items) == 1 else value.items, path)
        elif isinstance(value, Instance):
            module = self._read_module(value)
            if module is not None:
                self._module(*module, path, "")
                return
            attributes = value.attributes
            for inner in _OMEGACONF:
                if inner in attributes:
                    self.visit(attributes[inner], path)
                    return
            self._table(attributes, path)
            self._table(value.entries, path)
            if value.items:
                self._sequence(value.items, path)

    def _read_module(self, value: Instance) -> tuple[dict, ModuleFacts] | None:
        """A module's attributes and facts, or None; read once, though the module may be at many places."""
        if id(value) not in self._modules:
            attributes, module = value.attributes, None
            if _is_module(attributes):
                module = attributes, ModuleFacts(value.name, dict(_plain(attributes)))
            self._modules[id(value)] = module
        return self._modules[id(value)]

    def _module(self, attributes: dict, facts: ModuleFacts, path: Path, name: str) -> None:
        """Collect the tensors of a module and its submodules by their state_dict names."""
        self.contents.modules[(*path, name)] = facts
        for part in ("_parameters", "_buffers"):
            for key, tensor in attributes[part].items():
                if isinstance(tensor, StoredTensor):
                    self._tensor(tensor, (*path, _join(name, key)))
        for key, child in attributes["_modules"].items():
            self._submodule(child, path, _join(name, key))

    def _submodule(self, child: Any, path: Path, name: str) -> None:
        self._visited += 1
        if not isinstance(child, Instance) or id(child) in self._around or name.count(".") > limits.DEPTH:
            return
        if self._visited > limits.PARTS or len(name) > limits.NAME_CHARACTERS:
            raise NetworkFileError(
                f"The checkpoint was refused: its modules contain each other without end. {EXPORT_ADVICE}"
            )
        self._around.add(id(child))
        module = self._read_module(child)
        if module is not None:
            self._module(*module, path, name)
        self._around.discard(id(child))


def _is_module(attributes: dict) -> bool:
    """Whether these are the attributes of a `torch.nn.Module`."""
    return all(isinstance(attributes.get(part), dict) for part in ("_parameters", "_buffers", "_modules"))


def _plain(attributes: dict) -> Iterator[tuple[str, Attribute]]:
    for key, value in attributes.items():
        if not isinstance(key, str) or key.startswith("_") or key == "training":
            continue
        if isinstance(value, Global):
            yield key, value.name
        elif value is None or isinstance(value, (bool, int, float, str)):
            yield key, value
        elif isinstance(value, (list, tuple)) and all(isinstance(v, (bool, int, float, str)) for v in value):
            yield key, tuple(value)


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _named_pairs(items: list | tuple) -> dict[str, StoredTensor] | None:
    """A list of pairs of name and tensor, such as `list(model.named_parameters())`, as a dict; else None."""
    pairs = [item for item in items if isinstance(item, tuple) and len(item) == 2]
    if not items or len(pairs) < len(items):
        return None
    if not all(isinstance(name, str) and isinstance(tensor, StoredTensor) for name, tensor in pairs):
        return None
    return dict(pairs)


def _names_of(items: list | tuple) -> list[str]:
    """Names for unnamed tensors: `0.weight`, `0.bias` if each weight is followed by its bias, else numbers."""
    numbers = [str(i) for i in range(len(items))]
    ranks = [_rank(item) for item in items]
    if None in ranks:
        return numbers
    layers: list[list[str]] = []
    for i, rank in enumerate(ranks):
        if rank != 1 or i == 0:
            layers.append([])
        layers[-1].append("vector" if rank == 1 else "weight")
    vectors = [len(layer) - layer.count("weight") for layer in layers]
    if not any(vectors) or any(count not in (0, 1, 4, 5) for count in vectors):
        return numbers
    if layers[0][0] == "vector" and (len(layers) > 1 or vectors != [4]):
        return numbers
    named = [_name_layer(layer) for layer in layers]
    if len(named) == 1:
        return named[0]
    return [f"{i}.{name}" for i, names in enumerate(named) for name in names]


def _name_layer(parts: list[str]) -> list[str]:
    """Names for the tensors of one layer in Keras's order: weight and bias, batch norm, or both."""
    weight, vectors = parts.count("weight"), len(parts) - parts.count("weight")
    names = ["weight"][:weight]
    if vectors in (1, 5):
        names.append("bias")
    if vectors >= 4:
        names += [f"norm.{name}" if weight else name for name in _BATCH_NORM_LIST]
    return names


def _rank(item: Any) -> int | None:
    tensor = item.tensor if isinstance(item, NumpyArray) else item
    return len(tensor.shape) if isinstance(tensor, StoredTensor) and tensor.shape else None


def _describe(root: Any) -> str:
    """A description of a file's content, for the error that it has no weights."""
    if isinstance(root, (StoredTensor, NumpyArray)):
        return "this is a single tensor, without a name"
    if isinstance(root, Inert):
        return f"this is a pickled object of class {quote(root.name)}, and no tensors stand in it"
    if not isinstance(root, dict):
        return f"the file holds a {_TYPE_NAMES.get(type(root).__name__, type(root).__name__)}"
    objects = [
        f"{key}: {value.name}"
        for key, value in root.items()
        if isinstance(value, Inert) and isinstance(key, str)
    ]
    if objects:
        return f"the file holds pickled objects ({quote_some(objects)}), and no tensors stand in them"
    names = [str(key) for key in root if isinstance(key, (str, int))]
    if not root:
        return "the file holds nothing"
    return f"the file holds the entries {quote_some(names)}" if names else "the file holds a table"
