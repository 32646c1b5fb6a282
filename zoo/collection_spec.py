"""`spec.json`, the properties that all networks of a collection share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nfn.network import Kind, LayerNames
from nfn.siren_convention.convention import SirenConvention, convention_from_json
from nfn.spec import ArraySpec, NetworkSpec
from zoo.errors import ZooError
from zoo.families import FAMILIES, Family
from zoo.files import read_json, short_name

FORMAT = 1
MAX_LAYERS, MAX_PARAMETERS = 128, 2**27
"""Limits on the networks that a `spec.json` may describe."""


@dataclass(frozen=True)
class CollectionSpec:
    """The properties that all networks of a collection share, from `spec.json`; without a title, the folder's name.

    `layers` is None if each network has an architecture of its own.
    """

    title: str
    family: Family
    layers: NetworkSpec | None
    siren: SirenConvention
    names: tuple[LayerNames, ...]
    label_names: tuple[str, ...]
    images: dict[str, Any]
    build: dict[str, Any]

    @property
    def kind(self) -> str:
        """The family's name in `spec.json`."""
        return self.family.kind

    @property
    def network(self) -> NetworkSpec:
        """`layers`; ZooError if there are none in common."""
        if self.layers is None:
            raise ZooError(
                f"The networks of {self.title!r} have an architecture each: read them one by one, by their ids."
            )
        return self.layers


def read_spec(folder: Path) -> CollectionSpec:
    """Read and check `spec.json`."""
    path = folder / "spec.json"
    if not path.is_file():
        raise ZooError(
            f"{folder.name} has no spec.json: it is not a collection, or its build is not finished."
        )
    content = read_json(path)
    if content.get("format") != FORMAT or content.get("kind") not in list(FAMILIES):
        got = f"format {content.get('format')!r} of kind {content.get('kind')!r}"
        kinds = " or ".join(map(repr, FAMILIES))
        raise ZooError(f"{short_name(path)} has {got}; this version reads format {FORMAT} of kind {kinds}.")
    try:
        return _parse_spec(content, folder.name)
    except (KeyError, TypeError, ValueError) as error:
        raise ZooError(f"{short_name(path)} is damaged: {error!r}. Build or download it again.") from error


def _parse_spec(content: dict[str, Any], folder_name: str) -> CollectionSpec:
    family = FAMILIES[content["kind"]]
    layers, names = (None, ()) if family.own_architectures else _parse_layers(content, family.network)
    siren, images = convention_from_json(content.get("siren", {})), dict(content["images"])
    siren.check(layers.get_io()[1] if layers and family.network == "siren" else None)
    if not all(isinstance(images.get(key, ""), str) for key in ("name", "repo", "licence")):
        raise ValueError(f"the name, repo or licence of images is not text in {images}")
    return CollectionSpec(
        title=str(content.get("title", folder_name)),
        family=family,
        layers=layers,
        siren=siren,
        names=names,
        label_names=tuple(str(label) for label in content["labels"]),
        images={"name": "", **images},
        build=dict(content["build"]),
    )


def _parse_layers(content: dict[str, Any], kind: Kind) -> tuple[NetworkSpec, tuple[LayerNames, ...]]:
    """The layers that all networks have, and their tensor names."""
    network, names = _parse_network(content, kind), content["tensor_names"]
    if len(network) > MAX_LAYERS or network.get_num_params() > MAX_PARAMETERS:
        raise ValueError(
            f"{len(network)} layers of {network.get_num_params():,} weights: at most {MAX_LAYERS} of {MAX_PARAMETERS:,}"
        )
    if len(network) != len(names):
        shapes = content.get("layers", content.get("shapes"))
        raise ValueError(f"layers {shapes} and {len(names)} pairs of tensor names do not match")
    return network, tuple(LayerNames(_tensor_name(weight), _tensor_name(bias)) for weight, bias in names)


def _tensor_name(name: object) -> str:
    """A name that can be encoded, as text; raises ValueError for a lone surrogate."""
    return str(name).encode().decode()


def _parse_network(content: dict[str, Any], kind: Kind) -> NetworkSpec:
    """`layers`, the widths of a SIREN, or `shapes`, the weight shapes of a classifier."""
    siren = kind == "siren"
    shapes = [content["layers"]] if siren else content["shapes"]
    if not all(isinstance(shape, list) and shape for shape in shapes):
        raise ValueError(f"shapes {shapes} are not lists of sizes")
    numbers = [size for shape in shapes for size in shape]
    if not all(isinstance(n, int) and 0 < n <= 4096 for n in numbers):
        raise ValueError(f"sizes {numbers} are not whole numbers from 1 to 4096")
    if siren:
        return NetworkSpec.mlp(*numbers)
    return NetworkSpec(
        tuple(ArraySpec(tuple(shape)) for shape in shapes), tuple(ArraySpec((shape[0],)) for shape in shapes)
    )
