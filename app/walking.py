"""The straight path from one network to another, before and after their hidden units are aligned. No gradio."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app import actions, generalization
from app.actions import RequestError, Source
from app.cost import MAX_MULTIPLICATIONS
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
"""How far along the path a classifier is measured."""
PICTURES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far along the path a SIREN is drawn."""
IMAGES, LEAST = 400, 50
"""Test images at each place: as many as the time allows between these."""
MAX_UNITS = 2_048
"""Hidden units of one group: the assignment takes their cube."""
OTHERS = "Only networks of one architecture can be aligned: the same layers, of the same sizes."


@dataclass(frozen=True, eq=False)
class Walk:
    """`direct` and `aligned` are what is seen at `shares` of the way: accuracies (0 to 1), or pictures `(c, H, W)`.

    `seen` test images of the set `images` were answered at each place; 0 and "" for SIRENs. `files` are b aligned with
    a, and the mean of the two.
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
        """Whether SIRENs were drawn, and no classifiers measured."""
        return not self.seen


@torch.no_grad()
def walk(one: Source, other: Source) -> Walk:
    """Walk from one upload to another; RequestError where they are no two networks of one architecture."""
    kinds = {generalization.read_any(source).kind for source in (one, other)}
    if kinds == {"siren"}:
        return _walk_sirens(one, other)
    if kinds == {"classifier"}:
        return _walk_classifiers(one, other)
    raise RequestError(OTHERS)


def _walk_classifiers(one: Source, other: Source) -> Walk:
    first, second = (generalization.classifier_of(source) for source in (one, other))
    if first.fault or first.setting is None:
        raise RequestError(f"{first.fault} So there is nothing to measure on the way.")
    graph, far = generalization.known_graph(first), generalization.known_graph(second)
    a = {name: graph.tensors[name] for name in graph.architecture.shapes}
    b = _counterparts(a, far.tensors)
    found = align(_small(Symmetry.of_graph(graph.architecture)), a, b)
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
        for tensors in (found.tensors, between(a, found.tensors, 0.5))
    ]
    return Walk(SHARES, path(b), path(found.tensors), found, first.setting.images, seen, (files[0], files[1]))


def _counterparts(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if any(name not in b or b[name].shape != tensor.shape for name, tensor in a.items()):
        raise RequestError(OTHERS)
    return {name: b[name] for name in a}


def _small(symmetry: Symmetry) -> Symmetry:
    widest = max(symmetry.sizes.values(), default=0)
    if widest > MAX_UNITS:
        raise RequestError(f"A layer has {widest:,} units; up to {MAX_UNITS:,} are aligned here.")
    return symmetry


def _affordable(graph: Graph) -> int:
    """As many images as can be answered at all places in the time that one visitor gets."""
    cost = graph.architecture.multiplications * 2 * len(SHARES)
    count = min(IMAGES, MAX_MULTIPLICATIONS // max(1, cost))
    if count < LEAST:
        raise RequestError("This network is too large to be measured along the way here.")
    return count


def _accuracy(classifier: Classifier, tensors: dict[str, Tensor], pixels: Tensor, labels: Tensor) -> float:
    between_steps()
    assert classifier.graph is not None, "the caller has asked for it"
    moved = replace(classifier, graph=replace(classifier.graph, tensors=tensors), identified=None)
    batches = zip(pixels.split(generalization.BATCH), labels.split(generalization.BATCH), strict=True)
    right = sum(int((classifiers.answers(moved, part) == wanted).sum()) for part, wanted in batches)
    return right / len(labels)


def _walk_sirens(one: Source, other: Source) -> Walk:
    first, second = (actions.open_network(source) for source in (one, other))
    if first.spec != second.spec:
        raise RequestError(OTHERS)
    space = WeightSpace.of_spec(first.spec)
    a, b = (_named(space, network.normalized) for network in (first, second))
    found = align(_small(Symmetry.of_space(space)), a, b)

    def network_of(tensors: Mapping[str, Tensor]) -> Network:
        rows = [tensors[spec.name][None, None] for spec in space.tensors]
        return second.with_normalized(WeightSpaceFeatures(rows[::2], rows[1::2]))

    def path(end: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return tuple(actions.draw(network_of(between(a, end, share)), 2) for share in PICTURES)

    files = (network_of(found.tensors), network_of(between(a, found.tensors, 0.5)))
    return Walk(PICTURES, path(b), path(found.tensors), found, "", 0, files)


def _named(space: WeightSpace, features: WeightSpaceFeatures) -> dict[str, Tensor]:
    return {spec.name: tensor[0, 0] for spec, tensor in zip(space.tensors, features.tensors, strict=True)}


def save_walk(walked: Walk, name: str, folder: Path) -> list[Path]:
    """Write the aligned and the averaged network into `folder`; give both paths."""
    paths = [folder / f"{actions.safe_stem(name)}-{end}.safetensors" for end in ("aligned", "averaged")]
    for path, network in zip(paths, walked.files, strict=True):
        write_network(network, path)
    return paths
