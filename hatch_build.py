"""How a wheel is made of a checkout: `nfn`, `zoo` and `app` go below `weightscope`, and their imports say so.

Top-level names as common as these are not ours to take where others install things: `nfn` is also the published package
of arXiv:2302.14040. An editable install (`pip install -e .`) puts the checkout on the path as it is.
"""

import ast
import re
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("nfn", "zoo", "app")
WORDS = {"python -m zoo": "weightscope", ">>> from nfn": ">>> from weightscope.nfn",
         ">>> from zoo": ">>> from weightscope.zoo"}  # fmt: skip
"""What help texts, errors and examples say in a checkout, and what they say installed."""


class InstalledNames(BuildHookInterface):
    """Puts every module into the wheel with the names that it has there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the modules of a wheel that is not editable into a temporary folder, and have them included."""
        if version == "editable":
            return
        self._made = tempfile.TemporaryDirectory()
        for name in (*PACKAGES, "weightscope"):
            for path in Path(self.root, name).rglob("*.py"):
                place = installed_path(path.relative_to(self.root))
                made = Path(self._made.name, place)
                made.parent.mkdir(parents=True, exist_ok=True)
                made.write_text(installed_source(path.read_text(encoding="utf-8")), encoding="utf-8")
                build_data["force_include"][str(made)] = place.as_posix()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder."""
        if version != "editable":
            self._made.cleanup()


def installed_path(path: Path) -> Path:
    """Where a file of the checkout lies in the wheel."""
    return Path("weightscope", path) if path.parts[0] in PACKAGES else path


def installed_source(source: str) -> str:
    """The text of a module with `from nfn...` as `from weightscope.nfn...`, and so on.

    Raises:
        ValueError: it binds the name of a package of ours (`import nfn`), which no installed module could use.
    """
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level and _is_ours(node.module or ""):
            lines[node.lineno - 1] = _renamed(lines[node.lineno - 1], node.col_offset)
        elif isinstance(node, ast.Import) and any(_is_ours(alias.name) for alias in node.names):
            raise ValueError(f"Line {node.lineno}: write `from {node.names[0].name} import ...`.")
    text = "".join(lines)
    for here, there in WORDS.items():
        text = text.replace(here, there)
    return text


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _renamed(line: str, column: int) -> str:
    """A line whose import statement starts at a column (of its UTF-8, as `ast` counts)."""
    start = line.encode()[:column].decode()
    return start + re.sub(r"^from\s+", "from weightscope.", line[len(start) :])
