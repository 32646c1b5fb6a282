"""What `pip install` gives: a wheel in an environment of its own, and an editable install of this checkout."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hatch_build import installed_source
from nfn import __version__
from weightscope.command import app

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def environment(folder: Path, what: str | Path, *options: str) -> Path:
    """The `bin` of a new environment that has `what` installed and sees the packages of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (packages / "this.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder / "bin" / "python",
        "install",
        "--quiet",
        "--no-deps",
    ]
    subprocess.run([*pip, "--no-index", "--no-build-isolation", *options, what], check=True)
    return folder / "bin"


def call(*command: object, folder: Path) -> str:
    """What a command prints that runs in a folder outside of the checkout."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        list(map(str, command)), cwd=folder, env=variables, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Warning" not in result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", folder, ROOT], check=True)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The `bin` of an environment with the wheel in it."""
    return environment(tmp_path_factory.mktemp("installed") / "venv", wheel)


def test_the_wheel_holds_every_file_and_one_top_level_name(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names} == {"weightscope", f"weightscope-{__version__}.dist-info"}
    tracked = subprocess.run(
        ["git", "ls-files", "nfn", "zoo", "app"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {f"weightscope/{name}" for name in tracked if (ROOT / name).exists()} <= names
    assert {"weightscope/py.typed", "weightscope/zoo/embedded/catalog.json"} <= names


def test_the_installed_command(installed, tmp_path):
    weightscope = installed / "weightscope"
    file = ROOT / "tests" / "data" / "foreign_cnns" / "softmax_regression.pt"
    assert "mnist" in call(weightscope, "predict", "generalization", file, folder=tmp_path)


def test_the_installed_packages_leave_common_names_alone(installed, tmp_path):
    program = """
import ast, importlib.util, inspect, sys
parsed, parse = [], ast.parse
ast.parse = lambda source, *more, **options: parsed.append(str(source)) or parse(source, *more, **options)
import weightscope.app.run, weightscope.nfn
assert not any("(FormComponent)" in source for source in parsed), "Gradio writes stubs of its components"
assert not inspect.getfile.__module__.startswith("weightscope")
from weightscope.app.ui import build_app
assert type(build_app()).__name__ == "Blocks"
slow = {"torch._dynamo", "sympy", "plotly"} & set(sys.modules)
assert not slow, f"{slow}: half a second or two, and nothing needs them yet"
assert not any(importlib.util.find_spec(name) for name in ("nfn", "zoo", "app"))
print(weightscope.nfn.__file__)
"""
    assert str(installed.parent) in call(installed / "python", "-c", program, folder=tmp_path)


def test_an_editable_install_is_this_checkout(tmp_path):
    bin = environment(tmp_path / "venv", ROOT, "--editable")
    assert call(bin / "weightscope", "--version", folder=tmp_path) == f"weightscope {__version__}\n"
    program = "import importlib.util; print(importlib.util.find_spec('nfn').origin)"
    assert call(bin / "python", "-c", program, folder=tmp_path) == f"{ROOT / 'nfn' / '__init__.py'}\n"


def test_the_command_serves_and_completes(monkeypatch):
    served = []
    monkeypatch.setattr("app.run.run", served.append)
    monkeypatch.setattr("app.ui.build_app", lambda: "a page")
    for name in ("GRADIO_SERVER_PORT", "WEIGHTSCOPE_ZOO"):
        monkeypatch.setenv(name, "")
    result = CliRunner().invoke(app, ["run", "--port", "7999", "--zoo", "owner/name"], catch_exceptions=False)
    assert result.exit_code == 0 and served == ["a page"], result.output
    assert (os.environ["GRADIO_SERVER_PORT"], os.environ["WEIGHTSCOPE_ZOO"]) == ("7999", "owner/name")
    assert "--install-completion" in CliRunner().invoke(app, ["--help"]).output


def test_installed_source():
    assert installed_source(
        "from nfn import a\nif 1: from zoo.x import b\n# from nfn import\nimport os\n"
    ) == (
        "from weightscope.nfn import a\nif 1: from weightscope.zoo.x import b\n# from nfn import\nimport os\n"
    )
    assert installed_source('"""python -m zoo list\n>>> from nfn.spec import a"""') == (
        '"""weightscope list\n>>> from weightscope.nfn.spec import a"""'
    )
    with pytest.raises(ValueError, match="Line 2: write `from nfn import"):
        installed_source("\nimport nfn")


def test_what_is_installed_is_what_a_space_installs():
    extras = PYPROJECT["optional-dependencies"]
    named = {*PYPROJECT["dependencies"], *extras["app"], *extras["onnx"]}
    assert named - {"weightscope[onnx]"} == set((ROOT / "requirements.txt").read_text().split())
    development = (ROOT / "requirements-dev.txt").read_text().split("\n", 1)[1].split()
    assert set(extras["dev"]) == {"weightscope[app]", *development}


def test_the_version_stands_in_the_changelog_and_the_citation():
    for name in ("CHANGELOG.md", "CITATION.cff"):
        assert re.search(rf"\b{re.escape(__version__)}\b", (ROOT / name).read_text())


def test_nothing_recommends_the_package_of_this_name_on_pypi():
    """It is another project's, and would take the place of ours."""
    paths = [
        path for name in ("nfn", "zoo", "app", "weightscope", "docs") for path in (ROOT / name).rglob("*.*")
    ]
    for path in [ROOT / "README.md", *(path for path in paths if path.suffix in (".py", ".md"))]:
        assert not re.search(r"pip install [^`\n]*weightscope", path.read_text()), path
