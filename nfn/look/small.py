"""Small networks by structure: recurrent layers, SIRENs by the names of known code, chains of linear layers."""

import itertools
import re

from nfn.look.families import Architecture, Shapes
from nfn.wiring.names import natural_key

_GATED = re.compile(r"(weight|bias)_[ih]h_l\d+(_reverse)?")
_GATES = {4: "LSTM", 3: "GRU", 1: "RNN"}
"""The number of gates of recurrent layers, by which their weights' rows are multiplied (torch.nn)."""


def find_recurrent(shapes: Shapes) -> Architecture | None:
    """`torch.nn.LSTM`, `GRU` or `RNN`, with at most an embedding and a head."""
    first = [name for name in shapes if name.endswith("weight_ih_l0")]
    if len(first) != 1:
        return None
    stem = first[0].removesuffix("weight_ih_l0")
    tall, takes = shapes[first[0]]
    state = shapes.get(f"{stem}weight_hh_l0", (0, 0))[1]
    kind = _GATES.get(tall // state) if state and tall % state == 0 else None
    inside = {
        name.removeprefix(stem): shape
        for name, shape in shapes.items()
        if name.startswith(stem) and _GATED.fullmatch(name.removeprefix(stem))
    }
    layers = sum(name.startswith("weight_ih") and not name.endswith("_reverse") for name in inside)
    both = any(name.endswith("_reverse") for name in inside)
    if (
        kind is None
        or len(shapes) - len(inside) > 6
        or inside != _gated(inside, layers, both, tall, takes, state)
    ):
        return None
    facts = (("layers", str(layers)), ("state", str(state)), ("directions", "both" if both else "one"))
    evidence = f"Weights of {tall // state} times the state, named as in torch.nn.{kind}."
    return Architecture(
        f"{'Bidirectional ' if both else ''}{kind}", evidence, facts, f"sequences of {takes} numbers a step"
    )


def _gated(inside: Shapes, layers: int, both: bool, tall: int, takes: int, state: int) -> Shapes:
    """The tensors of torch.nn.LSTM, GRU or RNN: of every layer and direction, with biases if there is any."""
    kinds = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if "bias_ih_l0" in inside else ()))
    out = {}
    for i, end, kind in itertools.product(range(layers), ("", "_reverse") if both else ("",), kinds):
        into = state if kind == "weight_hh" else takes if i == 0 else state * (1 + both)
        out[f"{kind}_l{i}{end}"] = (tall, into) if kind.startswith("weight") else (tall,)
    return out


def find_siren(shapes: Shapes) -> Architecture | None:
    """A SIREN (arXiv:2006.09661) with the names of its authors' code, or of lucidrains/siren-pytorch."""
    weights = sorted((name for name in shapes if name.endswith("weight")), key=natural_key)
    sines = [name for name in weights if re.fullmatch(r"(?:\w+\.)*net\.\d+\.linear\.weight", name)]
    layers = [name for name in weights if re.fullmatch(r"(?:net\.)?layers\.\d+\.weight", name)]
    other = weights and weights[-1].rpartition(".")[0].rpartition(".")[2] == "last_layer"
    named = len(sines) >= len(weights) - 1 > 0 or (other and len(layers) == len(weights) - 1 > 0)
    if not named or not _is_row(shapes, weights) or shapes[weights[0]][1] > 4:
        return None
    widths = [shapes[name][0] for name in weights]
    facts = (("layers", str(len(weights))), ("width", str(widths[0])))
    evidence = "A row of linear layers from coordinates, named as the sine layers of " + (
        "siren-pytorch." if other else "the paper's code."
    )
    return Architecture("SIREN", evidence, facts, f"{shapes[weights[0]][1]} coordinates")


def find_mlp(shapes: Shapes) -> Architecture | None:
    """Only linear layers, each of which takes the outputs of the previous one."""
    weights = [name for name in shapes if len(shapes[name]) == 2]
    for order in (weights, sorted(weights, key=natural_key)):
        if len(order) > 1 and _is_row(shapes, order):
            sizes = [shapes[order[0]][1], *(shapes[name][0] for name in order)]
            title = f"MLP {'–'.join(map(str, sizes))}" if len(sizes) <= 6 else f"MLP of {len(order)} layers"
            evidence = "Linear layers only, each as wide as the one before gives."
            return Architecture(
                title,
                evidence,
                (("layers", str(len(order))), ("activation", "not in the file")),
                f"{sizes[0]:,} numbers",
            )
    return None


def _is_row(shapes: Shapes, weights: list[str]) -> bool:
    """Whether weights form a chain, and all other tensors are their biases."""
    if any(len(shapes[name]) != 2 for name in weights):
        return False
    fits = all(shapes[b][1] == shapes[a][0] for a, b in itertools.pairwise(weights))
    biases = {re.sub(r"weight$|kernel$", "bias", name): (shapes[name][0],) for name in weights}
    rest = shapes.keys() - set(weights)
    return fits and all(biases.get(name) == shapes[name] for name in rest)
