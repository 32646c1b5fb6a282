"""The zoo's networks in the Accuracy tab: a table, and predicted against measured accuracy. Text is escaped here."""

from collections.abc import Sequence

from app.page.html import as_table, escape, networks_table_html, percent
from app.tabs.generalization.actions import Predicted
from app.tabs.generalization.figures import Dot, Span, scatter
from app.tabs.generalization.html import (
    OPTIMIZER_TITLES,
    legend,
    measured_span,
    predicted_span,
)
from app.tabs.generalization.zoo_points import ZooPoint
from nfn.architecture.words import FUNCTION_TITLES
from zoo.measure import Measured


def networks_table(points: Sequence[ZooPoint]) -> str:
    """The zoo's networks by measured accuracy, the best first; `networks.js` sorts and picks."""
    ordered = sorted(points, key=lambda point: point.measured, reverse=True)
    best = max((point.measured for point in points), default=1.0)
    heads = [
        ("", "Network"),
        (' aria-sort="descending"', "Measured"),
        ("", "Predicted"),
    ]
    return networks_table_html(heads, "".join(_row(point, best) for point in ordered))


def _row(point: ZooPoint, best: float) -> str:
    name, details = _name_and_details(point)
    bar = f'<span class="track"><span style="width:{100 * point.measured / best:.1f}%"></span></span>'
    guess = percent(point.predicted) if point.typical else "unlike the zoo"
    return (
        f'<tr data-zoo-id="{escape(point.zoo_id)}"><td>{escape(name)}<small>{escape(details)}</small></td>'
        f'<td data-value="{point.measured:.4f}">{bar}{percent(point.measured)}</td>'
        f'<td data-value="{point.predicted:.4f}">{guess}</td></tr>'
    )


def _name_and_details(point: ZooPoint) -> tuple[str, str]:
    """Such as "No. 17" and "ReLU, SGD"; "ResNet No. 3" and "2 blocks, ..." if it has an architecture of its own."""
    number, row = point.zoo_id.rpartition("/")[2], point.row
    if "architecture" in row:
        kind, _, details = row["architecture"].partition(", ")
        return f"{kind} No. {number}", details
    activation, optimizer = row["activation"], row.get("optimizer")
    parts = [FUNCTION_TITLES.get(activation, str(activation))]
    parts += [OPTIMIZER_TITLES.get(optimizer, str(optimizer))] if optimizer else []
    return f"No. {number}", ", ".join(parts)


def zoo_scatter(points: Sequence[ZooPoint], predicted: Predicted, measured: Measured | None) -> str:
    """Predicted against measured accuracy of the zoo's networks, with the chosen network marked."""
    dots = [
        Dot(p.zoo_id, p.measured, Span(p.predicted, p.low, p.high), _dot_label(p))
        for p in points
        if p.typical
    ]
    guess, truth = predicted_span(predicted.result), measured_span(predicted, measured)
    description = (
        f"Predicted against measured accuracy of {len(dots)} networks of the zoo. {scatter_line(points)}"
    )
    keys = [("dot", "a network of the zoo: click to choose it"), ("diagonal", "predicted = measured")]
    keys += [("band", "this network’s interval")] * (guess is not None)
    keys += [("measured", "this network")] * (truth is not None)
    axes = '<p class="axis up">predicted ↑</p><p class="axis across">measured →</p>'
    drawing = f'{scatter(dots, guess, truth, description)}{axes}<div class="tip" role="status" hidden></div>'
    return f'<div class="plot">{drawing}</div>{legend(keys)}{_scatter_table(points)}'


def _scatter_table(points: Sequence[ZooPoint]) -> str:
    """The scatter plot as a table, including the networks that are not drawn."""
    rows = [
        (p.zoo_id, percent(p.measured), *map(percent, (p.predicted, p.low, p.high)))
        if p.typical
        else (p.zoo_id, percent(p.measured), "unlike the zoo", "", "")
        for p in points
    ]
    return as_table(["network", "measured", "predicted", "from", "to"], rows)


def _dot_label(point: ZooPoint) -> str:
    name, _ = _name_and_details(point)
    return f"{name}: predicted {percent(point.predicted)}, measured {percent(point.measured)}"


def scatter_line(points: Sequence[ZooPoint]) -> str:
    """The mean error of the predictions in the plot, and how many measured accuracies lie in their interval."""
    drawn = [point for point in points if point.typical]
    if not drawn:
        return "The zoo has no networks to compare with."
    error = sum(abs(point.predicted - point.measured) for point in drawn) / len(drawn)
    inside = sum(point.low <= point.measured <= point.high for point in drawn)
    return (
        f"On the {len(drawn):,} held-out networks in the plot, the prediction is off by {100 * error:.1f} points on "
        f"average; {inside:,} of them ({inside / len(drawn):.0%}) lie in their interval."
    )
