"""Small file helpers: atomic writes, JSON objects, checksums."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo.errors import ZooError


def write_whole(path: Path, write: Callable[[str], Any]) -> None:
    """Call `write` with a temporary name, then rename it, so that an existing file is always complete."""
    write(f"{path}.part")
    os.replace(f"{path}.part", path)


def write_json(path: Path, content: dict) -> None:
    """Write an object as indented JSON, atomically."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, lambda part: Path(part).write_text(text, encoding="utf-8"))


def read_json(path: Path) -> dict:
    """Read the JSON object in a file. Raises ZooError, naming the file by its last two path components."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ZooError(
            f"{short_name(path)} is damaged: it is not JSON. Build or download it again."
        ) from error
    if not isinstance(content, dict):
        raise ZooError(
            f"{short_name(path)} is damaged: expected a JSON object, got {type(content).__name__}."
        )
    return content


def short_name(path: Path) -> str:
    """A path as `folder/file`, which does not reveal where a server stores its files."""
    return "/".join(path.parts[-2:])


def files_below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files in a folder and its subfolders; files that are deleted during the walk are skipped."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                yield (path := Path(parent, name)), path.stat()


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
