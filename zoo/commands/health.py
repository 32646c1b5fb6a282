"""`python -m zoo health`: whether a checkpoint is healthy, read tensor by tensor."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from nfn.checkpoint import open_checkpoint
from nfn.health import Finding, Health, Spectrum, examine, spectra
from nfn.health.words import names

console = Console()
COLOURS = {"broken": "red", "warning": "yellow", "note": "cyan"}


def show_health(
    path: Annotated[Path, typer.Argument(help="a file, or the index of shards beside it", exists=True)],
    as_json: Annotated[bool, typer.Option("--json", help="all of it, for programs")] = False,
    described: Annotated[
        bool, typer.Option("--spectra", help="each weight's stable rank and tail exponent")
    ] = False,
) -> None:
    """Say whether a checkpoint's values are healthy, what each finding means, and what to do."""
    checkpoint = open_checkpoint(path)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        health = examine(checkpoint, lambda done, of: bar.update(task, completed=done, total=of))
    found = list(spectra(checkpoint)) if described else []
    if as_json:
        print(json.dumps({**as_dict(health), "spectra": [asdict(one) for one in found]}, indent=2))
        return
    _print_findings(health)
    if found:
        _print_spectra(found)


def as_dict(health: Health) -> dict[str, Any]:
    """A health as plain data, each finding with what it means and what to do."""
    findings = [{**asdict(one), "means": one.means, "advice": one.advice} for one in health.findings]
    return {"verdict": health.verdict, "read": health.read, "skipped": health.skipped, "findings": findings}


def _print_findings(health: Health) -> None:
    skipped = f", {health.skipped:,} skipped (integers, quantised, or missing)" if health.skipped else ""
    console.print(f"{health.read:,} tensors read{skipped}: [bold]{health.verdict}[/]", highlight=False)
    for finding in health.findings:
        _print(finding)


def _print(finding: Finding) -> None:
    colour = COLOURS[finding.severity]
    console.print(
        f"\n[bold {colour}]{finding.severity}[/]  [bold]{finding.kind}[/]: {escape(finding.seen)}",
        highlight=False,
    )
    if finding.tensors:
        console.print(f"  in {escape(names(finding))}", highlight=False)
    console.print(f"  {finding.means} {finding.advice}", highlight=False)


def _print_spectra(described: list[Spectrum]) -> None:
    table = Table(
        "weight", "as a matrix", "stable rank", "largest singular value", "tail exponent α", "distance"
    )
    for one in described:
        alpha = "" if one.alpha is None else f"{one.alpha:.2f}"
        shape = " × ".join(map(str, one.shape))
        table.add_row(
            escape(one.name),
            shape,
            f"{one.stable_rank:.1f}",
            f"{one.largest:.3g}",
            alpha,
            f"{one.distance:.3f}",
        )
    console.print(table)
    console.print("A description, and no measure of how accurate the network is.", highlight=False)
