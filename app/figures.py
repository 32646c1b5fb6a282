"""Results to pictures: pixel arrays, and weight heat maps as plotly figures."""

import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from nfn.network import Network

MAX_NEURONS = 64
"""Wider layers are shown by their first neurons: more cells than that are not readable."""


MOST_NAMED = 4
"""Of more layers only the numbers are written above them."""


def to_pixels(image: torch.Tensor) -> np.ndarray:
    """A picture `(c, H, W)` in [-1, 1] as `(H, W, 3)` uint8."""
    pixels = ((image.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.expand(3, -1, -1).movedim(0, 2).numpy())


def weight_maps(network: Network) -> list[np.ndarray]:
    """One matrix per layer with a hidden neuron per row: `[W | b]`, and the output layer transposed."""
    maps, layers = [], network.matrices
    for i, (weight, bias) in enumerate(layers):
        parts = [weight] if bias is None else [weight, bias[:, None]]
        cells = (weight.T if i == len(layers) - 1 else torch.cat(parts, 1)).cpu().numpy()
        maps.append(np.ascontiguousarray(cells[:MAX_NEURONS, : MAX_NEURONS + 1]))
    return maps


def left_out(network: Network) -> str:
    """Which weights the heat maps do not show, in a sentence; "" where they show all."""
    widest = max((len(weight) for weight, _ in network.matrices[:-1]), default=0)
    if widest <= MAX_NEURONS:
        return ""
    return f"Layers here have up to {widest:,} neurons; the picture shows the first {MAX_NEURONS} of each."


def robust_limit(values: np.ndarray) -> float:
    """The 99th percentile of the magnitudes: a colour range that one outlier does not wash out."""
    return float(np.percentile(np.abs(values), 99)) or 1.0


def weight_heatmaps(network: Network) -> go.Figure:
    """The weights layer by layer, red below zero, blue above, white at zero, each layer on its own scale."""
    maps = weight_maps(network)
    columns = [cells.shape[1] for cells in maps]
    widths = [max(count, max(columns) / 3) for count in columns]  # room for a title over narrow ones
    titles = [_title(i, len(maps), cells) for i, cells in enumerate(maps)]
    figure = make_subplots(1, len(maps), column_widths=widths, horizontal_spacing=0.06, subplot_titles=titles)
    for i, cells in enumerate(maps):
        limit = robust_limit(cells)
        trace = go.Heatmap(z=cells.round(5), zmid=0, zmin=-limit, zmax=limit, colorscale="RdBu", showscale=False,
                           hovertemplate="row %{y}, column %{x}: %{z:.4f}<extra></extra>")  # fmt: skip
        figure.add_trace(trace, 1, i + 1)
    figure.update_xaxes(visible=False, fixedrange=True)
    figure.update_yaxes(visible=False, autorange="reversed", fixedrange=True)
    figure.update_annotations(font_size=11)
    figure.update_layout(height=300, margin={"l": 8, "r": 8, "t": 40, "b": 4}, font_color="#888",
                         paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")  # fmt: skip
    return figure


def _title(i: int, layers: int, cells: np.ndarray) -> str:
    name = "output" if i == layers - 1 else f"layer {i + 1}" if layers <= MOST_NAMED else f"{i + 1}"
    return f"{name}<br>±{robust_limit(cells):.2g}"
