"""The examples in docstrings give what stands below them."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

from docs.reference import MODULES as MODULES_OF_REFERENCE
from docs.reference import write_reference

pytestmark = pytest.mark.usefixtures("no_garbage_collection")
ROOT = Path(__file__).parents[1]
PATHS = [
    path.relative_to(ROOT) for name in ("nfn", "zoo", "app") for path in sorted((ROOT / name).rglob("*.py"))
]
MODULES = [".".join(path.with_suffix("").parts) for path in PATHS if "    >>> " in (ROOT / path).read_text()]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name.removesuffix(".__init__"))
    failed, tried = doctest.testmod(module)
    assert tried and not failed


def test_the_public_names_have_examples():
    assert {"nfn.features", "nfn.spec", "nfn.reader.read", "nfn.layers.linear_hnp", "nfn.layers.pool"} <= set(
        MODULES
    )


def test_the_reference_has_the_words_of_docstrings(tmp_path):
    write_reference(tmp_path, ["nfn.space", "nfn.layers"])
    pages = {path.stem: path.read_text() for path in tmp_path.rglob("*.html")}
    assert "Complete HNP-equivariant linear layer" in pages["layers"]
    assert "Tensors whose axes run over shared groups of units" in pages["space"]


def test_everything_in_the_reference_has_a_docstring():
    for name in MODULES_OF_REFERENCE:
        module = importlib.import_module(name)
        assert module.__doc__, name
        for public in getattr(module, "__all__", ()):
            assert inspect.getdoc(getattr(module, public)) or public.isupper(), f"{name}.{public}"
