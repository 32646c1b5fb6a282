"""NPLinear and HNPLinear are complete: they span every linear map that their symmetry allows."""

import itertools
import math

import pytest
import torch
from nfn_cases import cnn
from space_cases import REPEATED, SPACES
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.layers import HNPLinear, NPLinear
from nfn.space import SpaceLike, WeightSpace, as_space
from nfn.spec import NetworkSpec

LAYERS = {"np": NPLinear, "hnp": HNPLinear}


def coordinates(space: WeightSpace) -> WeightSpaceFeatures:
    """All coordinate vectors of a weight space as one batch of networks."""
    size = space.get_num_params()
    shapes = [tensor.shape for tensor in space.tensors]
    parts = torch.eye(size, dtype=torch.float64).split([math.prod(shape) for shape in shapes], 1)
    tensors = [part.reshape(size, 1, *shape) for part, shape in zip(parts, shapes, strict=True)]
    return WeightSpaceFeatures.of_tensors(tensors)


def flat(features: WeightSpaceFeatures) -> Tensor:
    return torch.cat([x.flatten(1) for x in features.tensors], 1)


def orbits(space: WeightSpace, kind: str) -> tuple[int, int]:
    """The number of orbits on pairs of coordinates, and on coordinates (Burnside's lemma, every group element)."""
    moved = sorted(space.permuting) if kind == "hnp" else range(len(space.groups))
    basis, fixed = coordinates(space), []
    for element in itertools.product(*(itertools.permutations(range(space.groups[g])) for g in moved)):
        orders = {g: torch.tensor(order) for g, order in zip(moved, element, strict=True)}
        permuted = basis.with_tensors(space.permute(basis.tensors, orders))
        fixed.append(round(flat(permuted).trace().item()))
    return sum(n * n for n in fixed) // len(fixed), sum(fixed) // len(fixed)


def family(layer, basis: WeightSpaceFeatures, names: tuple[str, ...]) -> Tensor:
    """One row per entry of the named parameters: the layer's output, flattened, with this entry 1 and the rest 0."""
    parameters = dict(layer.named_parameters())
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.zero_()
        rows = []
        for name, parameter in parameters.items():
            if not name.startswith(names):
                continue
            for i in range(parameter.numel()):
                parameter.view(-1)[i] = 1
                rows.append(flat(layer(basis)).flatten())
                parameter.view(-1)[i] = 0
    return torch.stack(rows)


TINY = {
    "depth 1": NetworkSpec.mlp(2, 3),
    "depth 2": NetworkSpec.mlp(2, 3, 2),
    "depth 3": NetworkSpec.mlp(2, 2, 3, 2),
    "depth 4": NetworkSpec.mlp(2, 2, 2, 2, 2),
    "siren": NetworkSpec.mlp(2, 3, 2, 1),
    "one hidden neuron": NetworkSpec.mlp(2, 1, 2, 1),
    "cnn depth 1": cnn((2, 2), ((1, 2),)),
    "cnn depth 2": cnn((1, 3, 2), ((1, 2), ())),
    "cnn depth 3, all convolutions": cnn((1, 2, 2, 2), ((1, 2), (2, 1), (1, 2))),
    "cnn depth 4": cnn((1, 2, 2, 2, 2), ((1, 2), (1, 2), (), ())),
    **SPACES,
    **REPEATED,
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("spec", TINY.values(), ids=TINY)
def test_complete(kind: str, spec: SpaceLike):
    """The rank of the family of linear maps is the number of orbits on pairs: no equivariant map is missing."""
    space = as_space(spec)
    maps, biases = orbits(space, kind)
    layer = LAYERS[kind](space, 1, 1).double()
    basis = coordinates(space)
    assert torch.linalg.matrix_rank(family(layer, basis, ("point_map", "line_maps", "pair_maps"))) == maps
    assert torch.linalg.matrix_rank(family(layer, basis.select(0), ("bias",))) == biases
