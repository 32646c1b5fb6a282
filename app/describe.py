"""What a network is, whether something is wrong with it, and what can be done with it here. No gradio."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from app import actions, generalization, tickets
from app.actions import RequestError, Source, reading, zoo
from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Add, Concat, Conv, Linear
from nfn.network import Network
from nfn.reader.stored import load_file, parse_file
from zoo.errors import ZooError


@dataclass(frozen=True)
class LayerDescription:
    """A weight by its name in the file, with its shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Description:
    """What is true of a network's file. `inputs` is one input's shape, without the batch; None where it is not known.

    `health` are sentences on what is wrong, `can` the endpoints of the API that take the network, `assumed` what was
    taken for granted where the file does not say it.
    """

    format: str
    family: str
    layers: tuple[LayerDescription, ...]
    parameters: int
    dtypes: tuple[str, ...]
    inputs: tuple[int, ...] | None
    classes: int | None
    health: tuple[str, ...]
    can: tuple[str, ...]
    assumed: tuple[str, ...]
    notes: tuple[str, ...]


def describe(source: Source) -> Description:
    """Describe the network behind `source`, of whatever kind; RequestError where it cannot be read at all."""
    with reading():
        network = generalization.read_any(source)
        form, dtypes = _stored_as(source)
    architecture, assumed = _computes(source, network)
    tensors = network.tensors()
    weights = [LayerDescription(name, tuple(t.shape)) for name, t in tensors.items() if t.dim() > 1]
    outputs = None if architecture is None else architecture.output_shape
    return Description(
        format=form,
        family=_family(network, architecture),
        layers=tuple(weights),
        parameters=network.parameters,
        dtypes=dtypes,
        inputs=None if architecture is None else architecture.input_shape,
        classes=outputs[0] if outputs and network.kind == "classifier" else None,
        health=tuple(_health(tensors)),
        can=tuple(name for name, takes in TASKS.items() if _takes(takes, source)),
        assumed=assumed,
        notes=network.notes,
    )


def _stored_as(source: Source) -> tuple[str, tuple[str, ...]]:
    if source.zoo_id is not None:
        return "zoo", ("float32",)
    path = Path(source.path or "")
    data, layout = load_file(path)
    if layout == "onnx":
        return layout, ("float32",)
    stored = parse_file(path, data, layout, source.part or None)
    return layout, tuple(sorted({tensor.dtype for tensor in stored.tensors.values()}))


def _computes(source: Source, network: Network) -> tuple[Architecture | None, tuple[str, ...]]:
    """The network's graph, as far as it is known, and what was assumed for it."""
    if network.kind != "classifier":
        return (network.graph.architecture if network.graph else None), _assumed(source, network)
    try:
        classifier = generalization.classifier_of(source)
    except RequestError:
        return None, network.assumed
    return (classifier.graph.architecture if classifier.graph else None), classifier.assumed


def _assumed(source: Source, network: Network) -> tuple[str, ...]:
    """What was found of a SIREN's convention, too, where it can be drawn."""
    try:
        return actions.open_network(source).assumed
    except RequestError:
        return network.assumed


def _family(network: Network, architecture: Architecture | None) -> str:
    """In words that people search for; "unknown" where the graph is not known."""
    if network.kind == "siren":
        return "siren"
    if architecture is None:
        return "unknown"
    kinds = {type(op) for op in architecture.ops}
    if Conv not in kinds:
        return "mlp" if Linear in kinds else "unknown"
    if Concat in kinds:
        return "cnn with concatenations"
    return "residual cnn" if Add in kinds else "cnn"


def _health(tensors: dict[str, torch.Tensor]) -> list[str]:
    """What is wrong with the values; NaN and infinity were refused when the file was read."""
    findings = []
    for name, tensor in tensors.items():
        if tensor.dim() > 1 and not bool(tensor.any()):
            findings.append(f"{name}: all weights are zero, so this layer passes nothing on.")
        elif tensor.dim() > 1 and tensor.numel() > 1 and bool((tensor == tensor.flatten()[0]).all()):
            findings.append(f"{name}: all weights are equal, so its units do the same.")
        elif float(tensor.abs().max()) > 65_504:
            findings.append(f"{name}: values beyond half precision's range (65,504).")
    return findings


def _takes(task: Callable[[Source], object], source: Source) -> bool:
    try:
        task(source)
    except (RequestError, ZooError, ValueError):
        return False
    return True


def _classifies(source: Source) -> None:
    if generalization.classifier_of(source).fault is not None:
        raise RequestError("not a classifier of pictures that are known")


TASKS: dict[str, Callable[[Source], object]] = {
    "predict_generalization": _classifies,
    "winning_ticket": tickets.open_init,
    "classify_inr": actions.open_network,
    "edit_inr": actions.open_network,
}
"""Endpoints, and what raises where they do not take a network."""


def list_collections() -> list[dict]:
    """Name, title, kind, number of networks and images of each collection of the zoo."""
    return [
        {
            "collection": info.name,
            "title": info.title,
            "kind": info.kind,
            "networks": info.count,
            "images": zoo().collection(info.name).images,
            "example": zoo().rows(info.name, limit=1)[0]["id"],
        }
        for info in zoo().collections()
    ]
