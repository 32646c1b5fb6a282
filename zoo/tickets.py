"""How a collection keeps pairs of an initialization and its winning ticket: a seed with a checksum, and packed bits."""

import hashlib
import math
from collections.abc import Sequence
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


SUPPORTED = (
    "Supported: MLPs of three linear layers from 784 inputs (MNIST) to 10 classes, and CNNs of three 3×3 convolutions "
    "of stride 2, global average pooling and two linear layers from 3 channels (CIFAR-10) to 10 classes; hidden layers "
    "of any width."
)
FAMILIES = {
    "tickets-mnist": ([(), (), ()], (784, 10)),
    "tickets-cifar10": ([(3, 3), (3, 3), (3, 3), (), ()], (3, 10)),
}
"""Predictor to kernels, layer by layer, and the number of inputs and outputs."""


def family_input(predictor: str) -> tuple[int, ...]:
    """The shape of one input of the networks that a predictor knows."""
    return (784,) if predictor == "tickets-mnist" else (3, 32, 32)


def predictor_for(network: Network) -> str:
    """The name of the predictor that reads networks of this architecture; ZooError says what is supported."""
    if network.chain is None:
        raise ZooError(f"The layers of this network do not stand in one row. {SUPPORTED}")
    kernels = [array.shape[2:] for array in network.spec.weight_spec]
    for name, (wanted, ends) in FAMILIES.items():
        if kernels == wanted and network.spec.get_io() == ends:
            return name
    inputs, outputs = network.spec.get_io()
    convolutions = sum(map(bool, kernels))
    raise ZooError(
        f"This network has {convolutions} convolutions and {len(kernels) - convolutions} linear layers, {inputs} "
        f"inputs and {outputs} outputs: there is no ticket predictor for it. {SUPPORTED}"
    )


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
