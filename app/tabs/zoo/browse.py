"""The state of the Zoo tab (`View`), and the networks and pictures that it shows. No gradio."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from app.networks.zoos import zoo_at
from app.page.figures import red_blue, to_pixels
from app.runtime.errors import RequestError
from app.tabs.inr import actions as inr_actions
from nfn.siren import NATIVE_SIZES
from zoo.catalog import CollectionInfo, PredictorInfo, Zoo
from zoo.collection import Collection
from zoo.families import FAMILIES
from zoo.families.sirens import siren_pictures

PAGE = 48
"""Networks per page."""
ABOUT = "README"
"""The entry of the zoo's own card; no collection can have this name."""
ORDERS = ("stored", "best", "worst")


@dataclass(frozen=True)
class View:
    """The state of the Zoo tab. `where` is the zoo (see `zoo_at`), `entry` a collection, a predictor or `ABOUT`,
    `group` a value of the filter column, `network` a zoo id; "" stands for any, or none."""

    where: str = ""
    entry: str = ""
    group: str = ""
    order: str = "stored"
    page: int = 0
    network: str = ""

    def text(self) -> str:
        """The view as text for the page."""
        return json.dumps(vars(self))


def parse_view(text: str) -> View:
    """Parse the page's view; RequestError if the text is invalid."""
    try:
        view = View(**json.loads(text))
        valid = all(type(getattr(view, key)) is type(value) for key, value in vars(View()).items())
    except (TypeError, ValueError, RecursionError):
        valid = False
    if not valid or view.order not in ORDERS or not 0 <= view.page < 10**6:
        raise RequestError("The page has lost track of what it shows. Please reload it.")
    return view


def first_view(zoo: Zoo, where: str) -> View:
    """The view of a zoo before anything is chosen: its first entry, or its card if the zoo is empty."""
    infos = [*sorted(zoo.collections(), key=lambda info: list(FAMILIES).index(info.kind)), *zoo.predictors()]
    return View(where, infos[0].name if infos else ABOUT)


def view_of_network(zoo: Zoo, where: str, network: str) -> View:
    """The page of a collection that contains a network, with the network chosen; ZooError if it does not exist."""
    place = place_of(zoo, network)
    return View(where, zoo.parse(network).collection, page=place // PAGE, network=network)


def place_of(zoo: Zoo, network: str) -> int:
    """The index of a network in its collection's table; ZooError if it does not exist."""
    parsed = zoo.parse(network)
    opened = zoo.collection(parsed.collection)
    opened.row(parsed.network_id)
    return opened.rows["id"].to_pylist().index(parsed.network_id)


def find_entry(zoo: Zoo, name: str) -> CollectionInfo | PredictorInfo | None:
    """The catalog's record of an entry; None for the zoo's own card and for unknown names."""
    return next((info for info in [*zoo.collections(), *zoo.predictors()] if info.name == name), None)


@dataclass(frozen=True)
class NetworkPage:
    """One page of a view: the table indices of its networks, and how many networks pass the filter."""

    places: tuple[int, ...]
    count: int
    groups: tuple[str, ...]
    values: np.ndarray
    """The measure of every network that passes the filter, `(count,)`."""
    page: int


def choose(zoo: Zoo, view: View) -> NetworkPage:
    """Filter and sort the networks of a view's collection, and cut out the view's page."""
    opened = zoo.collection(view.entry)
    names = _group_names(opened)
    values = opened.rows[opened.spec.family.measure.column].to_numpy()
    places = np.flatnonzero([name == view.group for name in names]) if view.group else np.arange(len(opened))
    if view.order != "stored":
        signed = values[places] * (-1 if view.order == "best" else 1)
        places = places[np.argsort(signed, kind="stable")]
    page = min(view.page, max(0, len(places) - 1) // PAGE)
    on_page = places[page * PAGE : (page + 1) * PAGE]
    return NetworkPage(
        tuple(on_page.tolist()), len(places), tuple(dict.fromkeys(sorted(names))), values[places], page
    )


def _group_names(opened: Collection) -> list[str]:
    column = opened.spec.family.group
    values = opened.rows[column].to_pylist()
    if column != "label":
        return values
    labels = dict(enumerate(opened.spec.label_names))
    return [labels.get(value, f"label {value}") for value in values]


def ids_of(zoo: Zoo, collection: str, places: Sequence[int]) -> list[str]:
    """The full ids of networks, by their indices in the table."""
    column = zoo.collection(collection).rows["id"]
    return [f"{collection}/{column[place].as_py()}" for place in places]


@lru_cache(maxsize=64)
def pictures(where: str, collection: str, places: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """A picture `(H, W, 3)` uint8 of each network: the picture of a SIREN, else the first layer's weights."""
    if not places:
        return ()
    opened = zoo_at(where).collection(collection)
    if _can_be_drawn(opened, len(places)):
        return tuple(to_pixels(picture) for picture in siren_pictures(opened, places).nan_to_num())
    return tuple(first_layer(weight.nan_to_num()) for weight in opened.first_weights(places))


def _can_be_drawn(opened: Collection, count: int) -> bool:
    spec = opened.spec
    if not inr_actions.lists(spec):
        return False
    side = NATIVE_SIZES[spec.network.get_io()[1]]
    return count * spec.network.get_num_params() * side**2 <= inr_actions.MAX_DRAWING


def first_layer(weight: torch.Tensor) -> np.ndarray:
    """The first 16 filters of a layer `(out, in[, kh, kw])`, 4 per row: red below zero, blue above."""
    cells = weight[:16, :16] if weight.ndim == 2 else weight[:16, 0, :7, :7]
    if weight.ndim == 2:
        return red_blue(cells)
    side, (count, height, width) = 4, cells.shape
    sheet = torch.full((side * (height + 1) - 1, side * (width + 1) - 1), torch.nan)
    for i in range(count):
        top, left = i // side * (height + 1), i % side * (width + 1)
        sheet[top : top + height, left : left + width] = cells[i]
    return red_blue(sheet)


def turn(view: View, pages: str) -> View:
    """The view of the next ("1") or previous ("-1") page."""
    return replace(view, page=max(0, view.page + (1 if pages == "1" else -1)))
