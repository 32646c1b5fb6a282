"""The way into a zoo: `Zoo`, and by name what its users need besides.

To add a predictor, see `zoo.predictors`; to add a collection, put its folder under `collections/`; then run
`python -m zoo index`, which writes what `zoo.index` reads.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, overload

from nfn.network import Network
from nfn.predictor import CONFIG_FILE, WEIGHTS_FILE, Predictor
from zoo.collection import Collection
from zoo.errors import ZooError, did_you_mean, shorten
from zoo.ids import WHOLE_ID, ZooId, parse_zoo_id
from zoo.index import CollectionInfo, PredictorInfo, listed_file, read_catalog, write_catalog
from zoo.predictors import PREDICTORS, PredictorKind, predictor_kind
from zoo.source import EMBEDDED, FileInfo, Files, LocalFiles, ZooSource, check_file
from zoo.stacked import Stacked

__all__ = [
    "EMBEDDED",
    "PREDICTORS",
    "WHOLE_ID",
    "CollectionInfo",
    "PredictorInfo",
    "PredictorKind",
    "Zoo",
    "ZooId",
    "parse_zoo_id",
    "read_catalog",
    "write_catalog",
]

CARD_FILE = "README.md"
P = TypeVar("P", bound=Predictor)


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
        self._loaded: dict[str, Predictor] = {}
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
                while len(self._opened) >= self.files.limits.opened:
                    self._opened.pop(next(iter(self._opened)))
                self._opened[name] = opened
            return self._opened[name]

    def _open_collection(self, info: CollectionInfo) -> Collection:
        """A collection whose shards the catalog lists, so that only files of known size and checksum are read."""
        folder = f"collections/{info.name}"
        for needed in ("spec.json", "networks.parquet"):
            self.files.need(f"{folder}/{needed}", listed_file(info, needed))

        def open_shard(path: Path, places: Sequence[int]) -> Stacked:
            return self.files.open_shard(f"{folder}/{path.name}", listed_file(info, path.name), places)

        return Collection(self.root / folder, open_shard, self.files.limits)

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

    @overload
    def predictor(self, name: str) -> Predictor: ...
    @overload
    def predictor(self, name: str, wanted: type[P]) -> P: ...

    def predictor(self, name: str, wanted: type[Predictor] = Predictor) -> Predictor:
        """A predictor, loaded once, after its files were found to be those of the catalog.

        Raises ZooError where it is none of `wanted`, or not in this zoo.
        """
        model = self._load(name)
        if not isinstance(model, wanted):
            raise ZooError(f"The predictor {name!r} is a {type(model).__name__}; wanted a {wanted.__name__}.")
        return model

    def _load(self, name: str) -> Predictor:
        info = _find(self._predictor_infos, name, "predictor")
        with self._lock:
            if name not in self._loaded:
                folder = self.root / "predictors" / name
                for needed in (CONFIG_FILE, WEIGHTS_FILE):
                    self.files.need(f"predictors/{name}/{needed}", listed_file(info, needed))
                self._loaded[name] = _load(name, folder)
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
            check_file((self.root / path).parent, file)

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


def _load(name: str, folder: Path) -> Predictor:
    try:
        return predictor_kind(name).load(folder)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ZooError(f"The predictor {name} cannot be used: {error}") from error


def _find(infos: dict[str, Any], name: str, what: str):
    if name in infos:
        return infos[name]
    near = get_close_matches(name[:200].lower().replace("_", "-"), infos, n=2, cutoff=0.5)
    listed = f" This zoo has {', '.join(infos) or 'none'}." if not near else ""
    raise ZooError(f"There is no {what} {shorten(name)} in this zoo.{did_you_mean(near)}{listed}")
