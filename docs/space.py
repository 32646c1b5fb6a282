"""Deploy the app to a Space: `python -m docs.space OWNER/NAME --dry-run`, or `make space SPACE=OWNER/NAME`.

The tracked files that the app needs are uploaded as one commit by the Hub's client, binaries as large files.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from huggingface_hub import HfApi, RepoCard
from rich.console import Console

from zoo.hub import endpoint
from zoo.remote import HubFiles, open_zoo

ROOT = Path(__file__).parent.parent
LEFT_OUT = (".ci/", ".github/", ".git", "bench/", "tests/")
"""Path prefixes that a Space does not need; the Hub writes its own `.gitattributes`."""
PICTURE = "docs/generalization.webp"
"""The preview picture of links to the Space."""
console = Console()


def deploy(
    space: Annotated[str, typer.Argument(help="OWNER/NAME")],
    zoo: Annotated[str, typer.Option(help="owner/name of a zoo, for the front matter")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="list what would be sent, and send nothing")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="make a new Space private")] = False,
    token: Annotated[str | None, typer.Option(help="default: HF_TOKEN, or that of `hf auth login`")] = None,
) -> None:
    """Create the Space if needed, and sync it with this checkout, deleting files that no longer exist here."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = stage(folder, space, zoo)
        size = sum((folder / path).stat().st_size for path in paths)
        if dry_run:
            for path in paths:
                console.print(f"{(folder / path).stat().st_size:>12,} {path}", highlight=False)
            console.print(f"{len(paths)} files, {size:,} bytes, for the Space {space}. Nothing was sent.")
            return
        commit = upload(folder, space, private, token)
    console.print(f"{len(paths)} files, {size:,} bytes: {commit}", highlight=False, soft_wrap=True)


def stage(folder: Path, space: str, zoo: str = "") -> list[str]:
    """Copy the Space's files into a folder, with its front matter; return the paths, as git lists them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    paths = [path for path in listed.split("\0") if path and not path.startswith(LEFT_OUT)]
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, folder / path)
    with_front_matter((ROOT / "README.md").read_text(), space, zoo).save(folder / "README.md")
    return paths


def with_front_matter(readme: str, space: str, zoo: str = "") -> RepoCard:
    """The README as the card of a Space, with the URL of its picture and the repositories of its zoo."""
    card = RepoCard(readme)
    card.data["thumbnail"] = f"{endpoint()}/spaces/{space}/resolve/main/{PICTURE}"
    if zoo:
        files = open_zoo(zoo).files
        if not isinstance(files, HubFiles):
            raise typer.BadParameter(f"{zoo} is not a zoo on the Hub.")
        card.data["models"] = sorted(repo.id for repo, _ in files.predictor_repos().values())
        card.data["datasets"] = sorted([*(card.data.get("datasets") or []), files.repo.id])
    return card


def upload(folder: Path, space: str, private: bool, token: str | None) -> str:
    """Upload the folder as the Space's next commit; return its URL."""
    api = HfApi(endpoint=endpoint(), token=token)
    api.create_repo(space, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
    return api.upload_folder(
        repo_id=space,
        repo_type="space",
        folder_path=folder,
        delete_patterns="*",
        commit_message="Deploy Weightscope",
    )


if __name__ == "__main__":
    typer.run(deploy)
