"""What the Zoo tab does: a view of a zoo in, the networks and facts it shows out. No gradio."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from app.actions import MAX_DRAWING, RequestError
from app.figures import to_pixels
from app.zoos import zoo_at
from nfn.features import WeightSpaceFeatures
from nfn.siren import NATIVE_SIZES, is_picture, render
from zoo.catalog import CollectionInfo, PredictorInfo, Zoo
from zoo.collection import Collection, CollectionSpec

PAGE = 48
"""Networks that are shown at once."""
ABOUT = "README"
"""The entry that is the zoo's own card; no collection can have this name."""
GROUPS = {"siren": "label", "classifier": "activation", "init": "split"}
"""By kind, the column that networks can be filtered by."""
MEASURES = {"siren": "psnr", "classifier": "test_accuracy", "init": "ticket_accuracy"}
"""By kind, the column that says how good a network is."""
ORDERS = ("stored", "best", "worst")


@dataclass(frozen=True)
class View:
    """What the Zoo tab shows. `where` is the zoo (see `app.zoos.zoo_at`), `entry` a collection or predictor or ABOUT,
    `group` a value of the filter's column, `network` a zoo id; "" stands for any, or none."""

    where: str = ""
    entry: str = ""
    group: str = ""
    order: str = "stored"
    page: int = 0
    network: str = ""

    def text(self) -> str:
        """The view as the page holds it."""
        return json.dumps(vars(self))


def parse_view(text: str) -> View:
    """The view that the page holds; RequestError if someone wrote it by hand, and wrongly."""
    try:
        view = View(**json.loads(text))
        good = all(type(getattr(view, key)) is type(value) for key, value in vars(View()).items())
    except (TypeError, ValueError, RecursionError):
        good = False
    if not good or view.order not in ORDERS or not 0 <= view.page < 10**6:
        raise RequestError("The page has lost track of what it shows. Please reload it.")
    return view


def first_view(zoo: Zoo, where: str) -> View:
    """What is shown of a zoo before anything is chosen: its first entry, or its card where it holds nothing."""
    infos = [*sorted(zoo.collections(), key=lambda info: list(GROUPS).index(info.kind)), *zoo.predictors()]
    return View(where, infos[0].name if infos else ABOUT)


def view_of_network(zoo: Zoo, where: str, network: str) -> View:
    """The page of a collection on which a network is, with the network chosen; ZooError if there is none."""
    place = place_of(zoo, network)
    return View(where, zoo.parse(network).collection, page=place // PAGE, network=network)


def place_of(zoo: Zoo, network: str) -> int:
    """The place of a network in its collection's table; ZooError if it is not there."""
    parsed = zoo.parse(network)
    opened = zoo.collection(parsed.collection)
    opened.row(parsed.network_id)
    return opened.rows["id"].to_pylist().index(parsed.network_id)


def find_entry(zoo: Zoo, name: str) -> CollectionInfo | PredictorInfo | None:
    """The catalog's line on an entry; None for the zoo's own card and for names that it does not list."""
    return next((info for info in [*zoo.collections(), *zoo.predictors()] if info.name == name), None)


@dataclass(frozen=True)
class Shown:
    """The networks of a view: those of its page by place in the table, and how many pass the filter."""

    places: tuple[int, ...]
    count: int
    groups: tuple[str, ...]
    values: np.ndarray
    """The measure of all networks that pass the filter, `(count,)`."""
    page: int


def choose(zoo: Zoo, view: View) -> Shown:
    """Filter, order and cut into pages the networks of a view's collection."""
    opened = zoo.collection(view.entry)
    names = _group_names(opened)
    values = opened.rows[MEASURES[opened.spec.kind]].to_numpy()
    places = np.flatnonzero([name == view.group for name in names]) if view.group else np.arange(len(opened))
    if view.order != "stored":
        signed = values[places] * (-1 if view.order == "best" else 1)
        places = places[np.argsort(signed, kind="stable")]
    page = min(view.page, max(0, len(places) - 1) // PAGE)
    shown = places[page * PAGE : (page + 1) * PAGE]
    return Shown(
        tuple(shown.tolist()), len(places), tuple(dict.fromkeys(sorted(names))), values[places], page
    )


def _group_names(opened: Collection) -> list[str]:
    values = opened.rows[GROUPS[opened.spec.kind]].to_pylist()
    if opened.spec.kind != "siren":
        return values
    labels = dict(enumerate(opened.spec.label_names))
    return [labels.get(value, f"label {value}") for value in values]


def ids_of(zoo: Zoo, collection: str, places: Sequence[int]) -> list[str]:
    """The whole ids of networks, by their places in the table."""
    column = zoo.collection(collection).rows["id"]
    return [f"{collection}/{column[place].as_py()}" for place in places]


@lru_cache(maxsize=64)
def pictures(where: str, collection: str, places: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Of each network a picture `(H, W, 3)` uint8: what a SIREN draws, else its first layer's weights."""
    opened = zoo_at(where).collection(collection)
    features = opened.features(places)
    if _can_be_drawn(opened, len(places)):
        size = NATIVE_SIZES[opened.spec.network.get_io()[1]]
        with torch.no_grad():
            drawn = opened.spec.siren.pixels(render(opened.spec.siren.normalize(features), size, size))
        return tuple(to_pixels(picture) for picture in drawn.nan_to_num())
    return tuple(_first_layers(features))


def _can_be_drawn(opened: Collection, count: int) -> bool:
    spec = opened.spec
    if not _is_picture(spec):
        return False
    side = NATIVE_SIZES[spec.network.get_io()[1]]
    return count * spec.network.get_num_params() * side**2 <= MAX_DRAWING


def _is_picture(spec: CollectionSpec) -> bool:
    return spec.kind == "siren" and is_picture(*spec.network.get_io())


def _first_layers(features: WeightSpaceFeatures) -> list[np.ndarray]:
    return [first_layer(weight[0].nan_to_num()) for weight in features.weights[0]]


def first_layer(weight: torch.Tensor) -> np.ndarray:
    """The first 16 filters `(out, in[, kh, kw])` of a layer side by side, 4 to a row: red below zero, blue above."""
    cells = weight[:16, :16] if weight.ndim == 2 else weight[:16, 0, :7, :7]
    if weight.ndim == 2:
        return _red_blue(cells)
    side, (count, height, width) = 4, cells.shape
    sheet = torch.full((side * (height + 1) - 1, side * (width + 1) - 1), torch.nan)
    for i in range(count):
        top, left = i // side * (height + 1), i % side * (width + 1)
        sheet[top : top + height, left : left + width] = cells[i]
    return _red_blue(sheet)


def _red_blue(cells: torch.Tensor) -> np.ndarray:
    """Numbers `(H, W)` as colours, white at zero, as strong as the largest magnitude; gaps (NaN) are gray."""
    values = cells.float()
    strength = values / (values.nan_to_num().abs().max() + 1e-12)
    red, blue = torch.tensor([178.0, 24.0, 43.0]), torch.tensor([33.0, 102.0, 172.0])
    ends = torch.where((strength > 0)[..., None], blue, red)
    colours = 255 + (ends - 255) * strength.abs()[..., None]
    return colours.nan_to_num(nan=200).round().to(torch.uint8).numpy()


def tab_for(zoo: Zoo, network: str) -> str | None:
    """The tab that a network can be opened in, as links name it; None where no tab takes its kind."""
    spec = zoo.collection(zoo.parse(network).collection).spec
    if spec.kind == "siren":
        return "inr" if _is_picture(spec) else None
    return {"classifier": "generalization", "init": "tickets"}[spec.kind]


def turn(view: View, pages: str) -> View:
    """The view of the page after ("1") or before ("-1")."""
    return replace(view, page=max(0, view.page + (1 if pages == "1" else -1)))
