"""`Zoo`, the entry point to a zoo, and re-exports of what its users need.

To add a predictor or a collection, put its folder under `predictors/` or `collections/`; then run
`python -m zoo index FOLDER`, which writes what `zoo.index` reads. New kinds: see `nfn.predictor` and `zoo.families`.
"""

import logging
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, overload

from nfn.architecture.words import architecture_words
from nfn.network import Network
from nfn.predictor import CONFIG_FILE, WEIGHTS_FILE, Predictor
from zoo.collection import Collection
from zoo.errors import ZooError, did_you_mean, shorten
from zoo.ids import WHOLE_ID, ZooId, parse_zoo_id
from zoo.index import CollectionInfo, PredictorInfo, listed_file, read_catalog, write_catalog
from zoo.own_architectures import read_architecture
from zoo.predictors import load_predictor
from zoo.source import EMBEDDED, FileInfo, Files, LocalFiles, ZooSource, check_file
from zoo.stacked import Stacked

__all__ = [
    "EMBEDDED",
    "WHOLE_ID",
    "CollectionInfo",
    "PredictorInfo",
    "Zoo",
    "ZooId",
    "parse_zoo_id",
    "read_catalog",
    "write_catalog",
]

log = logging.getLogger(__name__)
CARD_FILE = "README.md"
READER_PREFIX = "reader-"
"""Weights-only readers have names like reader-gray."""
P = TypeVar("P", bound=Predictor)


class Zoo:
    """A folder with `catalog.json`, `collections/` and `predictors/`; only what the catalog lists is used.

    `files` provides what is not in the folder yet. Raises ZooError for what is missing, damaged or misspelled, and
    HubError for what cannot be downloaded.
    """

    def __init__(self, root: Path = EMBEDDED, files: Files | None = None):
        self.root = Path(root)
        self.files = files or LocalFiles(self.root)
        self._collection_infos, self._predictor_infos = read_catalog(self.root)
        self._opened: dict[str, Collection] = {}
        self._loaded: dict[str, Predictor] = {}
        self._lock = Lock()

    @property
    def source(self) -> ZooSource:
        """The source of this zoo."""
        return self.files.source

    def collections(self) -> list[CollectionInfo]:
        """The collections, as the catalog lists them."""
        return list(self._collection_infos.values())

    def predictors(self) -> list[PredictorInfo]:
        """The predictors, as the catalog lists them."""
        return list(self._predictor_infos.values())

    def readers(self) -> list[str]:
        """The names of the weights-only readers; a zoo may have none."""
        return [name for name in self._predictor_infos if name.startswith(READER_PREFIX)]

    def collection(self, name: str) -> Collection:
        """A collection, opened once and then reused."""
        info = _find(self._collection_infos, name, "collection")
        with self._lock:
            if name not in self._opened:
                opened = self.open_collection(name)
                if len(opened) != info.count:
                    raise ZooError(
                        f"The catalog lists {info.count} networks in {name}, its table has {len(opened)}."
                    )
                while len(self._opened) >= self.files.limits.opened:
                    self._opened.pop(next(iter(self._opened)))
                self._opened[name] = opened
            return self._opened[name]

    def open_collection(self, name: str) -> Collection:
        """A collection of which nothing but `spec.json` has been read, to read parts of it (`Collection.part`).

        Its files must have the size and checksum that the catalog lists.
        """
        info = _find(self._collection_infos, name, "collection")
        folder = f"collections/{info.name}"
        for file in ("spec.json", "networks.parquet"):
            self.files.ensure(f"{folder}/{file}", listed_file(info, file))

        def open_shard(path: Path, places: Sequence[int]) -> Stacked:
            return self.files.open_shard(f"{folder}/{path.name}", listed_file(info, path.name), places)

        return Collection(self.root / folder, open_shard, self.files.limits)

    def collection_file(self, name: str, file: str) -> Path | None:
        """The path of a further file of a collection, checked against the catalog; None if there is none."""
        info = _find(self._collection_infos, name, "collection")
        listed = next((one for one in info.files if one.name == file), None)
        if listed is None:
            return None
        self.files.ensure(f"collections/{name}/{file}", listed)
        return self.root / "collections" / name / file

    def rows(self, collection: str, limit: int | None = None) -> list[dict[str, Any]]:
        """The facts of the first `limit` networks: full id, split, recipe, label (its name) and PSNR or accuracy.

        An architecture of its own is given in words; the column of `collection(name).rows` has it as JSON.
        """
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
        """Parse an id of a collection in this zoo; ZooError suggests the nearest names."""
        parsed = parse_zoo_id(zoo_id) if isinstance(zoo_id, str) else zoo_id
        _find(self._collection_infos, parsed.collection, "collection")
        return parsed

    @overload
    def predictor(self, name: str) -> Predictor: ...
    @overload
    def predictor(self, name: str, expected: type[P]) -> P: ...

    def predictor(self, name: str, expected: type[Predictor] = Predictor) -> Predictor:
        """A predictor, loaded once, after checking its files against the catalog.

        Raises ZooError if it is not an `expected` one, or not in this zoo.
        """
        info = _find(self._predictor_infos, name, "predictor")
        with self._lock:
            if name not in self._loaded:
                folder = self.root / "predictors" / name
                for file in (CONFIG_FILE, WEIGHTS_FILE):
                    self.files.ensure(f"predictors/{name}/{file}", listed_file(info, file))
                self._loaded[name] = load_predictor(folder)
                log.debug("predictor %s from %s", name, folder)
            model = self._loaded[name]
        if not isinstance(model, expected):
            raise ZooError(
                f"The predictor {name!r} is a {type(model).__name__}; expected a {expected.__name__}."
            )
        return model

    def card(self, name: str = "") -> str:
        """The card of a predictor, or of the whole zoo if no name is given: Markdown, "" if there is none."""
        if not name:
            return self.files.card()
        info = _find(self._predictor_infos, name, "predictor")
        matches = [file for file in info.files if file.name == CARD_FILE]
        for file in matches:
            self.files.ensure(f"predictors/{name}/{CARD_FILE}", file)
        path = self.root / "predictors" / name / CARD_FILE
        return path.read_text(encoding="utf-8", errors="replace") if matches and path.is_file() else ""

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
        """Check size and SHA-256 of every file in the catalog."""
        for path, file in self.listed().items():
            check_file((self.root / path).parent, file)

    def _describe(self, name: str, opened: Collection, row: dict[str, Any]) -> dict[str, Any]:
        location = ("id", "label", "shard", "row")
        facts = {key: value for key, value in row.items() if key not in location}
        if opened.spec.family.own_architectures:
            facts["architecture"] = architecture_words(read_architecture(row))
        if "label" not in row:
            return {"id": f"{name}/{row['id']}", **facts}
        label = row["label"]
        if not 0 <= label < len(opened.spec.label_names):
            raise ZooError(
                f"{name}/{row['id']} has label {label}; spec.json names {len(opened.spec.label_names)}."
            )
        return {"id": f"{name}/{row['id']}", "label": opened.spec.label_names[label], **facts}


def _find(infos: dict[str, Any], name: str, what: str):
    if name in infos:
        return infos[name]
    near = get_close_matches(name[:200].lower().replace("_", "-"), infos, n=2, cutoff=0.5)
    listed = f" This zoo has {', '.join(infos) or 'none'}." if not near else ""
    raise ZooError(f"There is no {what} {shorten(name)} in this zoo.{did_you_mean(near)}{listed}")
