"""Imports point one way, weightscope -> app -> zoo -> nfn, and each foreign service is imported in one place."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

import nfn

pytestmark = pytest.mark.usefixtures("no_garbage_collection")
ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "nfn": {"zoo", "app", "weightscope"},
    "zoo": {"app", "weightscope"},
    "app": {"weightscope"},
    "weightscope": set(),
}
LIBRARY_IMPORTS = {"torch", "numpy", "safetensors", "cv2", "nfn"}
"""What nfn may import besides the standard library."""


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"{package} has no files"
    return found


@cache
def imported(path: Path) -> set[str]:
    """The top-level names of all modules that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, (
                f"{path.name} line {node.lineno}: imports are absolute here"
            )
            names.add(node.module.split(".")[0])
    return names


def importers(module: str) -> set[str]:
    """The files of ours, from the root, that import a module."""
    files = [ROOT / "app.py", *(path for package in FORBIDDEN for path in sources(package))]
    return {str(path.relative_to(ROOT)) for path in files if module in imported(path)}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package):
    for path in sources(package):
        assert not imported(path) & FORBIDDEN[package], (
            f"{path.relative_to(ROOT)} imports against the direction"
        )


IN_THE_APP = ("runtime", "networks", "page", "tabs", "api", "server")
"""The folders of the app; each may import those before it."""
WATCHES_THE_QUEUE = {"app/runtime/visitor.py"}
"""Below the page, the one file that knows gradio."""


def inside_the_app(path: Path) -> set[str]:
    """The folders of the app that a file imports from."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    modules = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {module.split(".")[1] for module in modules if module.startswith("app.")}


@pytest.mark.parametrize("folder", IN_THE_APP)
def test_the_folders_of_the_app_know_only_those_before_them(folder):
    known = set(IN_THE_APP[: IN_THE_APP.index(folder) + 1])
    for path in sources(f"app/{folder}"):
        assert inside_the_app(path) <= known, f"{path.relative_to(ROOT)} imports against the direction"
    if folder in ("runtime", "networks"):
        assert not any(name.startswith(f"app/{folder}/") for name in importers("gradio") - WATCHES_THE_QUEUE)


def test_the_library_needs_little():
    for path in sources("nfn"):
        door = {"huggingface_hub"} if path.name == "predictor.py" else set()  # inside from_pretrained only
        door |= {"onnx"} if path.parent.name == "onnx_reader" else set()  # inside functions only
        extra = imported(path) - LIBRARY_IMPORTS - door - sys.stdlib_module_names
        assert not extra, f"{path.relative_to(ROOT)} imports {extra}"


def test_each_foreign_service_has_one_door():
    assert all(name == "app.py" or name.startswith("app/") for name in importers("gradio"))
    assert importers("huggingface_hub") == {"zoo/hub.py", "nfn/predictor.py"}
    assert importers("cv2") <= {"nfn/operators.py", "nfn/mosaic.py", "zoo/foreign_drawings.py"}
    assert importers("onnx") and all(name.startswith("nfn/onnx_reader/") for name in importers("onnx"))


def test_our_nfn_is_the_one_that_is_imported():
    """The published package has the same import name: pip install nfn would shadow ours."""
    assert Path(nfn.__file__ or "").parent == ROOT / "nfn"


def test_imports_inside_functions_and_aliases_are_seen(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("def f():\n    import gradio.themes as g\n    from zoo.catalog import Zoo\n")
    assert imported(file) == {"gradio", "zoo"}
