"""The storage of pairs of an initialization and its winning ticket: a seed with a checksum, and packed bits."""

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.network import Network
from nfn.pruning import Masks
from nfn.reader.write import safetensors_bytes
from nfn.sparse_training import default_init
from nfn.spec import NetworkSpec
from nfn.tickets import TicketPredictor
from zoo.errors import ZooError
from zoo.files import write_whole
from zoo.shards import shard_paths, write_rows


class TicketShard:
    """The masks of a shard's networks, a table row for each (with its seed), and the names of the weights."""

    def __init__(self, masks: Masks, rows: list[dict], names: Sequence[str]):
        self.masks, self.rows, self.names = masks, rows, names

    def write(self, folder: Path, number: int) -> None:
        """Write the masks as stacked rows of bits `(n, bytes)`, then the table rows."""
        tensors = {name: pack(mask) for name, mask in zip(self.names, self.masks, strict=True)}
        write_whole(shard_paths(folder, number)[0], lambda part: save_file(tensors, part))
        write_rows(folder, number, self.rows)


PREDICTORS = {"tickets-mnist": "mnist", "tickets-cifar10": "cifar10"}
"""The predictors that score initializations, one for each architecture, with their image sets."""


def predictor_for(network: Network, load: Callable[[str], TicketPredictor]) -> tuple[str, TicketPredictor]:
    """The name of the predictor for a network's architecture, and the predictor; `load` returns each by name.

    Raises ZooError if there is none.
    """
    models = {name: load(name) for name in PREDICTORS}
    faults = {name: model.fault(network) for name, model in models.items()}
    name = next((name for name, fault in faults.items() if fault is None), None)
    if name is None:
        raise ZooError(
            f"No ticket predictor supports this network. {' '.join(map(str, dict.fromkeys(faults.values())))}"
        )
    return name, models[name]


def write_mask(names: Sequence[str], masks: Masks, sparsity: float, path: Path) -> None:
    """Write a network's mask as safetensors: uint8, 1 for each kept weight, under the network's tensor names."""
    tensors = {
        name: layer[0, 0].to(torch.uint8).contiguous() for name, layer in zip(names, masks, strict=True)
    }
    path.write_bytes(safetensors_bytes(tensors, {"kind": "mask", "sparsity": f"{sparsity:g}"}))


def pack(mask: Tensor) -> Tensor:
    """Pack `(n, ...)` bool into `(n, bytes)` uint8, eight weights per byte."""
    return torch.from_numpy(np.packbits(mask.flatten(1).numpy(), axis=1))


def unpack(packed: Tensor, shape: Sequence[int]) -> Tensor:
    """The inverse of `pack`: `(n, 1, *shape)`."""
    bits = np.unpackbits(packed.numpy(), axis=1, count=math.prod(shape))
    return torch.from_numpy(bits).bool().view(-1, 1, *shape)


def packed_size(shape: Sequence[int]) -> int:
    """The number of bytes of a packed mask."""
    return math.ceil(math.prod(shape) / 8)


def checksum(init: WeightSpaceFeatures) -> str:
    """SHA-256 of the float32 bytes of one network, weight and bias in turn."""
    digest = hashlib.sha256()
    for weight, bias in init:
        digest.update(weight.cpu().numpy().astype("<f4").tobytes())
        digest.update(bias.cpu().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def regenerate(spec: NetworkSpec, seeds: Sequence[int], checksums: Sequence[str]) -> WeightSpaceFeatures:
    """Regenerate initializations from their seeds; ZooError if the bits differ from those that were trained."""
    init = default_init(spec, seeds)
    for number, expected in enumerate(checksums):
        if checksum(init.select(number)) != expected:
            raise ZooError(
                f"Seed {seeds[number]} gives another initialization here than where the zoo was built: this version of "
                "torch draws other random numbers. Use the one in constraints.txt."
            )
    return init
