"""What a network is, whether something is wrong with it, and what can be done with it here. No gradio."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app import actions, generalization, looking, tickets
from app.actions import RequestError, Source, reading, zoo
from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Add, Concat, Conv, Linear
from nfn.checkpoint import Checkpoint
from nfn.checkpoint.memory import of_tensors
from nfn.health import examine
from nfn.health.words import sentences
from nfn.look import Look, look
from nfn.look.tree import pruned, tensors_of
from nfn.look.words import as_dict
from nfn.network import Network
from nfn.reader.stored import load_file, parse_file
from zoo.errors import ZooError

ON_HUB = "Only headers are read of models on the Hub: download a file of it, and send that."
MAX_NODES = 2_000
"""Modules, and weights, that an answer lists."""


@dataclass(frozen=True)
class LayerDescription:
    """A weight by its name in the file, with its shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Description:
    """What is true of a network's file. `inputs` is one input's shape, without the batch; None where it is not known.

    `health` are sentences on what is wrong, `can` the endpoints of the API that take the network, `assumed` what was
    taken for granted where the file does not say it. `architecture` is its name where names and shapes fix it, `tree`
    the modules of a file (see `nfn.look.words.as_dict`), `refusal` why no predictor reads it.
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
    architecture: str | None = None
    tree: dict[str, Any] | None = None
    refusal: str = ""


def describe_hub(hub_id: str) -> Description:
    """Describe a model on the Hub from its headers; errors as of `looking.look_on_hub`."""
    seen = looking.look_on_hub(hub_id).look
    return _named(_describe_look(seen, ON_HUB), seen)


def describe(source: Source) -> Description:
    """Describe the network or checkpoint behind `source`, of whatever kind; RequestError where it is neither."""
    if source.path is None:
        tensors = generalization.read_any(source).tensors()
        return replace(_describe_network(source), health=_health(of_tensors("zoo", tensors)))
    checkpoint = looking.open_upload(source.path)
    seen = look(checkpoint)
    try:
        described = _describe_network(source)
    except RequestError as error:
        described = _describe_look(seen, str(error))
    return _named(replace(described, health=_health(checkpoint)), seen)


def _named(described: Description, seen: Look) -> Description:
    """With the architecture's name and the tree."""
    name = seen.architecture.name if seen.architecture else None
    cut = replace(seen, tree=pruned(seen.tree, MAX_NODES))
    return replace(described, architecture=name, tree=as_dict(cut)["tree"])


def _health(checkpoint: Checkpoint) -> tuple[str, ...]:
    return tuple(sentences(examine(checkpoint)))


def _describe_look(seen: Look, refusal: str) -> Description:
    """A checkpoint that no predictor reads: what names, types and shapes say."""
    found = seen.architecture
    weights = [LayerDescription(name, shape) for name, shape in tensors_of(seen.tree) if len(shape) > 1]
    shape = seen.inputs[0].shape if len(seen.inputs) == 1 else None
    return Description(
        format=seen.format,
        family=found.name if found else "unknown",
        layers=tuple(weights[:MAX_NODES]),
        parameters=seen.parameters,
        dtypes=tuple(seen.dtypes),
        inputs=None
        if shape is None or None in shape[1:]
        else tuple(size for size in shape[1:] if size is not None),
        classes=found.classes if found else None,
        health=seen.broken,
        can=(),
        assumed=(),
        notes=seen.notes,
        refusal=refusal,
    )


def _describe_network(source: Source) -> Description:
    """The network that a predictor may read; RequestError where the reader makes none of the file."""
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
        health=(),
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
