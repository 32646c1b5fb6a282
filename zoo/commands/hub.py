"""`python -m zoo push` and `pull`: upload a zoo to the Hub, or download one."""

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
    token: Annotated[str | None, typer.Option(help="default: HF_TOKEN, or that of `hf auth login`")] = None,
    commit_message: Annotated[
        str, typer.Option(help="message of each commit")
    ] = "Push a zoo with Weightscope",
) -> None:
    """Push a zoo to the Hub. Repeat the command to resume after an interruption."""
    job = pushing.Push(folder, repo, private, token, commit_message)
    if dry_run:
        return _print_plan(list(job.plan()))
    sha = job.run(
        lambda to, sha, sent: console.print(f"{to}: {sent} files sent, now at {sha[:7]}", highlight=False)
    )
    console.print(f"The zoo is {repo}@{sha}", highlight=False)


def pull(
    repo: Annotated[str, typer.Argument(help="owner/name or owner/name@revision")],
    folder: Annotated[Path, typer.Argument(help="target folder; a stopped pull in it is resumed")],
    token: Annotated[str | None, typer.Option(help="default: HF_TOKEN, or that of `hf auth login`")] = None,
) -> None:
    """Download a whole zoo from the Hub; a private one with a token."""
    zoo = pushing.pull(
        repo, folder, lambda path, size: console.print(f"{size:>12,} {path}", highlight=False), token
    )
    zoo.verify()
    console.print(f"{len(zoo.listed())} files in {folder}, all verified against the catalog.")


def _print_plan(uploads: list[pushing.Upload]) -> None:
    table = Table(Column("Repository", no_wrap=True), "File", Column("Bytes", justify="right"), "On the Hub")
    for upload in uploads:
        table.add_row(f"{upload.repo.id} ({upload.repo.kind})", upload.path, f"{upload.size:,}", upload.state)
    console.print(table)
    sent = [upload.size for upload in uploads if upload.state != "there"]
    console.print(f"{len(sent)} of {len(uploads)} files to send, {sum(sent):,} bytes. Nothing was sent.")
