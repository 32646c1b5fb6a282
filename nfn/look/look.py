"""`look`: describe a checkpoint without reading its values."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from nfn.checkpoint.listing import Checkpoint, Port
from nfn.look.families import Architecture
from nfn.look.recognise import recognise
from nfn.look.tree import Node, tree_of


@dataclass(frozen=True)
class Look:
    """A description of a checkpoint. `dtypes` counts values by dtype, `ranks` tensors by their number of axes.

    `architecture` is None unless it is certain. `declared_name` is the architecture name in the file, `operators`
    counts the operations of its graph; the other fields are as in `Checkpoint`.
    """

    format: str
    tensors: int
    parameters: int
    nbytes: int
    dtypes: Mapping[str, int]
    ranks: Mapping[int, int]
    tree: Node
    architecture: Architecture | None
    declared_name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    operators: Mapping[str, int]
    metadata: Mapping[str, str]
    broken: tuple[str, ...]
    notes: tuple[str, ...]
    files: tuple[str, ...]


def look(checkpoint: Checkpoint) -> Look:
    """Describe a checkpoint from the names, dtypes and shapes of its tensors.

    Example: `look(open_checkpoint("model.safetensors")).architecture.name` is "BERT-base".
    """
    dtypes: Counter[str] = Counter()
    for tensor in checkpoint.tensors.values():
        dtypes[tensor.dtype] += tensor.numel
    return Look(
        checkpoint.format,
        len(checkpoint.tensors),
        checkpoint.parameters,
        checkpoint.nbytes,
        dict(dtypes.most_common()),
        dict(
            sorted(Counter(len(tensor.shape) for tensor in checkpoint.tensors.values()).items(), reverse=True)
        ),
        tree_of(checkpoint.tensors.values()),
        recognise(checkpoint.shapes),
        checkpoint.declared_name,
        checkpoint.inputs,
        checkpoint.outputs,
        dict(checkpoint.operators),
        dict(checkpoint.metadata),
        checkpoint.broken,
        checkpoint.notes,
        checkpoint.files,
    )
