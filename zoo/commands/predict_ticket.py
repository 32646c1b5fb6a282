"""`python -m zoo predict ticket`: the winning ticket of an initialization, as a file and as a table."""

import json
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nfn.network import Network
from nfn.pruning import kept_per_layer, top_masks
from nfn.reader import read_network
from zoo.commands.browse import ZooOption
from zoo.commands.predict import NetworkArgument, is_file
from zoo.remote import open_zoo
from zoo.tickets import predictor_for, write_mask

console = Console()


def predict_ticket(
    network: NetworkArgument,
    sparsity: Annotated[float, typer.Option(help="share of the weights that is pruned")] = 0.95,
    out: Annotated[Path | None, typer.Option(help="where the mask goes (safetensors, uint8)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    zoo: ZooOption = None,
) -> None:
    """Say which few weights of an untrained network are worth training."""
    opened = open_zoo(zoo)
    init = read_network(network, kind="init") if is_file(opened, network) else opened.network(network)
    name = predictor_for(init)
    ticket = opened.predictor(name).predict(init)
    masks = top_masks(ticket.scores, sparsity)
    if out is not None:
        write_mask(init, masks, sparsity, out)
    facts = describe(init, masks)
    if as_json:
        return print(json.dumps({"network": network, "sparsity": sparsity, "layers": facts, "note": ticket.sentence,
                                 "predictor": name}))  # fmt: skip
    _print(facts, ticket.sentence)


def describe(network: Network, masks: list[torch.Tensor]) -> list[dict]:
    """Name, shape, kept and total of every layer."""
    kept = kept_per_layer(masks)[0].tolist()
    rows = zip(network.names, network.features.weights, kept, strict=True)
    return [
        {"name": names.weight, "shape": list(weight.shape[2:]), "kept": count, "total": weight.numel()}
        for names, weight, count in rows
    ]


def _print(facts: list[dict], note: str) -> None:
    table = Table("Weights", "Shape", "Kept", "of")
    for layer in facts:
        shape = "×".join(map(str, layer["shape"]))
        table.add_row(escape(layer["name"]), shape, f"{layer['kept']:,}", f"{layer['total']:,}")
    table.add_section()
    table.add_row("all", "", *(f"{sum(layer[key] for layer in facts):,}" for key in ("kept", "total")))
    console.print(table)
    if note:
        console.print(f"[bold]This looks trained; tickets are for initializations.[/] {escape(note)}")
