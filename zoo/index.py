"""Read and write `catalog.json`, the table of contents of a zoo: sizes, checksums, counts."""

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from zoo.collection import Collection
from zoo.errors import ZooError, shorten
from zoo.families import FAMILIES
from zoo.files import read_json, sha256, short_name, write_json
from zoo.ids import NAME
from zoo.predictors import load_predictor
from zoo.source import FileInfo

FORMAT = 1
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
MAX_NAME, MAX_TEXT = 100, 500


@dataclass(frozen=True)
class CollectionInfo:
    """A collection's entry in the catalog; `size` is in bytes."""

    name: str
    title: str
    kind: str
    count: int
    splits: dict[str, int]
    size: int
    licence: str
    files: tuple[FileInfo, ...]


@dataclass(frozen=True)
class PredictorInfo:
    """A predictor's entry in the catalog; `size` is in bytes."""

    name: str
    title: str
    task: str
    size: int
    files: tuple[FileInfo, ...]


def read_catalog(root: Path) -> tuple[dict[str, CollectionInfo], dict[str, PredictorInfo]]:
    """The collections and the predictors in `catalog.json`, by name."""
    path = root / "catalog.json"
    if not path.is_file():
        raise ZooError(f"{root.name} has no catalog.json: it is not a zoo. `python -m zoo index` writes one.")
    content = read_json(path)
    if content.get("format") != FORMAT:
        raise ZooError(
            f"{short_name(path)} has format {content.get('format')!r}; this version reads format {FORMAT}."
        )
    try:
        collections = [_parse_info(CollectionInfo, line) for line in content["collections"]]
        predictors = [_parse_info(PredictorInfo, line) for line in content["predictors"]]
        kinds = {info.kind for info in collections} - set(FAMILIES)
        if kinds:
            raise ValueError(f"{shorten(min(kinds))} is not a kind of networks")
    except (KeyError, TypeError, ValueError) as error:
        raise ZooError(
            f"{short_name(path)} is damaged: {error}. `python -m zoo index` writes it again."
        ) from error
    return {info.name: info for info in collections}, {info.name: info for info in predictors}


def _parse_info(kind: type, line: dict[str, Any]):
    files = tuple(FileInfo(**file) for file in line["files"])
    info = kind(**{**line, "files": files})
    for record in (info, *files):
        for field in fields(record):
            _check_field(field.name, getattr(record, field.name), field.type)
    if not NAME.fullmatch(info.name) or len(info.name) > MAX_NAME:
        raise ValueError(f"{shorten(info.name)} is not a valid name of an entry")
    for file in files:
        if not FILE_NAME.fullmatch(file.name):
            raise ValueError(f"{shorten(file.name)} is not a valid name of a file")
    return info


def _check_field(name: str, value: Any, kind: Any) -> None:
    """Raise ValueError if a value has another type than its field, or is longer or larger than displayable."""
    good = {
        str: lambda: isinstance(value, str) and len(value) <= MAX_TEXT,
        int: lambda: type(value) is int and 0 <= value < 2**53,
        dict[str, int]: lambda: (
            isinstance(value, dict) and all(type(count) is int for count in value.values())
        ),
    }
    if kind in good and not good[kind]():
        raise ValueError(f"{name} is {shorten(str(value))}, not of type {getattr(kind, '__name__', kind)}")


def listed_file(info: CollectionInfo | PredictorInfo, name: str) -> FileInfo:
    """A file of an entry; raises ZooError if the catalog does not list it."""
    for file in info.files:
        if file.name == name:
            return file
    raise ZooError(f"The catalog lists no {name} for {info.name}: `python -m zoo index` writes it again.")


def write_catalog(root: Path) -> None:
    """Write `catalog.json` from the folders in `collections/` and `predictors/`."""
    collections = [_collection_info(folder) for folder in _folders(root / "collections")]
    # Digits first, as they are easiest to recognise, then by name.
    collections.sort(key=lambda info: (not info.name.startswith("mnist"), info.name))
    predictors = [_predictor_info(folder) for folder in _folders(root / "predictors")]
    content = {
        "format": FORMAT,
        "collections": [asdict(info) for info in collections],
        "predictors": [asdict(info) for info in predictors],
    }
    write_json(root / "catalog.json", content)


def _folders(parent: Path) -> list[Path]:
    folders = sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
    for folder in folders:
        if not NAME.fullmatch(folder.name):
            raise ZooError(
                f"{shorten(folder.name)} is not a valid name of an entry: use a-z, 0-9 and single hyphens."
            )
    return folders


def _collection_info(folder: Path) -> CollectionInfo:
    collection = Collection(folder)
    collection.read_all()  # a collection that cannot be read must not get into the catalog
    files = _file_infos(folder)
    return CollectionInfo(
        name=folder.name,
        title=collection.spec.title,
        kind=collection.spec.kind,
        count=len(collection),
        splits=collection.splits,
        size=sum(file.size for file in files),
        licence=collection.spec.images["licence"],
        files=files,
    )


def _predictor_info(folder: Path) -> PredictorInfo:
    model = load_predictor(folder)  # as above
    files = _file_infos(folder)
    return PredictorInfo(folder.name, model.title, model.task, sum(file.size for file in files), files)


def _file_infos(folder: Path) -> tuple[FileInfo, ...]:
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    return tuple(FileInfo(path.name, path.stat().st_size, sha256(path)) for path in paths)
