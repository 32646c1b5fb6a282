"""The pages of `docs/guide` do what they say: their code is run, top to bottom, in a folder of its own."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import IMAGES
from typer.testing import CliRunner

from zoo.__main__ import app

GUIDE = Path(__file__).parents[1] / "docs" / "guide"
PAGES = sorted(path.name for path in GUIDE.glob("*.md"))
NOT_RUN = ("pip ", "export ", "cp ", "weightscope run")
"""Commands that need a network or the working directory of a checkout, or end with Ctrl-C only."""
COSTLY = ("# takes a minute", "# asks the Hub")


def run_line(line: str) -> None:
    if line.startswith(NOT_RUN) or any(words in line for words in COSTLY):
        return
    assert line.startswith("python -m zoo "), line
    result = CliRunner().invoke(app, shlex.split(line, comments=True)[3:])
    assert result.exit_code == ("exits with 1" in line), result.output


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEIGHTSCOPE_IMAGES", str(IMAGES))
    names: dict = {}
    for language, code in re.findall(r"```(\w+)\n(.*?)```", (GUIDE / page).read_text(), re.S):
        if language == "sh":
            for line in code.strip().splitlines():
                run_line(line)
        else:
            exec(compile(code, page, "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page):
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", (GUIDE / page).read_text()):
        assert (GUIDE / link).exists(), link
