"""Linear interpolation between two networks, before and after aligning their hidden units. No gradio."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.networks.source import Source, safe_stem
from app.runtime.cost import MAX_MULTIPLICATIONS
from app.runtime.errors import RequestError
from app.tabs.generalization import actions as generalization_actions
from app.tabs.generalization.measuring import BATCH
from app.tabs.inr import actions as inr_actions
from nfn.compare.align import Alignment, Symmetry, align, between
from nfn.features import WeightSpaceFeatures
from nfn.interrupt import between_steps
from nfn.network import Graph, Network
from nfn.reader.write import write_network
from nfn.space import WeightSpace
from zoo import classifiers
from zoo.bundled import bundled_images, test_images
from zoo.classifiers import Classifier

SHARES = tuple(i / 10 for i in range(11))
"""Interpolation weights at which a classifier is measured."""
PICTURES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Interpolation weights at which a SIREN is drawn."""
IMAGES, MIN_IMAGES = 400, 50
"""The most and the fewest test images at each point, as the time allows."""
MAX_UNITS = 2_048
"""Hidden units of one group: the assignment takes cubic time."""
OTHERS = "Only networks of the same architecture can be aligned: the same layers, with the same sizes."


@dataclass(frozen=True, eq=False)
class Interpolation:
    """`direct` and `aligned` are the results at the weights `shares`: accuracies (0 to 1), or pictures `(c, H, W)`.

    Each accuracy is on `seen` test images of the set `images`; 0 and "" for SIRENs. `files` are the second network
    aligned with the first, and the mean of the two.
    """

    shares: tuple[float, ...]
    direct: tuple[Any, ...]
    aligned: tuple[Any, ...]
    alignment: Alignment
    images: str
    seen: int
    files: tuple[Network, Network]

    @property
    def is_pictures(self) -> bool:
        """Whether the results are pictures of SIRENs rather than accuracies."""
        return not self.seen


@torch.no_grad()
def interpolate(one: Source, other: Source) -> Interpolation:
    """Interpolate between two uploads; RequestError unless both are networks of the same architecture."""
    kinds = {generalization_actions.read_any(source).kind for source in (one, other)}
    if kinds == {"siren"}:
        return _interpolate_sirens(one, other)
    if kinds == {"classifier"}:
        return _interpolate_classifiers(one, other)
    raise RequestError(OTHERS)


def _interpolate_classifiers(one: Source, other: Source) -> Interpolation:
    first, second = (generalization_actions.classifier_of(source) for source in (one, other))
    if first.fault or first.setting is None:
        raise RequestError(f"{first.fault} So the path cannot be measured.")
    graph, far = generalization_actions.require_graph(first), generalization_actions.require_graph(second)
    a = {name: graph.tensors[name] for name in graph.architecture.shapes}
    b = _counterparts(a, far.tensors)
    alignment = align(_small(Symmetry.of_graph(graph.architecture)), a, b)
    channels = first.setting.shape[0]
    pixels, labels = (bundled_images if channels == 1 else test_images)(first.setting.images)
    seen = _affordable(graph)

    def path(end: Mapping[str, Tensor]) -> tuple[float, ...]:
        return tuple(
            _accuracy(first, between(a, end, share), pixels[:seen], labels[:seen]) for share in SHARES
        )

    files = [
        replace(
            second.network, chain=None, proposal=None, stored={}, graph=Graph(graph.architecture, tensors)
        )
        for tensors in (alignment.tensors, between(a, alignment.tensors, 0.5))
    ]
    return Interpolation(
        SHARES, path(b), path(alignment.tensors), alignment, first.setting.images, seen, (files[0], files[1])
    )


def _counterparts(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if any(name not in b or b[name].shape != tensor.shape for name, tensor in a.items()):
        raise RequestError(OTHERS)
    return {name: b[name] for name in a}


def _small(symmetry: Symmetry) -> Symmetry:
    widest = max(symmetry.sizes.values(), default=0)
    if widest > MAX_UNITS:
        raise RequestError(f"A layer has {widest:,} units; up to {MAX_UNITS:,} can be aligned here.")
    return symmetry


def _affordable(graph: Graph) -> int:
    """The number of test images that fits the time limit at all points."""
    cost = graph.architecture.multiplications * 2 * len(SHARES)
    count = min(IMAGES, MAX_MULTIPLICATIONS // max(1, cost))
    if count < MIN_IMAGES:
        raise RequestError("This network is too large to be measured along the path here.")
    return count


def _accuracy(classifier: Classifier, tensors: dict[str, Tensor], pixels: Tensor, labels: Tensor) -> float:
    between_steps()
    assert classifier.graph is not None, "checked by the caller"
    moved = replace(classifier, graph=replace(classifier.graph, tensors=tensors), identified=None)
    batches = zip(pixels.split(BATCH), labels.split(BATCH), strict=True)
    correct = sum(
        int((classifiers.predicted_classes(moved, part) == targets).sum()) for part, targets in batches
    )
    return correct / len(labels)


def _interpolate_sirens(one: Source, other: Source) -> Interpolation:
    first, second = (inr_actions.open_network(source) for source in (one, other))
    if first.spec != second.spec:
        raise RequestError(OTHERS)
    space = WeightSpace.of_spec(first.spec)
    a, b = (_named(space, network.normalized) for network in (first, second))
    alignment = align(_small(Symmetry.of_space(space)), a, b)

    def network_of(tensors: Mapping[str, Tensor]) -> Network:
        rows = [tensors[spec.name][None, None] for spec in space.tensors]
        return second.with_normalized(WeightSpaceFeatures(rows[::2], rows[1::2]))

    def path(end: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return tuple(inr_actions.draw(network_of(between(a, end, share)), 2) for share in PICTURES)

    files = (network_of(alignment.tensors), network_of(between(a, alignment.tensors, 0.5)))
    return Interpolation(PICTURES, path(b), path(alignment.tensors), alignment, "", 0, files)


def _named(space: WeightSpace, features: WeightSpaceFeatures) -> dict[str, Tensor]:
    return {spec.name: tensor[0, 0] for spec, tensor in zip(space.tensors, features.tensors, strict=True)}


def save_networks(result: Interpolation, name: str, folder: Path) -> list[Path]:
    """Write the aligned and the averaged network into `folder`; return both paths."""
    paths = [folder / f"{safe_stem(name)}-{end}.safetensors" for end in ("aligned", "averaged")]
    for path, network in zip(paths, result.files, strict=True):
        write_network(network, path)
    return paths
