"""`python -m zoo look`: what a checkpoint is, without loading it."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from nfn.checkpoint import Checkpoint, open_checkpoint
from nfn.checkpoint.listing import TensorInfo
from nfn.look import Look, Node, look
from nfn.look.words import as_dict, facts, shape_text
from zoo.errors import ZooError, shorten
from zoo.hub_checkpoint import open_hub_checkpoint
from zoo.next_steps import NextSteps, next_steps
from zoo.remote import HUB_ID

console = Console()
COMMANDS = {
    "siren": ("predict inr", "predict edit"),
    "classifier": ("predict generalization", "predict ticket"),
}
"""What `python -m zoo` can do with a network of a kind."""
DEPTH = 4
SHOWN = 40


def show_look(
    what: Annotated[
        str, typer.Argument(help="a file, the index of shards beside it, or owner/name on the Hub")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="all of it, for programs")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="the tree to its last tensor")] = False,
) -> None:
    """Say what a checkpoint is: format, tensors, layers, architecture, and what can be done with it next."""
    seen = look(open_any(what))
    steps = next_steps(Path(what)) if Path(what).is_file() else None
    if as_json:
        print(json.dumps({**as_dict(seen), "next": _commands(what, steps)}, indent=2))
        return
    console.print(_facts(seen))
    console.print(_tree(seen.tree, 99 if deep else DEPTH))
    for command in _commands(what, steps):
        console.print(f"[bold]Next:[/] {escape(command)}", highlight=False)
    if steps is not None and steps.network is None:
        console.print(f"[dim]No predictor reads it: {escape(steps.why)}[/]", highlight=False)


def open_any(what: str) -> Checkpoint:
    """The checkpoint in a file, or on the Hub where `what` is no file; ZooError where it is neither."""
    if Path(what).exists():
        return open_checkpoint(what)
    if not HUB_ID.fullmatch(what):
        raise ZooError(f"{shorten(what)!r} is neither a file here nor owner/name of a model on the Hub.")
    return open_hub_checkpoint(what)


def _commands(what: str, steps: NextSteps | None) -> list[str]:
    return [] if steps is None else [f"python -m zoo {verb} {what}" for verb in COMMANDS.get(steps.kind, ())]


def _facts(seen: Look) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, text in facts(seen):
        table.add_row(f"[dim]{escape(name)}[/]", escape(text))
    return table


def _tree(node: Node, depth: int) -> Tree:
    root = Tree(_label(node) if node.name else "[bold]layers[/]")
    _grow(root, node, depth)
    return root


def _grow(branch: Tree, node: Node, depth: int) -> None:
    for tensor in node.tensors[:SHOWN]:
        branch.add(_tensor(tensor))
    for child in node.children[:SHOWN]:
        if child.children:
            inner = branch.add(_label(child))
            if depth > 1:
                _grow(inner, child, depth - 1)
        else:
            branch.add(f"{_label(child)}  {', '.join(map(_tensor, child.tensors[:SHOWN]))}")
    hidden = max(0, len(node.children) - SHOWN) + max(0, len(node.tensors) - SHOWN)
    if hidden:
        branch.add(f"[dim]… and {hidden:,} more[/]")


def _tensor(tensor: TensorInfo) -> str:
    return f"{escape(tensor.name)} [dim]{shape_text(tensor.shape)}[/]"


def _label(node: Node) -> str:
    alike = f", {node.alike} alike" if node.alike > 1 else ""
    return f"[bold]{escape(node.name)}[/] [dim]{node.values:,}{alike}[/]"
