"""The weights of a SIREN as pictures: each layer on its own, and all layers in one."""

import numpy as np
import torch
import torch.nn.functional as F

from app.page.figures import colours, red_blue, robust_limit
from app.page.widgets import inline_image
from nfn.network import Network

MAX_NEURONS = 64
"""Neurons of a layer that are drawn, the first ones: more cells are not readable."""
MAX_NAMED_LAYERS = 4
"""With more layers, each title is only the layer's number."""
CELL, NARROWEST = 3, 46
"""Width of a cell, and of a layer, in pixels, from which layers grow to fill a line."""


def weight_maps(network: Network) -> list[np.ndarray]:
    """One matrix per layer with a hidden neuron per row: `[W | b]`, and the output layer transposed."""
    maps, layers = [], network.matrices
    for i, (weight, bias) in enumerate(layers):
        parts = [weight] if bias is None else [weight, bias[:, None]]
        cells = (weight.T if i == len(layers) - 1 else torch.cat(parts, 1)).cpu().numpy()
        maps.append(np.ascontiguousarray(cells[:MAX_NEURONS, : MAX_NEURONS + 1]))
    return maps


def omitted_note(network: Network) -> str:
    """A sentence on the neurons that the heat maps leave out; "" if they show all."""
    widest = max((len(weight) for weight, _ in network.matrices[:-1]), default=0)
    if widest <= MAX_NEURONS:
        return ""
    return f"Layers have up to {widest:,} neurons; the picture shows the first {MAX_NEURONS} of each."


def weight_heatmaps(network: Network, title: str) -> str:
    """The weights layer by layer, as HTML under a trusted `title`: red below zero, blue above, white at zero.

    Each layer has its own colour range.
    """
    maps = weight_maps(network)
    figures = "".join(_heatmap(_title(i, len(maps)), cells) for i, cells in enumerate(maps))
    return f'<p class="caption">{title}</p><div class="heatmaps">{figures}</div>'


def _heatmap(name: str, cells: np.ndarray) -> str:
    limit, columns = robust_limit(cells), cells.shape[1]
    image = inline_image(colours(cells, limit), f"{name}: its weights as colours")
    size = f"flex: {columns} 1 {max(CELL * columns, NARROWEST)}px"
    return f'<figure style="{size}"><figcaption>{name}<br>±{limit:.2g}</figcaption>{image}</figure>'


def _title(i: int, layers: int) -> str:
    return "output" if i == layers - 1 else f"layer {i + 1}" if layers <= MAX_NAMED_LAYERS else f"{i + 1}"


def weights_picture(network: Network) -> np.ndarray:
    """All layers side by side as one picture `(H, W, 3)` uint8, one cell per weight; each layer has its own range."""
    maps = [torch.from_numpy(cells) for cells in weight_maps(network)]
    tall = max(len(cells) for cells in maps)
    gap = torch.full((tall, 1), torch.nan)
    sheets = []
    for cells in maps:
        scaled = (cells / robust_limit(cells.numpy())).clamp(-1, 1)
        sheets += [F.pad(scaled, (0, 0, 0, tall - len(cells)), value=torch.nan), gap]
    return red_blue(torch.cat(sheets[:-1], 1))
