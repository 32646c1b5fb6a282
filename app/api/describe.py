"""Describe a network or checkpoint: what it is, what is wrong with it, and which endpoints take it. No gradio."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.networks.source import Source, reader_errors
from app.networks.zoos import zoo_at
from app.runtime.errors import RequestError
from app.tabs.checkpoint import actions as checkpoint_actions
from app.tabs.generalization import actions as generalization_actions
from app.tabs.inr import actions as inr_actions
from app.tabs.tickets import actions as tickets_actions
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

ON_HUB = (
    "Only the headers of models on the Hub are read. Download a file and send it to have its values read."
)
MAX_NODES = 2_000
"""Modules and weights that an answer lists."""


@dataclass(frozen=True)
class LayerDescription:
    """A weight: its name in the file, and its shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Description:
    """A description of a network's file. `inputs` is the shape of one input, without the batch; None if unknown.

    `health` are sentences on what is wrong, `can` the API endpoints that take the network, `assumed` what was assumed
    because the file does not say it. `architecture` is its name if names and shapes determine it, `tree` the modules of
    the file (see `nfn.look.words.as_dict`), `refusal` why no predictor reads it.
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
    """Describe a model on the Hub from its headers; raises the errors of `look_on_hub`."""
    seen = checkpoint_actions.look_on_hub(hub_id).look
    return _named(_describe_look(seen, ON_HUB), seen)


def describe(source: Source) -> Description:
    """Describe the network or checkpoint of `source`; RequestError if it is neither."""
    if source.path is None:
        tensors = generalization_actions.read_any(source).tensors()
        return replace(_describe_network(source), health=_health(of_tensors("zoo", tensors)))
    checkpoint = checkpoint_actions.open_upload(source.path)
    seen = look(checkpoint)
    try:
        described = _describe_network(source)
    except RequestError as error:
        described = _describe_look(seen, str(error))
    return _named(replace(described, health=_health(checkpoint)), seen)


def _named(described: Description, seen: Look) -> Description:
    """Add the architecture's name and the tree."""
    name = seen.architecture.name if seen.architecture else None
    cut = replace(seen, tree=pruned(seen.tree, MAX_NODES))
    return replace(described, architecture=name, tree=as_dict(cut)["tree"])


def _health(checkpoint: Checkpoint) -> tuple[str, ...]:
    return tuple(sentences(examine(checkpoint)))


def _describe_look(seen: Look, refusal: str) -> Description:
    """Describe a checkpoint that no predictor reads, from its names, types and shapes."""
    known = seen.architecture
    weights = [LayerDescription(name, shape) for name, shape in tensors_of(seen.tree) if len(shape) > 1]
    shape = seen.inputs[0].shape if len(seen.inputs) == 1 else None
    return Description(
        format=seen.format,
        family=known.name if known else "unknown",
        layers=tuple(weights[:MAX_NODES]),
        parameters=seen.parameters,
        dtypes=tuple(seen.dtypes),
        inputs=None
        if shape is None or None in shape[1:]
        else tuple(size for size in shape[1:] if size is not None),
        classes=known.classes if known else None,
        health=seen.broken,
        can=(),
        assumed=(),
        notes=seen.notes,
        refusal=refusal,
    )


def _describe_network(source: Source) -> Description:
    """Describe a network that a predictor may read; RequestError if the reader finds no network in the file."""
    with reader_errors():
        network = generalization_actions.read_any(source)
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
    """The network's graph if it is known, and what was assumed for it."""
    if network.kind != "classifier":
        return (network.graph.architecture if network.graph else None), _assumed(source, network)
    try:
        classifier = generalization_actions.classifier_of(source)
    except RequestError:
        return None, network.assumed
    return (classifier.graph.architecture if classifier.graph else None), classifier.assumed


def _assumed(source: Source, network: Network) -> tuple[str, ...]:
    """What was assumed, including a SIREN's convention if it can be drawn."""
    try:
        return inr_actions.open_network(source).assumed
    except RequestError:
        return network.assumed


def _family(network: Network, architecture: Architecture | None) -> str:
    """The family as a common name; "unknown" if the graph is not known."""
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
    if generalization_actions.classifier_of(source).fault is not None:
        raise RequestError("not a classifier of a known image set")


TASKS: dict[str, Callable[[Source], object]] = {
    "predict_generalization": _classifies,
    "winning_ticket": tickets_actions.open_initialization,
    "classify_inr": inr_actions.open_network,
    "edit_inr": inr_actions.open_network,
}
"""By endpoint, a function that raises if the endpoint does not take a network."""


def list_collections() -> list[dict]:
    """Name, title, kind, number of networks, image set and an example id of each collection of the zoo."""
    return [
        {
            "collection": info.name,
            "title": info.title,
            "kind": info.kind,
            "networks": info.count,
            "images": zoo_at().collection(info.name).images,
            "example": zoo_at().rows(info.name, limit=1)[0]["id"],
        }
        for info in zoo_at().collections()
    ]


def cards() -> str:
    """The cards of the zoo's predictors, one after another, without their front matter."""
    texts = ((info.name, zoo_at().card(info.name)) for info in zoo_at().predictors())
    return "\n\n".join(f"<!-- {name} -->\n{_body(text)}" for name, text in texts if text)


def _body(card: str) -> str:
    return card.split("---\n", 2)[-1].strip() if card.startswith("---\n") else card
