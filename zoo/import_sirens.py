"""Import published folders of SIRENs, one `.pth` file each, as a collection.

NFN (arXiv:2302.14040): `randinit_smaller_<label>s/net<image>.pth`, copies under `randinit_smaller_aug<copy>_<label>s`;
the image number counts through the training and the test images. DWS (arXiv:2301.12780): either
`mnist_png_<training or testing>_<label>_<image>/checkpoints/*.pth`, or `<train or test>/model_<number>.pth` with the
label inside and a `splits.json`. The files are read by our own reader, which executes nothing in them.
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from nfn.features import WeightSpaceFeatures
from nfn.network import Network, SirenConvention
from nfn.reader import NetworkFileError, read_network
from zoo.errors import ZooError, shorten
from zoo.files import short_name
from zoo.images import find_image_set
from zoo.shards import Shard, shard_numbers

Layout = Literal["nfn", "dws"]
CONVENTIONS: dict[Layout, SirenConvention] = {
    "nfn": SirenConvention(),
    "dws": SirenConvention(low=-0.5, high=0.5, coordinates="col_row"),
}
"""DWS adds 0.5 to the output to get a pixel from 0 to 1, and takes coordinates (x, y)."""
SOURCES: dict[Layout, str] = {
    "nfn": "SIRENs of NFN (arXiv:2302.14040)",
    "dws": "SIRENs of DWS (arXiv:2301.12780), biases zero before fitting",
}
NFN_SPLITS = ((45_000, "train"), (50_000, "validation"))
"""NFN's own splits: images below each bound; the remaining ones are for testing."""
DWS_VALIDATION = 12
"""In DWS folders without splits, one training image in twelve is used for validation: 5,000 of 60,000."""

_NFN_FILE = re.compile(r"(?:.*?_)?(?:aug(?P<copy>\d+)_)?(?P<label>\d)s/net(?P<image>\d+)\.pth")
_DWS_FOLDER = re.compile(r"\w+_png_(?P<split>train|test)(?:ing)?_(?P<label>\w+)_(?P<image>\d+)")
_DWS_FILE = re.compile(r"(?P<split>train|test)/model_(?P<image>\d+)\.pth")


@dataclass(frozen=True)
class Entry:
    """One file: the split and number of its image, its copy number, and its label if the path contains it."""

    path: Path
    split: str
    image: int
    copy: int = 0
    label: str | None = None


@dataclass(frozen=True)
class SirenImport:
    """What to import: the first `limit` files of a folder of SIRENs of `images`."""

    folder: str
    layout: Layout
    images: str
    limit: int | None = None
    shard_size: int = 500

    @property
    def total(self) -> int:
        return len(self.entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The files, by split, image and copy."""
        return _find(Path(self.folder), self.layout)[: self.limit]

    def check(self) -> None:
        """Raise ZooError unless the folder has files of that layout."""
        find_image_set(self.images)
        if self.limit is not None and self.limit < 1:
            raise ZooError(f"The limit must be at least 1 network, got {self.limit}.")
        if not Path(self.folder).is_dir():
            raise ZooError(f"There is no folder {Path(self.folder).name}.")
        if not self.entries:
            raise ZooError(f"{Path(self.folder).name} has no such file: expected {_EXPECTED[self.layout]}.")

    def make_shard(self, shard: int, device: str, on_fit: Callable[[int], None]) -> Shard:
        """Read the networks of one shard."""
        numbers, first = shard_numbers(self, shard), self._read(self.entries[0])
        networks, rows = [], []
        for entry in self.entries[numbers.start : numbers.stop]:
            network = self._read(entry)
            if network.spec != first.spec:
                raise ZooError(
                    f"{short_name(entry.path)} has another shape than {short_name(self.entries[0].path)}; "
                    f"a collection holds networks of one shape."
                )
            networks.append(network.features)
            rows.append(self._describe(entry, network))
            on_fit(1)
        return Shard(WeightSpaceFeatures.cat(networks), rows, _names(first))

    def describe(self) -> dict:
        """The content of `spec.json`, with the folder's own convention."""
        images, first = find_image_set(self.images), self._read(self.entries[0])
        widths = [weight.shape[2] for weight in first.features.weights]
        return {
            "format": 1,
            "title": f"{images.title} as SIRENs of {self.layout.upper()}",
            "kind": "siren",
            "layers": [2, *widths],
            "activation": "sine",
            "siren": asdict(CONVENTIONS[self.layout]),
            "tensor_names": _names(first),
            "images": {"name": images.name, "repo": images.repo, "size": images.size, "licence": images.licence},
            "labels": list(images.labels),
            "build": {
                "source": SOURCES[self.layout], "images": self.images, "limit": self.limit,
                "shard_size": self.shard_size,
            },
        }  # fmt: skip

    def _read(self, entry: Entry) -> Network:
        try:
            return read_network(entry.path, convention=CONVENTIONS[self.layout])
        except NetworkFileError as error:
            raise ZooError(f"{short_name(entry.path)} cannot be imported: {error}") from error

    def _describe(self, entry: Entry, network: Network) -> dict:
        """A table row. How well these SIRENs fit their images was not published, so the PSNR is NaN."""
        label = network.metadata.get("label") if entry.label is None else entry.label
        return {
            "split": entry.split, "label": self._label(label, entry), "image_row": entry.image, "copy": entry.copy,
            "psnr": float("nan"),
        }  # fmt: skip

    def _label(self, label: str | None, entry: Entry) -> int:
        labels = find_image_set(self.images).labels
        if label in labels:
            return labels.index(label)
        if label is None or not label.isdecimal() or int(label[:9]) >= len(labels):
            raise ZooError(
                f"{short_name(entry.path)} has the label {shorten(str(label))}; expected 0 to {len(labels) - 1}."
            )
        return int(label)


_EXPECTED: dict[Layout, str] = {
    "nfn": "randinit_smaller_7s/net123.pth and the like",
    "dws": "mnist_png_training_7_123/checkpoints/model_final.pth, or train/model_123.pth, and the like",
}


@cache
def _find(folder: Path, layout: Layout) -> tuple[Entry, ...]:
    entries = _find_nfn(folder) if layout == "nfn" else _find_dws(folder)
    order = {"train": 0, "validation": 1, "test": 2}
    return tuple(sorted(entries, key=lambda e: (order[e.split], e.image, e.copy, e.path.name)))


def _find_nfn(folder: Path) -> list[Entry]:
    entries = []
    for path in folder.glob("*s/net*.pth"):
        match = _NFN_FILE.fullmatch("/".join(path.parts[-2:]))
        if match:
            image = int(match["image"])
            split = next((name for bound, name in NFN_SPLITS if image < bound), "test")
            copy = int(match["copy"]) + 1 if match["copy"] else 0
            entries.append(Entry(path, split, image, copy, match["label"]))
    return entries


def _find_dws(folder: Path) -> list[Entry]:
    """Find the files of both DWS layouts."""
    entries = []
    for path in folder.glob("*_png_*/**/*.pth"):
        match = _DWS_FOLDER.fullmatch(path.relative_to(folder).parts[0])
        if match:
            image = int(match["image"])
            validation = match["split"] == "train" and image % DWS_VALIDATION == 0
            entries.append(
                Entry(path, "validation" if validation else match["split"], image, label=match["label"])
            )
    splits = _read_splits(folder)
    for path in folder.glob("t*/model_*.pth"):
        name = "/".join(path.parts[-2:])
        match = _DWS_FILE.fullmatch(name)
        if match:
            entries.append(Entry(path, splits.get(name, match["split"]), int(match["image"])))
    return entries


def _read_splits(folder: Path) -> dict[str, str]:
    """Map `folder/file` to our split name; the paths in `splits.json` are those of its authors' machine."""
    path = folder / "splits.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
        names = {"train": "train", "val": "validation", "test": "test"}
        return {
            "/".join(Path(name).parts[-2:]): ours
            for theirs, ours in names.items()
            for name in (content[theirs]["path"] if isinstance(content[theirs], dict) else content[theirs])
        }
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ZooError(
            f"{short_name(path)} is damaged: expected lists of files under train, val and test."
        ) from error


def _names(network: Network) -> list[tuple[str, str]]:
    return [(layer.weight, layer.bias or f"{layer.weight}.bias") for layer in network.names]
