"""`read_network`: read one checked `Network` from an untrusted file."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch

from nfn.architecture.declared import read_declared
from nfn.architecture.ops import ArchitectureError
from nfn.architecture.views import SirenView, siren_view
from nfn.features import WeightSpaceFeatures
from nfn.network import (
    ClassifierConvention,
    Convention,
    Graph,
    Kind,
    LayerNames,
    Network,
    SirenConvention,
    kind_of,
)
from nfn.reader import limits
from nfn.reader.classifier_convention import (
    check_classifier_convention,
    read_classifier_convention,
    read_norm_after,
    tells_no_sine,
)
from nfn.reader.convention import (
    cap_metadata,
    read_convention,
    read_kind,
    read_layer_order,
    undeclared_parts,
)
from nfn.reader.errors import GRAPH_ADVICE, NetworkFileError, StructureError
from nfn.reader.layers import Chain, find_chain
from nfn.reader.stored import StoredFile, load_file, parse_file
from nfn.reader.tensors import StoredTensor, read_array, to_float32
from nfn.siren_convention.convention import Level
from nfn.siren_convention.words import name_field
from nfn.wiring.batch_norms import UnclearOrderError, WiringError
from nfn.wiring.propose import Proposal, propose
from nfn.wiring.sequence import Sequence, StoredModule, convolution_settings, find_sequence, only_activation


def read_network(
    path: str | Path,
    kind: Kind | None = None,
    convention: Convention | None = None,
    part: str | None = None,
) -> Network:
    """Read a network from an ONNX, safetensors, `torch.save` or NumPy file; no code in it is run.

    `kind` and `convention` override the file's metadata (a convention implies its kind). Without either, a chain of
    linear layers from 2 inputs to 1 or 3 outputs is read as a SIREN in the default convention, and anything else as a
    classifier with an unknown activation and pixels in [-1, 1].

    `part` names one of several networks in a file, such as "actor"; "all" reads everything as one network. For an
    ONNX file it names an output.

    Raises:
        NetworkFileError: the file is not a supported network; the message is for the visitor.
        ValueError: `kind` or `convention` is not valid, or they contradict each other.

        >>> import torch
        >>> torch.save(torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)).state_dict(), "net.pt")
        >>> network = read_network("net.pt")
        >>> network.kind, network.parameters, network.spec.get_io()
        ('classifier', 58, (4, 2))
    """
    kind = checked_kind(kind, convention)
    data, layout = load_file(Path(path))
    if layout == "onnx":
        return from_onnx(data, kind, convention, part)
    return to_network(parse_file(Path(path), data, layout, part), kind, convention)


def checked_kind(kind: Kind | None, convention: Convention | None) -> Kind | None:
    """The given kind, or that of the given convention; ValueError if one is not valid, or they contradict."""
    if kind is not None and kind not in get_args(Kind):
        raise ValueError(f"Got the kind {kind!r}; expected one of {', '.join(get_args(Kind))}.")
    if convention is None:
        return kind
    if isinstance(convention, SirenConvention):
        convention.check()
    else:
        check_classifier_convention(convention)
    if kind not in (None, kind_of(convention)):
        raise ValueError(f"Got the kind {kind!r} and the convention of a {kind_of(convention)}.")
    return kind_of(convention)


def from_onnx(
    data: bytes,
    kind: Kind | None = None,
    convention: Convention | None = None,
    output: str | None = None,
) -> Network:
    """The network in an ONNX file; arguments (already checked) and errors as for `read_network`."""
    from nfn.onnx_reader import read_onnx  # imports the onnx package only when needed

    model = read_onnx(data, output)
    graph = Graph(model.architecture, model.tensors)
    return from_graph(graph, dict(model.metadata), model.notes, kind, convention)


def to_network(
    stored: StoredFile,
    kind: Kind | None = None,
    convention: Convention | None = None,
) -> Network:
    """The network of a file's tensors; arguments (already checked) and errors as for `read_network`."""
    graph = _declared(stored)
    if graph is not None:
        return from_graph(graph, stored.metadata, stored.notes, kind, convention)
    sequence = _sequence(stored)
    if sequence is not None and kind in (None, "classifier"):
        return _from_modules(stored, sequence, convention)
    try:
        chain = chain_of(stored)
        if (chain.norms or chain.input_norms) and sum(
            tensor.numel for tensor in stored.tensors.values()
        ) > limits.FOLDED:
            return _from_proposal(
                stored, convention, StructureError("Batch norm of a network this large is kept.")
            )
        network = from_chain(stored, chain, kind, convention)
    except StructureError as error:
        if kind not in (None, "classifier") or read_layer_order(stored.metadata) is not None:
            raise
        return _from_proposal(stored, convention, error)
    if network.kind != "classifier":
        return network
    return _with_proposal(stored, replace(network, convention=convention or _classifier_of(stored)))


def _declared(stored: StoredFile) -> Graph | None:
    """The graph declared in the file's metadata, or None."""
    try:
        architecture = read_declared(stored.metadata, stored.tensors)
    except ArchitectureError as error:
        raise NetworkFileError(str(error)) from error
    if architecture is None:
        return None
    return Graph(architecture, {name: _load(name, stored.tensors[name]) for name in architecture.shapes})


def from_graph(
    graph: Graph,
    metadata: dict[str, str],
    notes: tuple[str, ...],
    kind: Kind | None = None,
    convention: Convention | None = None,
) -> Network:
    """The network of a declared graph: a SIREN if it maps two coordinates to a pixel value, else a classifier.

    A SIREN whose layers are a plain chain with sines also has them in `chain`.
    """
    undeclared = () if convention else tuple(p for p in undeclared_parts(metadata) if p not in _GRAPH_PARTS)
    view = None if kind == "classifier" else siren_view(graph.architecture, graph.tensors)
    if view is not None and _siren_fault(view.features) is None and len(set(view.omegas[1:])) < 2:
        siren = _siren_of(convention, metadata, view.features.weights[-1].shape[2])
        names = tuple(LayerNames(weight, bias) for weight, bias in view.names)
        network = Network(view.features, _convention_of(view, siren), names, undeclared=undeclared)
    elif kind != "classifier" and _gives_pixels(graph):
        siren = _siren_of(convention, metadata, graph.architecture.output_shape[0])
        network = Network(None, replace(siren, output="linear"), undeclared=undeclared)
    elif kind == "siren":
        raise NetworkFileError("This file declares a network that is not a SIREN of a picture.")
    else:
        network = Network(None, convention or read_classifier_convention(metadata))
    return replace(network, graph=graph, notes=notes, metadata=cap_metadata(metadata))


def _gives_pixels(graph: Graph) -> bool:
    return graph.architecture.input_shape == (2,) and graph.architecture.output_shape in ((1,), (3,))


def _convention_of(view: SirenView, siren: SirenConvention) -> SirenConvention:
    """The convention with omegas, levels and output activation of the graph."""
    first, *rest = (*view.omegas, *view.omegas[-1:])
    low, high = (_unscaled(view, level) for level in (siren.low, siren.high))
    return replace(
        siren,
        first_omega=first,
        hidden_omega=rest[0],
        low=low,
        high=high,
        omega_scales_bias=True,
        output=view.output,
    )


_GRAPH_PARTS = ("first_omega", "hidden_omega", "omega_scales_bias", "output")
"""The parts of a SIREN's convention that a graph determines."""


def _unscaled(view: SirenView, level: Level) -> Level:
    """A level as an output of the last linear layer, before the graph's scale and shift."""
    if isinstance(level, tuple):
        return tuple((value - view.shift) / view.scale for value in level)
    return (level - view.shift) / view.scale


def _sequence(stored: StoredFile) -> Sequence | None:
    """The modules of a pickled `nn.Sequential` image classifier, with their settings; None for other files."""
    try:
        sequence = find_sequence(_modules(stored), _shapes_of(stored)[0])
    except WiringError as error:
        raise NetworkFileError(f"{error}. {GRAPH_ADVICE}") from error
    return sequence if sequence is not None and (sequence.channels or sequence.inputs > 4) else None


def _modules(stored: StoredFile) -> dict[str, StoredModule]:
    return {
        path: StoredModule(path, facts.class_name.rpartition(".")[2], facts.attributes)
        for path, facts in stored.modules.items()
    }


def _proposal(stored: StoredFile) -> Proposal:
    """The proposed wirings of the tensors, given the settings of their modules; WiringError as for `propose`."""
    return propose(*_shapes_of(stored), convolution_settings(_modules(stored)))


def _classifier_of(stored: StoredFile) -> ClassifierConvention:
    """The classifier convention from the file's metadata, or else from its modules."""
    classifier = read_classifier_convention(stored.metadata)
    return replace(classifier, activation=classifier.activation or only_activation(_modules(stored)))


def _from_modules(stored: StoredFile, sequence: Sequence, convention: Convention | None) -> Network:
    """A network whose layers are all known, but not its input images."""
    tensors = {name: _load(name, stored.tensors[name]) for name in sequence.shapes}
    return Network(
        None,
        convention or _classifier_of(stored),
        tuple(LayerNames(*names) for names in sequence.layers),
        metadata=cap_metadata(stored.metadata),
        notes=stored.notes,
        proposal=sequence,
        stored=tensors,
    )


def _from_proposal(stored: StoredFile, convention: Convention | None, error: StructureError) -> Network:
    """A network that is not a plain chain: its layers, and proposals for their wiring."""
    try:
        proposal = _proposal(stored)
    except UnclearOrderError as other:
        raise NetworkFileError(str(other)) from other
    except WiringError as other:
        raise type(error)(f"{error} {GRAPH_ADVICE}") from other
    convention = convention or _classifier_of(stored)
    network = Network(None, convention, metadata=cap_metadata(stored.metadata), notes=stored.notes)
    return _propose(stored, network, proposal)


def _with_proposal(stored: StoredFile, network: Network) -> Network:
    """A chain, with proposals for other wirings if there are any."""
    try:
        return _propose(stored, network, _proposal(stored))
    except WiringError:
        return network


def _propose(stored: StoredFile, network: Network, proposal: Proposal) -> Network:
    """Add a proposal and its tensors; those that the chain has unchanged are shared with it."""
    shared = {} if network.chain is None or proposal.has_norms else network.tensors()
    tensors = {name: _load(name, stored.tensors[name]) for name in proposal.shapes if name not in shared}
    tensors |= {name: shared[name] for name in proposal.shapes if name in shared}
    return replace(network, proposal=proposal, stored=tensors, assumed=(*network.assumed, *proposal.assumed))


def _load(name: str, tensor: StoredTensor) -> torch.Tensor:
    return torch.from_numpy(to_float32(name, read_array(name, tensor)))


def _shapes_of(stored: StoredFile) -> tuple[dict[str, tuple[int, ...]], bool]:
    """Shapes by name, without counters, and whether they are in the order of the modules."""
    floats = {name: tensor for name, tensor in stored.tensors.items() if not tensor.is_integer}
    order = _recorded_order(stored.metadata, stored.tensors)
    if order is not None:
        floats = {**{name: floats[name] for name in order}, **floats}
    return {name: tensor.shape for name, tensor in floats.items()}, stored.in_order or order is not None


def chain_of(stored: StoredFile) -> Chain:
    """Arrange a file's tensors as a chain of layers; no values are read. NetworkFileError if they are not one."""
    order = _recorded_order(stored.metadata, stored.tensors)
    return find_chain(stored.tensors, stored.in_order, order, read_norm_after(stored.metadata))


def from_chain(
    stored: StoredFile,
    chain: Chain,
    kind: Kind | None = None,
    convention: Convention | None = None,
) -> Network:
    """The network of a file's tensors, arranged as in `chain`."""
    notes = (*stored.notes, *chain.notes(stored.tensors))
    layers = chain.build(stored.tensors)
    features = WeightSpaceFeatures(
        [torch.from_numpy(layer.weight)[None, None] for layer in layers],
        [torch.from_numpy(layer.bias)[None, None] for layer in layers],
    )
    kind = kind or read_kind(stored.metadata) or _guess_kind(features, stored.metadata)
    names = tuple(LayerNames(layer.weight_name, layer.bias_name) for layer in layers)
    make = _chain_of_siren if kind == "siren" else _chain_of_classifier
    network = make(features, stored.metadata, convention)
    return replace(
        network, names=names, metadata=cap_metadata(stored.metadata), notes=(*notes, *network.notes)
    )


def _recorded_order(metadata: dict[str, str], tensors: dict[str, StoredTensor]) -> list[str] | None:
    """The order that `write_network` recorded, or None; NetworkFileError unless it names every weight once."""
    order = read_layer_order(metadata)
    weights = sorted(name for name, tensor in tensors.items() if len(tensor.shape) > 1)
    if order is not None and sorted(order) != weights:
        raise NetworkFileError(
            "The metadata 'layer_order' does not name each weight once. Correct or remove it."
        )
    return order


def _guess_kind(features: WeightSpaceFeatures, metadata: dict[str, str]) -> Kind:
    is_siren = _siren_fault(features) is None and not tells_no_sine(metadata)
    return "siren" if is_siren else "classifier"


def _chain_of_siren(
    features: WeightSpaceFeatures, metadata: dict[str, str], convention: Convention | None
) -> Network:
    _check_siren(features)
    undeclared = () if convention else undeclared_parts(metadata)
    siren = _siren_of(convention, metadata, features.weights[-1].shape[2])
    return Network(features, siren, undeclared=undeclared)


def _chain_of_classifier(
    features: WeightSpaceFeatures, metadata: dict[str, str], convention: Convention | None
) -> Network:
    """A classifier; a note says so if the pixels of a convolutional network are assumed."""
    if convention is not None:
        return Network(features, convention)
    convention = read_classifier_convention(metadata)
    assumed = not convention.pixels_known and features.weights[0].dim() == 6
    return Network(features, convention, notes=(PIXELS_ASSUMED,) if assumed else ())


PIXELS_ASSUMED = "The file does not say how pixels were normalized in training: from -1 to 1 is assumed."


def notes_but_pixels(network: Network) -> tuple[str, ...]:
    """The notes of a network, without the one on assumed pixels, for those who find or assume others."""
    return tuple(note for note in network.notes if note != PIXELS_ASSUMED)


def _siren_of(convention: Convention | None, metadata: dict[str, str], outputs: int) -> SirenConvention:
    """The caller's convention, or else the metadata's, checked for a network with `outputs` outputs."""
    if isinstance(convention, SirenConvention):
        convention.check(outputs)
        return convention
    siren = read_convention(metadata)
    try:
        siren.check(outputs)
    except ValueError as error:
        raise NetworkFileError(f"{error} Correct the metadata, or remove it.") from error
    return siren


def _check_siren(features: WeightSpaceFeatures) -> None:
    fault = _siren_fault(features)
    if fault is not None:
        other = name_field(features.weights[0].shape[3], features.weights[-1].shape[2])
        what = f"it has {fault}" if other is None else f"it looks like a SIREN of {other}"
        raise NetworkFileError(
            f"This is not a SIREN of a picture: {what}. "
            f"Supported: linear layers only, from 2 inputs (row, column) to 1 or 3 outputs (gray or RGB)."
        )


def _siren_fault(features: WeightSpaceFeatures) -> str | None:
    inputs, outputs = features.weights[0].shape[3], features.weights[-1].shape[2]
    if any(weight.dim() > 4 for weight in features.weights):
        return "convolutions"
    if inputs != 2:
        return f"{inputs} inputs"
    return None if outputs in (1, 3) else f"{outputs} outputs"
