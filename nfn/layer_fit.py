"""Whether adjacent layers of a network fit each other: of any architecture, or of many chains at once.

Gradient steps keep what a unit takes in balanced with what it gives away: while training, inner products of a layer's
rows grow with those of the next layer's columns (arXiv:1806.00900, theorem 2.1). Permuting rows without their columns
leaves every statistic of a single tensor as it is and takes this correlation away.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn.architecture.graph import Architecture
from nfn.compare.align import Place, Symmetry, by_unit
from nfn.features import WeightSpaceFeatures

TRAINED = 3.0
"""The z-score from which layers are said to fit each other."""
NO_FIT = (
    "Its layers do not fit each other as those of most trained networks do: it may hardly have been trained, or the "
    "rows of a layer may be in another order than the columns of the next."
)
PERMUTATIONS = 50
MAX_UNITS = 256
"""Of each hidden group; of larger ones the first."""


@torch.no_grad()
def layer_fit(architecture: Architecture, tensors: Mapping[str, Tensor], seed: int = 0) -> float:
    """A z-score: about standard normal for untrained networks and where rows are permuted without their columns.

    A Mantel test (Cancer Research 27, 1967) for each group of hidden units: the correlation between the cosines of the
    units' incoming weights and those of their outgoing weights, compared with those of `PERMUTATIONS` random orders of
    the units. The groups' z-scores are added and divided by the root of their number (Stouffer). Trained networks
    usually have more than 5. 0 for a network without hidden units.
    """
    symmetry, generator = Symmetry.of_graph(architecture), torch.Generator().manual_seed(seed)
    scores = []
    for places in symmetry.places.values():
        weights = [place for place in places if tensors[place.name].dim() > 1]
        incoming, outgoing = (
            [place for place in weights if (place.axis > 0) == later] for later in (False, True)
        )
        if incoming and outgoing and len(incoming[0].index) > 2:
            scores.append(_mantel(_cosines(incoming, tensors), _cosines(outgoing, tensors), generator))
    return sum(scores) / max(1, len(scores)) ** 0.5


@torch.no_grad()
def chain_fit(features: WeightSpaceFeatures) -> Tensor:
    """Correlations `(B,)`, from -1 to 1, of chains `(B, 1, ...)`: what `layer_fit` tests, averaged over hidden layers.

    Of the cosines of incoming and of outgoing weights, and of their absolute values. Permuting units changes
    nothing. 0 for networks without hidden units.
    """
    pairs = zip(features.weights[:-1], features.biases[:-1], features.weights[1:], strict=True)
    fits = [_fit_of_units(*pair) for pair in pairs]
    return torch.stack(fits).mean(0) if fits else torch.zeros(len(features.weights[0]))


def _fit_of_units(weight: Tensor, bias: Tensor, following: Tensor) -> Tensor:
    """The mean of both correlations `(B,)` of one hidden layer."""
    incoming = _pairwise_cosines(torch.cat([weight[:, 0].flatten(2), bias[:, 0, :, None]], 2))
    outgoing = _pairwise_cosines(following[:, 0].transpose(1, 2).flatten(2))
    return (_correlation(incoming, outgoing) + _correlation(incoming.abs(), outgoing.abs())) / 2


def _pairwise_cosines(vectors: Tensor) -> Tensor:
    """The cosine `(B, pairs)` of each pair of vectors `(B, units, n)`."""
    unit = vectors / vectors.norm(dim=2, keepdim=True).clamp_min(1e-12)
    first, second = torch.triu_indices(vectors.shape[1], vectors.shape[1], 1, device=vectors.device)
    return (unit @ unit.transpose(1, 2))[:, first, second]


def _correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's correlation `(B,)` of tensors `(B, n)`; 0 where one of them is constant."""
    return F.cosine_similarity(x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True), eps=1e-12)


def _cosines(places: list[Place], tensors: Mapping[str, Tensor]) -> Tensor:
    """The cosine `(units, units)` of each pair of units."""
    vectors = torch.cat([by_unit(tensors[place.name][place.rows], place) for place in places], 1)[:MAX_UNITS]
    unit = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return unit @ unit.T


def _mantel(first: Tensor, second: Tensor, generator: torch.Generator) -> float:
    """The z-score of the correlation of two symmetric matrices, diagonals left out; 0 if one is constant."""
    units = len(first)
    pairs = torch.triu_indices(units, units, 1)
    orders = [
        torch.arange(units),
        *(torch.randperm(units, generator=generator) for _ in range(PERMUTATIONS)),
    ]
    rows = torch.stack([second[order[pairs[0]], order[pairs[1]]] for order in orders])
    cosines = first[pairs[0], pairs[1]]
    found, *random = _correlation(cosines[None], rows).tolist()
    spread = torch.tensor(random).std()
    return float((found - torch.tensor(random).mean()) / spread) if spread > 1e-9 else 0.0
