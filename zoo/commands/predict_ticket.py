"""`python -m zoo predict ticket`: the winning ticket of an initialization, as a file and as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.markup import escape

from nfn.network import Network
from nfn.pruning import kept_per_layer, top_masks
from nfn.reader import read_network
from nfn.tickets import Ticket, TicketPredictor, TicketReader
from zoo.catalog import Zoo
from zoo.commands.browse import ZooOption
from zoo.commands.overwrite import OverwriteOption, check_new
from zoo.commands.predict import NetworkArgument, PartOption, is_file
from zoo.commands.rows import narrow_table, print_rows
from zoo.errors import ZooError
from zoo.graph_tickets import RULE, as_family, assume_images, find_ticket, set_up
from zoo.remote import open_zoo
from zoo.tickets import predictor_for, write_mask
from zoo.training import STDERR

console = Console()


def predict_ticket(
    network: NetworkArgument,
    sparsity: Annotated[float, typer.Option(help="fraction of the weights to prune")] = 0.95,
    out: Annotated[Path | None, typer.Option(help="file to write the mask to (safetensors, uint8)")] = None,
    overwrite: OverwriteOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV, a row per layer")] = False,
    part: PartOption = None,
    reader: Annotated[
        TicketReader | None,
        typer.Option(help="weights alone, or a short training on stored images; else the best"),
    ] = None,
    zoo: ZooOption = None,
) -> None:
    """Predict which few weights of an untrained network are worth training."""
    if out is not None:
        check_new(out, overwrite)
    opened = open_zoo(zoo)
    scored = (
        _score_file(opened, network, part, reader)
        if is_file(opened, network)
        else _score(opened, opened.network(network), reader)
    )
    masks = top_masks(scored.ticket.scores, sparsity)
    if out is not None:
        write_mask(scored.names, masks, sparsity, out)
    facts, note = describe(scored.names, masks), scored.ticket.sentence
    whole = {"network": network, "sparsity": sparsity, "layers": facts, "note": note, "assumed": scored.assumed,
             "reader": scored.ticket.reader, "predictor": scored.rule}  # fmt: skip
    if not print_rows(facts if as_csv else [whole], as_json, as_csv):
        _print(facts, note, scored)
    if out is not None:
        STDERR.print(f"{out}: the mask, which keeps {1 - sparsity:.1%} of the weights.", highlight=False)


@dataclass(frozen=True)
class Scored:
    """A ticket, the names of its weights, the assumptions that were made, and the predictor or rule."""

    ticket: Ticket
    names: list[str]
    assumed: tuple[str, ...]
    rule: str


def _score_file(zoo: Zoo, path: str, part: str | None, reader: TicketReader | None) -> Scored:
    """Score by the predictor of the network's architecture, or else by the general rule."""
    network = read_network(path, part=part)
    try:
        return _score(zoo, as_family(network) or network, reader, images_known=False)
    except ZooError:
        setup = set_up(network)
        model = zoo.predictor(setup.predictor, TicketPredictor)
        if reader == "weights":
            raise ValueError(model.weights_need) from None
        return Scored(find_ticket(setup, model), setup.names, setup.assumed, RULE)


def _score(zoo: Zoo, init: Network, reader: TicketReader | None, images_known: bool = True) -> Scored:
    """Score by the predictor of the network's architecture; ZooError if there is none."""
    name, model = predictor_for(init, lambda name: zoo.predictor(name, TicketPredictor))
    assumed = () if images_known else (assume_images(name, model.config.input_shape),)
    return Scored(model.predict(init, reader), [x.weight for x in init.names], assumed, name)


def describe(names: Sequence[str], masks: list[torch.Tensor]) -> list[dict]:
    """Name, shape, kept and total of every layer."""
    rows = zip(names, masks, kept_per_layer(masks)[0].tolist(), strict=True)
    return [
        {"name": name, "shape": list(mask.shape[2:]), "kept": count, "total": mask.numel()}
        for name, mask, count in rows
    ]


def _print(facts: list[dict], note: str, scored: Scored) -> None:
    table = narrow_table("Weights", "Shape", "Kept", "of")
    for layer in facts:
        shape = "×".join(map(str, layer["shape"]))
        table.add_row(escape(layer["name"]), shape, f"{layer['kept']:,}", f"{layer['total']:,}")
    table.add_section()
    table.add_row("all", "", *(f"{sum(layer[key] for layer in facts):,}" for key in ("kept", "total")))
    console.print(table)
    if note:
        console.print(f"[bold]This looks trained; tickets are for initializations.[/] {escape(note)}")
    read = {"weights": "weights alone", "training": "a short training on stored images"}[scored.ticket.reader]
    console.print(f"Read from {read}, by {scored.rule}.")
    for sentence in scored.assumed:
        console.print(escape(sentence))
