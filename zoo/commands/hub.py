"""`python -m zoo push` and `pull`: a zoo to the Hub and back."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from zoo import push as pushing

console = Console()


def push(
    folder: Annotated[Path, typer.Argument(help="folder of the zoo")],
    repo: Annotated[str, typer.Argument(help="owner/name; predictors go to owner/name-PREDICTOR")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="list files and sizes, and send nothing")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="make new repositories private")] = False,
) -> None:
    """Bring a zoo to the Hub (HF_TOKEN, or `hf auth login`). The same command goes on where one was stopped."""
    job = pushing.Push(folder, repo, private)
    if dry_run:
        return _print_plan(list(job.plan()))
    sha = job.run(
        lambda to, sha, sent: console.print(f"{to}: {sent} files sent, now at {sha[:7]}", highlight=False)
    )
    console.print(f"The zoo is {repo}@{sha}", highlight=False)


def pull(
    repo: Annotated[str, typer.Argument(help="owner/name or owner/name@revision")],
    folder: Annotated[Path, typer.Argument(help="where the zoo goes; a pull that was stopped there goes on")],
) -> None:
    """Fetch a whole zoo from the Hub."""
    zoo = pushing.pull(repo, folder, lambda path, size: console.print(f"{size:>12,} {path}", highlight=False))
    zoo.verify()
    console.print(f"{len(zoo.listed())} files in {folder}, all as the catalog lists them.")


def _print_plan(uploads: list[pushing.Upload]) -> None:
    table = Table(Column("Repository", no_wrap=True), "File", Column("Bytes", justify="right"), "On the Hub")
    for upload in uploads:
        table.add_row(f"{upload.repo.id} ({upload.repo.kind})", upload.path, f"{upload.size:,}", upload.state)
    console.print(table)
    sent = [upload.size for upload in uploads if upload.state != "there"]
    console.print(f"{len(sent)} of {len(uploads)} files to send, {sum(sent):,} bytes. Nothing was sent.")
