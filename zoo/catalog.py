"""The catalog of a zoo, `catalog.json`: a table of what is in it. The ids of networks. The way in: `Zoo`.

To add a predictor, add a line to `PREDICTORS`; to add a collection, put its folder under `collections/`; then
run `python -m zoo index`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from threading import Lock
from typing import Any

from nfn.network import Network
from nfn.predictor import CONFIG_FILE, WEIGHTS_FILE
from zoo.collection import Collection
from zoo.errors import ZooError, shorten
from zoo.files import read_json, sha256, short_name, write_json
from zoo.source import EMBEDDED, FileInfo, Files, LocalFiles, ZooSource
from zoo.stacked import Stacked

CARD_FILE = "README.md"
FORMAT = 1
NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
SPLITS = ("train", "validation", "test")
WHOLE_ID = re.compile(rf"({NAME.pattern})/({'|'.join(SPLITS)})/(0|[1-9][0-9]{{0,8}})", re.ASCII)


def _load_classifier(folder: Path):
    from nfn.classifier import InrClassifier

    return InrClassifier.load(folder)


def _load_editor(folder: Path):
    from nfn.editor import InrEditor

    return InrEditor.load(folder)


def _load_generalization(folder: Path):
    from nfn.generalization import GeneralizationPredictor

    return GeneralizationPredictor.load(folder)


@dataclass(frozen=True)
class PredictorKind:
    """A predictor that a zoo can hold; `load` takes its folder, and imports its code only then."""

    name: str
    title: str
    task: str
    load: Callable[[Path], Any]


PREDICTORS = {
    p.name: p
    for p in (
        PredictorKind(
            "inr-classifier", "What an image network shows", "INR classification", _load_classifier
        ),
        PredictorKind("inr-editor", "Edits of image networks", "INR editing", _load_editor),
        PredictorKind(
            "generalization", "Test accuracy of small CNNs", "generalization prediction", _load_generalization
        ),
    )
}


@dataclass(frozen=True)
class CollectionInfo:
    """A collection's line in the catalog; `size` is in bytes."""

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
    """A predictor's line in the catalog; `size` is in bytes."""

    name: str
    title: str
    task: str
    size: int
    files: tuple[FileInfo, ...]


@dataclass(frozen=True)
class ZooId:
    """The name of one network: `collection/split/index`, such as `mnist-sirens/test/17`."""

    collection: str
    split: str
    index: int

    def __str__(self) -> str:
        return f"{self.collection}/{self.network_id}"

    @property
    def network_id(self) -> str:
        """The id inside the collection: `split/index`."""
        return f"{self.split}/{self.index}"


def parse_zoo_id(text: str) -> ZooId:
    """Read `collection/split/index`; ZooError offers the right spelling where one is near.

    >>> parse_zoo_id("mnist-sirens/test/17")
    ZooId(collection='mnist-sirens', split='test', index=17)
    """
    match = WHOLE_ID.fullmatch(text)
    if match:
        return ZooId(match[1], match[2], int(match[3]))
    raise ZooError(
        f"{shorten(text)} is not a zoo id: wanted collection/split/number, such as mnist-sirens/test/17."
        + _did_you_mean(_respell(text))
    )


def _respell(text: str) -> list[str]:
    """The text as an id, where only case, spaces, underscores, slashes, zeros or the split are off."""
    parts = [
        part for part in re.split(r"[/\\]", re.sub(r"\s", "", text[:200]).lower().replace("_", "-")) if part
    ]
    if len(parts) != 3 or not re.fullmatch(r"[0-9]{1,9}", parts[2], re.ASCII):
        return []
    splits = get_close_matches(parts[1], SPLITS, n=1, cutoff=0.3)
    wanted = "/".join([parts[0], *splits, str(int(parts[2]))])
    return [wanted] if WHOLE_ID.fullmatch(wanted) else []


def _did_you_mean(names: Iterable[str]) -> str:
    found = " or ".join(names)
    return f" Did you mean {found}?" if found else ""


class Zoo:
    """A folder with `catalog.json`, `collections/` and `predictors/`; all of it is found through the catalog.

    `files` bring what is not in the folder yet. What is missing, damaged or misspelled raises ZooError; what cannot
    be fetched, HubError.
    """

    def __init__(self, root: Path = EMBEDDED, files: Files | None = None):
        self.root = Path(root)
        self.files = files or LocalFiles(self.root)
        self._collection_infos, self._predictor_infos = read_catalog(self.root)
        self._opened: dict[str, Collection] = {}
        self._loaded: dict[str, Any] = {}
        self._lock = Lock()

    @property
    def source(self) -> ZooSource:
        """Where this zoo comes from."""
        return self.files.source

    def collections(self) -> list[CollectionInfo]:
        """The collections, as the catalog lists them."""
        return list(self._collection_infos.values())

    def predictors(self) -> list[PredictorInfo]:
        """The predictors, as the catalog lists them."""
        return list(self._predictor_infos.values())

    def collection(self, name: str) -> Collection:
        """A collection, opened once."""
        info = _find(self._collection_infos, name, "collection")
        with self._lock:
            if name not in self._opened:
                opened = self._open_collection(info)
                if len(opened) != info.count:
                    raise ZooError(
                        f"The catalog lists {info.count} networks in {name}, its table has {len(opened)}."
                    )
                self._opened[name] = opened
            return self._opened[name]

    def _open_collection(self, info: CollectionInfo) -> Collection:
        """A collection whose shards the catalog lists, so that only files of known size and checksum are read."""
        folder = f"collections/{info.name}"
        for needed in ("spec.json", "networks.parquet"):
            self.files.need(f"{folder}/{needed}", _listed_file(info, needed))

        def open_shard(path: Path, places: Sequence[int]) -> Stacked:
            return self.files.open_shard(f"{folder}/{path.name}", _listed_file(info, path.name), places)

        return Collection(self.root / folder, open_shard)

    def rows(self, collection: str, limit: int | None = None) -> list[dict[str, Any]]:
        """The facts of the first `limit` networks: whole id, split, recipe, label (its name) and PSNR or accuracy."""
        if limit is not None and limit < 0:
            raise ZooError(f"The limit must be 0 or more, got {limit}.")
        opened = self.collection(collection)
        rows = opened.rows if limit is None else opened.rows.slice(0, limit)
        return [self._describe(collection, opened, row) for row in rows.to_pylist()]

    def row(self, zoo_id: ZooId | str) -> dict[str, Any]:
        """The facts of one network, as in `rows`."""
        parsed = self.parse(zoo_id)
        opened = self.collection(parsed.collection)
        return self._describe(parsed.collection, opened, opened.row(parsed.network_id))

    def network(self, zoo_id: ZooId | str) -> Network:
        """One network, read without loading its shard."""
        parsed = self.parse(zoo_id)
        return self.collection(parsed.collection).network(parsed.network_id)

    def parse(self, zoo_id: ZooId | str) -> ZooId:
        """An id whose collection is in this zoo; ZooError offers the nearest names."""
        parsed = parse_zoo_id(zoo_id) if isinstance(zoo_id, str) else zoo_id
        _find(self._collection_infos, parsed.collection, "collection")
        return parsed

    def predictor(self, name: str) -> Any:
        """A predictor, loaded once, after its files were found to be those of the catalog."""
        info = _find(self._predictor_infos, name, "predictor")
        with self._lock:
            if name not in self._loaded:
                folder = self.root / "predictors" / name
                for needed in (CONFIG_FILE, WEIGHTS_FILE):
                    self.files.need(f"predictors/{name}/{needed}", _listed_file(info, needed))
                    _check_file(folder, _listed_file(info, needed))
                self._loaded[name] = _predictor_kind(name).load(folder)
            return self._loaded[name]

    def card(self, name: str = "") -> str:
        """The card of a predictor, or with no name that of the whole zoo: Markdown, "" where there is none."""
        if not name:
            return self.files.card()
        info = _find(self._predictor_infos, name, "predictor")
        found = [file for file in info.files if file.name == CARD_FILE]
        for file in found:
            self.files.need(f"predictors/{name}/{CARD_FILE}", file)
        path = self.root / "predictors" / name / CARD_FILE
        return path.read_text(encoding="utf-8", errors="replace") if found and path.is_file() else ""

    def listed(self) -> dict[str, FileInfo]:
        """Every file that the catalog lists, by its path in the zoo."""
        entries = [("collections", self.collections()), ("predictors", self.predictors())]
        return {
            f"{kind}/{info.name}/{file.name}": file
            for kind, infos in entries
            for info in infos
            for file in info.files
        }

    def verify(self) -> None:
        """Check size and SHA-256 of every file that the catalog lists."""
        for path, file in self.listed().items():
            _check_file((self.root / path).parent, file)

    def _describe(self, name: str, opened: Collection, row: dict[str, Any]) -> dict[str, Any]:
        place = ("id", "label", "shard", "row")
        facts = {key: value for key, value in row.items() if key not in place}
        if "label" not in row:
            return {"id": f"{name}/{row['id']}", **facts}
        label = row["label"]
        if not 0 <= label < len(opened.spec.label_names):
            raise ZooError(
                f"{name}/{row['id']} has label {label}; spec.json names {len(opened.spec.label_names)}."
            )
        return {"id": f"{name}/{row['id']}", "label": opened.spec.label_names[label], **facts}


def read_catalog(root: Path) -> tuple[dict[str, CollectionInfo], dict[str, PredictorInfo]]:
    """The two tables of `catalog.json`, by name."""
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
    except (KeyError, TypeError, ValueError) as error:
        raise ZooError(
            f"{short_name(path)} is damaged: {error}. `python -m zoo index` writes it anew."
        ) from error
    return {info.name: info for info in collections}, {info.name: info for info in predictors}


def _parse_info(kind: type, line: dict[str, Any]):
    files = tuple(FileInfo(**file) for file in line["files"])
    info = kind(**{**line, "files": files})
    if not NAME.fullmatch(info.name):
        raise ValueError(f"{shorten(str(info.name))} is no name for an entry")
    for file in files:
        if not FILE_NAME.fullmatch(file.name):
            raise ValueError(f"{shorten(str(file.name))} is no name for a file")
    return info


def _find(infos: dict[str, Any], name: str, what: str):
    if name in infos:
        return infos[name]
    near = get_close_matches(name[:200].lower().replace("_", "-"), infos, n=2, cutoff=0.5)
    listed = f" This zoo has {', '.join(infos) or 'none'}." if not near else ""
    raise ZooError(f"There is no {what} {shorten(name)} in this zoo.{_did_you_mean(near)}{listed}")


def _listed_file(info: CollectionInfo | PredictorInfo, name: str) -> FileInfo:
    for file in info.files:
        if file.name == name:
            return file
    raise ZooError(f"The catalog lists no {name} for {info.name}: `python -m zoo index` writes it anew.")


def _check_file(folder: Path, file: FileInfo) -> None:
    path = folder / file.name
    if not path.is_file():
        raise ZooError(f"{short_name(path)} is missing, though the catalog lists it: download it again.")
    if path.stat().st_size != file.size or sha256(path) != file.sha256:
        raise ZooError(
            f"{short_name(path)} is not the file that the catalog lists (its SHA-256 differs): "
            "download it again, or run `python -m zoo index` if you changed it yourself."
        )


def write_catalog(root: Path) -> None:
    """Write `catalog.json` from the folders under `collections/` and `predictors/`."""
    collections = [_collection_info(folder) for folder in _folders(root / "collections")]
    collections.sort(key=_display_order)
    predictors = [_predictor_info(folder) for folder in _folders(root / "predictors")]
    content = {
        "format": FORMAT,
        "collections": [asdict(info) for info in collections],
        "predictors": [asdict(info) for info in predictors],
    }
    write_json(root / "catalog.json", content)


def _display_order(info: CollectionInfo) -> tuple[bool, str]:
    """Digits first, being the easiest to look at; then by name."""
    return not info.name.startswith("mnist"), info.name


def _folders(parent: Path) -> list[Path]:
    folders = sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
    for folder in folders:
        if not NAME.fullmatch(folder.name):
            raise ZooError(
                f"{shorten(folder.name)} is no name for an entry: use a-z, 0-9 and single hyphens."
            )
    return folders


def _collection_info(folder: Path) -> CollectionInfo:
    collection = Collection(folder)
    collection.features()  # a collection that cannot be read does not get into the catalog
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
    kind = _predictor_kind(folder.name)
    files = _file_infos(folder)
    return PredictorInfo(kind.name, kind.title, kind.task, sum(file.size for file in files), files)


def _predictor_kind(name: str) -> PredictorKind:
    if name not in PREDICTORS:
        raise ZooError(f"Unknown predictor {name!r}: this version knows {', '.join(PREDICTORS)}.")
    return PREDICTORS[name]


def _file_infos(folder: Path) -> tuple[FileInfo, ...]:
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    return tuple(FileInfo(path.name, path.stat().st_size, sha256(path)) for path in paths)
