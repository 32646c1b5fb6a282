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
from zoo.spectra import alpha_sizes, standing
from zoo.spectra import as_dict as spectrum_as_dict

console = Console()
COLOURS = {"broken": "red", "warning": "yellow", "note": "cyan"}


def show_health(
    path: Annotated[Path, typer.Argument(help="a file, or the index of its shards", exists=True)],
    as_json: Annotated[bool, typer.Option("--json", help="print the full report as JSON")] = False,
    described: Annotated[
        bool, typer.Option("--spectra", help="print each weight's stable rank and tail exponent")
    ] = False,
) -> None:
    """Check whether a checkpoint's values are healthy: what each finding means, and what to do."""
    checkpoint = open_checkpoint(path)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        health = examine(checkpoint, lambda done, of: bar.update(task, completed=done, total=of))
    spectra_ = list(spectra(checkpoint)) if described else []
    if as_json:
        rows = [spectrum_as_dict(one) for one in spectra_]
        print(json.dumps({**as_dict(health), "spectra": rows}, indent=2))
        return
    _print_findings(health)
    if spectra_:
        _print_spectra(spectra_)


def as_dict(health: Health) -> dict[str, Any]:
    """A health report as plain data; each finding with its meaning and advice."""
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
        "weight",
        "as a matrix",
        "stable rank",
        "zoo's that are lower",
        "largest singular value",
        "tail exponent α",
        "zoo's that are lower",
        "distance",
    )
    for one in described:
        place = standing(one)
        alpha = "" if one.alpha is None else f"{one.alpha:.2f}"
        shape = " × ".join(map(str, one.shape))
        table.add_row(
            escape(one.name),
            shape,
            f"{one.stable_rank:.1f}",
            _percent(place.rank),
            f"{one.largest:.3g}",
            alpha,
            _percent(place.alpha),
            f"{one.distance:.3f}",
        )
    console.print(table)
    console.print("A description, not a measure of the network's accuracy; ranks are compared relative to a random "
                  "matrix of the shape, α only with layers of a similar size, of which the zoo has "
                  f"{alpha_sizes()}.", highlight=False)  # fmt: skip


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0f}%"
