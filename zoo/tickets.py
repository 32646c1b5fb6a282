"""How a collection keeps pairs of an initialization and its winning ticket: a seed with a checksum, and packed bits."""

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
    """The masks of a shard's networks, a row of facts for each (its seed among them), and the names of the weights."""

    def __init__(self, masks: Masks, rows: list[dict], names: Sequence[str]):
        self.masks, self.rows, self.names = masks, rows, names

    def write(self, folder: Path, number: int) -> None:
        """Write the masks as stacked rows of bits `(n, bytes)`, then the rows of facts."""
        tensors = {name: pack(mask) for name, mask in zip(self.names, self.masks, strict=True)}
        write_whole(shard_paths(folder, number)[0], lambda part: save_file(tensors, part))
        write_rows(folder, number, self.rows)


PREDICTORS = ("tickets-mnist", "tickets-cifar10")
"""The predictors that score initializations, each those of one family."""


def predictor_for(network: Network, load: Callable[[str], TicketPredictor]) -> tuple[str, TicketPredictor]:
    """The predictor that knows the family of a network, and its name; `load` gives each by name.

    Raises ZooError where none does.
    """
    models = {name: load(name) for name in PREDICTORS}
    faults = {name: model.fault(network) for name, model in models.items()}
    name = next((name for name, fault in faults.items() if fault is None), None)
    if name is None:
        raise ZooError(
            f"No ticket predictor knows this network. {' '.join(map(str, dict.fromkeys(faults.values())))}"
        )
    return name, models[name]


def write_mask(names: Sequence[str], masks: Masks, sparsity: float, path: Path) -> None:
    """Write the mask of one network as safetensors: uint8, 1 where a weight is kept, under the names that came in."""
    tensors = {
        name: layer[0, 0].to(torch.uint8).contiguous() for name, layer in zip(names, masks, strict=True)
    }
    path.write_bytes(safetensors_bytes(tensors, {"kind": "mask", "sparsity": f"{sparsity:g}"}))


def pack(mask: Tensor) -> Tensor:
    """`(n, ...)` bool to `(n, bytes)` uint8, eight weights a byte."""
    return torch.from_numpy(np.packbits(mask.flatten(1).numpy(), axis=1))


def unpack(packed: Tensor, shape: Sequence[int]) -> Tensor:
    """The inverse of `pack`: `(n, 1, *shape)`."""
    bits = np.unpackbits(packed.numpy(), axis=1, count=math.prod(shape))
    return torch.from_numpy(bits).bool().view(-1, 1, *shape)


def packed_size(shape: Sequence[int]) -> int:
    """The bytes of a packed mask."""
    return math.ceil(math.prod(shape) / 8)


def checksum(init: WeightSpaceFeatures) -> str:
    """SHA-256 over the float32 bytes of one network, weight and bias in turn."""
    digest = hashlib.sha256()
    for weight, bias in init:
        digest.update(weight.cpu().numpy().astype("<f4").tobytes())
        digest.update(bias.cpu().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def regenerate(spec: NetworkSpec, seeds: Sequence[int], checksums: Sequence[str]) -> WeightSpaceFeatures:
    """Initializations from their seeds; ZooError where the bits are not those that were trained."""
    init = default_init(spec, seeds)
    for number, wanted in enumerate(checksums):
        if checksum(init.select(number)) != wanted:
            raise ZooError(
                f"The initialization of seed {seeds[number]} comes out differently here than where the zoo was built: "
                "this version of torch draws other random numbers. Use the one in constraints.txt."
            )
    return init
