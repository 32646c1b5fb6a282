"""`python -m zoo predict ticket`: the winning ticket of an initialization, as a file and as a table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
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
from nfn.tickets import Ticket, TicketPredictor
from zoo.catalog import Zoo
from zoo.commands.browse import ZooOption
from zoo.commands.predict import NetworkArgument, PartOption, is_file
from zoo.errors import ZooError
from zoo.graph_tickets import RULE, as_family, assume_images, find_ticket, set_up
from zoo.remote import open_zoo
from zoo.tickets import predictor_for, write_mask

console = Console()


def predict_ticket(
    network: NetworkArgument,
    sparsity: Annotated[float, typer.Option(help="share of the weights that is pruned")] = 0.95,
    out: Annotated[Path | None, typer.Option(help="where the mask goes (safetensors, uint8)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    part: PartOption = None,
    zoo: ZooOption = None,
) -> None:
    """Say which few weights of an untrained network are worth training."""
    opened = open_zoo(zoo)
    judged = (
        _judge_file(opened, network, part)
        if is_file(opened, network)
        else _judge(opened, opened.network(network))
    )
    masks = top_masks(judged.ticket.scores, sparsity)
    if out is not None:
        write_mask(judged.names, masks, sparsity, out)
    facts, note = describe(judged.names, masks), judged.ticket.sentence
    if as_json:
        return print(json.dumps({"network": network, "sparsity": sparsity, "layers": facts, "note": note,
                                 "assumed": judged.assumed, "predictor": judged.rule}))  # fmt: skip
    _print(facts, note, judged.assumed)


@dataclass(frozen=True)
class Judged:
    """A ticket, the weights that it is of, what was assumed, and by which rule."""

    ticket: Ticket
    names: list[str]
    assumed: tuple[str, ...]
    rule: str


def _judge_file(zoo: Zoo, path: str, part: str | None) -> Judged:
    """By the predictor that knows the family, else by the general rule."""
    network = read_network(path, part=part)
    try:
        return _judge(zoo, as_family(network) or network, told=False)
    except ZooError:
        setup = set_up(network)
        ticket = find_ticket(setup, zoo.predictor(setup.predictor, TicketPredictor))
        return Judged(ticket, setup.names, setup.assumed, RULE)


def _judge(zoo: Zoo, init: Network, told: bool = True) -> Judged:
    """By the predictor that knows the family; ZooError where none does. `told`: its images are known."""
    name, model = predictor_for(init, lambda name: zoo.predictor(name, TicketPredictor))
    assumed = () if told else (assume_images(name, model.config.input_shape),)
    return Judged(model.predict(init), [x.weight for x in init.names], assumed, name)


def describe(names: Sequence[str], masks: list[torch.Tensor]) -> list[dict]:
    """Name, shape, kept and total of every layer."""
    rows = zip(names, masks, kept_per_layer(masks)[0].tolist(), strict=True)
    return [
        {"name": name, "shape": list(mask.shape[2:]), "kept": count, "total": mask.numel()}
        for name, mask, count in rows
    ]


def _print(facts: list[dict], note: str, assumed: Sequence[str]) -> None:
    table = Table("Weights", "Shape", "Kept", "of")
    for layer in facts:
        shape = "×".join(map(str, layer["shape"]))
        table.add_row(escape(layer["name"]), shape, f"{layer['kept']:,}", f"{layer['total']:,}")
    table.add_section()
    table.add_row("all", "", *(f"{sum(layer[key] for layer in facts):,}" for key in ("kept", "total")))
    console.print(table)
    if note:
        console.print(f"[bold]This looks trained; tickets are for initializations.[/] {escape(note)}")
    for sentence in assumed:
        console.print(escape(sentence))
