"""Deploying to a Space, with the real client and a small Hub on this machine."""

import subprocess

import pytest
import yaml
from hub_zoo import NAME, ROOT, put
from typer.testing import CliRunner

from docs import space

SPACE = ("spaces", "someone/weightscope")


@pytest.fixture
def few(tmp_path, monkeypatch):
    """A checkout of few files."""
    for path in ("README.md", "app.py", "docs/generalization.webp", "zoo/embedded/catalog.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text("")
    (tmp_path / ".gitattributes").write_text("*.png binary\n")
    (tmp_path / "untracked.txt").write_text("mine")
    for command in (["init", "-q"], ["add", "README.md", "app.py", "docs", "zoo", "tests", ".gitattributes"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(space, "ROOT", tmp_path)
    return tmp_path


def run(*arguments: str) -> str:
    command = space.typer.Typer()
    command.command()(space.deploy)
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_dry_run_lists_files_and_sends_nothing(hub, few):
    listed = run("someone/weightscope", "--dry-run")
    assert "4 files" in listed and "Nothing was sent" in listed and "app.py" in listed
    assert "tests/" not in listed and "untracked" not in listed and not hub.requests


def test_tracked_files_go_to_the_space_and_removed_files_are_deleted(hub, few, made):
    put(hub, made)
    run("someone/weightscope", "--zoo", NAME)
    files = hub.find(*SPACE, "main")[1]
    assert set(files) == {
        ".gitattributes",
        "README.md",
        "app.py",
        "docs/generalization.webp",
        "zoo/embedded/catalog.json",
    }
    assert files[".gitattributes"] == b"*.safetensors filter=lfs\n", "the Hub's own stays"
    assert files["app.py"] == (ROOT / "app.py").read_bytes()
    head = yaml.safe_load(files["README.md"].decode().split("---")[1])
    assert head["thumbnail"] == f"{hub.url}/spaces/someone/weightscope/resolve/main/docs/generalization.webp"
    assert (
        head["models"] == [f"{NAME}-inr-editor"]
        and NAME in head["datasets"]
        and head["python_version"] == "3.12"
    )
    assert (
        files["README.md"].decode().split("---", 2)[2] == (few / "README.md").read_text().split("---", 2)[2]
    )
    subprocess.run(["git", "rm", "-q", "--cached", "app.py"], cwd=few, check=True)
    run("someone/weightscope")
    assert "app.py" not in hub.find(*SPACE, "main")[1]


def test_all_that_the_app_needs_is_deployed(tmp_path):
    paths = set(space.stage(tmp_path, "someone/weightscope"))
    assert {"app.py", "requirements.txt", "README.md", "LICENSE", "app/ui.py", "nfn/__init__.py"} <= paths
    assert "zoo/embedded/predictors/accuracy/model.safetensors" in paths and space.PICTURE in paths
    assert not any(path.startswith(("tests/", "bench/", ".git")) for path in paths)
