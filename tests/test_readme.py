"""The README says what is true: its front matter, file map, figures and examples."""

import re
from pathlib import Path

import pytest
import yaml

from docs.figures import with_figures
from zoo.catalog import Zoo

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_front_matter_is_that_of_a_gradio_space():
    facts = yaml.safe_load(README.split("---")[1])
    requirement = re.search(r"gradio\[mcp\]==(\d+\.\d+)\.\*", (ROOT / "requirements.txt").read_text())
    assert requirement and facts["sdk"] == "gradio" and facts["sdk_version"].startswith(requirement[1])
    assert facts["app_file"] == "app.py" and (ROOT / "app.py").exists()
    assert len(facts["short_description"]) <= 60


def test_the_file_map_is_complete():
    block = README.split("## Where things are")[1].split("```")[1]
    named = {line.split()[0].rstrip("/") for line in block.strip().splitlines()}
    assert all((ROOT / name).exists() for name in named)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= named


def test_the_figures_are_those_of_the_shipped_predictors():
    assert with_figures(README) == README, "run python -m docs.figures"


def test_the_python_example_runs(capsys):
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, re.S) if "Zoo()" in block)
    exec(compile(code, "README.md", "exec"), {})
    label, rest = capsys.readouterr().out.split("\n", 1)
    assert label == Zoo().row("mnist-sirens/test/17")["label"] and "net.0.linear.weight" in rest


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)]+)\)", README))
def test_links_resolve(link):
    assert (ROOT / link).exists()
