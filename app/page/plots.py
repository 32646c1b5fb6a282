"""Curves that a visitor asked for, as plotly figures: values at the pointer, zoom, lines to hide.

plotly.js comes with the first of them. When a figure is one of these and when it is SVG: "Plots" in
docs/architecture.md. Its colours follow the page through style.css.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradio.components.plot import PlotData

BLUE, ORANGE, PURPLE, GRAY = "#1a85c7", "#c87900", "#b8609a", "#707885"
"""Distinguishable for colour-blind people, with enough contrast on white and dark blue."""
HEIGHT = 360


@dataclass(frozen=True)
class Curve:
    """A line of a figure: fractions `y`, 0 to 1, at the places `x`; `dash` as plotly names it.

    The legend shows `name` and the value at `legend_index`, by default the last.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dash: str = "solid"
    legend_index: int = -1


TEMPLATE = {
    "layout": {
        "height": HEIGHT,
        "margin": {"l": 52, "r": 12, "t": 8, "b": 44},
        "font": {"family": "inherit", "size": 12},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "xaxis": {"zeroline": False, "title": {"standoff": 8}, "spikethickness": 1, "spikedash": "solid"},
        "yaxis": {"zeroline": False, "tickformat": ".0%", "hoverformat": ".1%", "rangemode": "tozero"},
        "uirevision": "kept",  # what is zoomed in or hidden stays so while a figure is updated
    }
}


def fraction_curves(
    curves: Sequence[Curve], x_title: str, x_range: tuple[float, float], x_format: str
) -> PlotData:
    """Curves of fractions as a figure for `gr.Plot`; `x_format` is that of d3 for numbers at the x axis."""
    import plotly.graph_objects as go  # with the first figure: it takes a twentieth of the app's start-up

    figure = go.Figure([_line(curve) for curve in curves])
    figure.update_layout(template=TEMPLATE)
    figure.update_xaxes(title_text=x_title, range=x_range, tickformat=x_format, hoverformat=x_format)
    content = json.loads(str(figure.to_json()))
    content["config"] = {"displayModeBar": False}
    return PlotData(type="plotly", plot=json.dumps(content))


def _line(curve: Curve) -> dict[str, Any]:
    y = [round(value, 4) for value in curve.y]
    return {
        "type": "scatter", "x": list(curve.x), "y": y, "name": f"{curve.name} {y[curve.legend_index]:.1%}",
        "mode": "lines", "hovertemplate": f"{curve.name} %{{y:.1%}}<extra></extra>",
        "line": {"color": curve.colour, "dash": curve.dash, "width": 2.5},
    }  # fmt: skip
