"""Small file helpers: whole-or-nothing writes, JSON that must be an object, checksums."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo.errors import ZooError


def write_whole(path: Path, write: Callable[[str], Any]) -> None:
    """Call `write` with a temporary name and rename, so that a file that exists is whole."""
    write(f"{path}.part")
    os.replace(f"{path}.part", path)


def write_json(path: Path, content: dict) -> None:
    """Write an object as indented JSON, whole or not at all."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, lambda part: Path(part).write_text(text, encoding="utf-8"))


def read_json(path: Path) -> dict:
    """The JSON object in a file. ZooError, naming the file by its last two parts, where it is no object."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ZooError(
            f"{short_name(path)} is damaged: it is not JSON. Build or download it again."
        ) from error
    if not isinstance(content, dict):
        raise ZooError(f"{short_name(path)} is damaged: wanted a JSON object, got {type(content).__name__}.")
    return content


def short_name(path: Path) -> str:
    """A path as `folder/file`: enough to find it, without telling where a server keeps its files."""
    return "/".join(path.parts[-2:])


def files_below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files in a folder and its folders; those that go meanwhile are left out."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                yield (path := Path(parent, name)), path.stat()


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
