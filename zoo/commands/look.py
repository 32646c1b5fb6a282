"""`python -m zoo look`: describe a checkpoint without loading it."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from nfn.checkpoint import open_checkpoint
from nfn.checkpoint.listing import TensorInfo
from nfn.look import Look, Node, look
from nfn.look.words import as_dict, facts, shape_text
from zoo.commands.predictions import COMMANDS
from zoo.errors import ZooError, shorten
from zoo.hub_checkpoint import open_hub_checkpoint
from zoo.next_steps import NextSteps, next_steps
from zoo.remote import HUB_ID

console = Console()
DEPTH = 4
SHOWN = 40


def show_look(
    what: Annotated[str, typer.Argument(help="a file, the index of its shards, or owner/name on the Hub")],
    as_json: Annotated[bool, typer.Option("--json", help="print the full description as JSON")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="print the tree down to every tensor")] = False,
) -> None:
    """Describe a checkpoint: format, tensors, layers, architecture, and which commands take it."""
    seen = look(open_checkpoint(what) if is_file(what) else open_hub_checkpoint(what))
    steps = next_steps(Path(what)) if Path(what).is_file() else None
    if as_json:
        print(json.dumps({**as_dict(seen), "next": _commands(what, steps)}, indent=2))
        return
    console.print(_facts(seen))
    console.print(_tree(seen.tree, 99 if deep else DEPTH))
    for command in _commands(what, steps):
        console.print(f"[bold]Next:[/] {escape(command)}", highlight=False)
    if steps is not None and steps.network is None:
        console.print(f"[dim]No predictor can read it: {escape(steps.why)}[/]", highlight=False)


def is_file(what: str) -> bool:
    """Whether `what` is a file here, and not a model on the Hub; ZooError if it can be neither."""
    if not Path(what).exists() and not HUB_ID.fullmatch(what):
        raise ZooError(f"{shorten(what)} is neither a file here nor owner/name of a model on the Hub.")
    return Path(what).exists()


def _commands(what: str, steps: NextSteps | None) -> list[str]:
    if steps is None or steps.network is None:
        return []
    return [f"python -m zoo predict {name} {what}" for name in COMMANDS[steps.network.kind]]


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
