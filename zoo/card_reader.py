"""The card of a reader of weights alone, and the picture of its validation curve."""

from collections.abc import Sequence
from typing import Any

from zoo import hub
from zoo.card import PAPER, TAGS, percent, table, training_facts

LABELS = {
    "collection": "networks of",
    "images": "images",
    "recipe": "recipe",
    "networks": "number",
    "psnr": "mean PSNR, dB",
    "accuracy": "accuracy, image set told",
    "accuracy_auto": "image set found",
    "confidence": "mean confidence",
}
NUMBERS = {"images": "images", "networks": "networks", "tau": "Kendall's tau", "tau_ceiling": "ceiling of ties",
           "error": "mean error"}  # fmt: skip
PUBLISHED = [
    {"model": "NFN, HNP", "copies": "10 / 10 / 20", "mnist": "92.5", "fashion": "72.7", "cifar": "44.1"},
    {"model": "NFN, NP", "copies": "10 / 10 / 20", "mnist": "92.9", "fashion": "75.6", "cifar": "46.6"},
    {
        "model": "MLP on the weights",
        "copies": "10 / 10 / 20",
        "mnist": "14.5",
        "fashion": "12.5",
        "cifar": "16.9",
    },
]
"""Of the paper, on its own SIRENs; copies: fits of each training image from other initial weights."""


def reader_card(training: dict[str, Any], metrics: dict[str, Any], baselines: list[dict[str, Any]]) -> str:
    """The card of `WeightReader`."""
    header = hub.card_header(f"Weightscope reader of weights alone: {metrics['task']}", TAGS, [])
    permuted = ", ".join(f"{row['permuted']:.0e}" for row in metrics["symmetry"])
    return f"""{header}
# What weights alone say: {metrics["task"]}

Reads the weights and biases of a network and nothing else: no coordinate and no image is put into it, no gradient is
taken. Units are made canonical (signs, phases, scales), then products of weights with what units know pass along the
layers ({PAPER} has linear layers; products
as in neural graphs, arXiv:2403.12143), and a small head reads the sums. Labels are averages over {metrics["views"]}
copies, moved a little in their weights. {metrics["parameters"]:,} parameters; one network takes
{metrics["milliseconds"]} ms (median, on the machine that evaluated).

## Measured, on networks that no training step saw

{figures(metrics)}

Largest change of any output for permuted copies: {permuted}.

{agreement(metrics)}
{beside(metrics, baselines)}
## Training

{facts_of(training)} {training.get("remark", "")}

![Validation along training](curve.svg)

## Limits

It reads networks of the shape that it learned from, and has no class for networks that show nothing: it names something
for every one of them. `python -m zoo train reader` makes another for any collection.
"""


def figures(metrics: dict[str, Any]) -> str:
    """The table of one task."""
    if "accuracy" not in metrics["rows"][0]:
        return table(metrics["rows"], NUMBERS)
    shares = ("accuracy", "accuracy_auto", "confidence")
    return table([{**row, **{key: percent(row[key]) for key in shares}} for row in metrics["rows"]], LABELS)


def agreement(metrics: dict[str, Any]) -> str:
    """How often this reader and the classifier that looks at pictures say the same, and of what."""
    if "agreement" not in metrics:
        return ""
    shares = ("typical", "typical_and_alike")
    rows = [{**row, **{key: percent(row[key]) for key in shares}} for row in metrics["agreement"]]
    shown = table(rows, {"kind": "networks", "networks": "number", "typical": "typical to the classifier",
                         "typical_and_alike": "and both name the same"})  # fmt: skip
    return f"Beside the classifier, which looks at the picture that a network draws:\n\n{shown}\n"


def beside(metrics: dict[str, Any], baselines: list[dict[str, Any]]) -> str:
    """What others have: published figures for SIRENs, baselines on the same networks."""
    if "accuracy" in metrics["rows"][0]:
        columns = {
            "model": "model",
            "copies": "fits an image",
            "mnist": "MNIST",
            "fashion": "Fashion",
            "cifar": "CIFAR-10",
        }
        return f"Published, weights alone, on other SIRENs of all training images:\n\n{table(PUBLISHED, columns)}\n"
    if not baselines:
        return ""
    return f"Beside it, on the same networks:\n\n{table(baselines, {'model': 'model', **NUMBERS})}\n"


def facts_of(training: dict[str, Any]) -> str:
    """On what, how, where and how long."""
    if any("psnr" in row for row in training["collections"]):
        return training_facts(training)
    recipe = ", ".join(f"{key} {value}" for key, value in training["recipe"].items())
    networks = ", ".join(f"{row['networks']:,} of {row['images']}" for row in training["collections"])
    return (f"On {networks}. Recipe: {recipe}. {training['seconds'] / 60:.0f} minutes on {training['device']} "
            f"({training['machine']}, torch {training['torch']}), other work running beside it.")  # fmt: skip


WIDTH, HEIGHT, EDGE = 480, 220, 40


def curve_svg(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Validation over networks seen, a line for each image set, as an SVG picture."""
    last, highest = rows[-1]["samples"], max(max(row["validation"]) for row in rows) or 1
    lines = []
    for i, name in enumerate(names):
        points = " ".join(
            f"{EDGE + (WIDTH - 2 * EDGE) * row['samples'] / last:.1f},"
            f"{HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * row['validation'][i] / highest:.1f}"
            for row in rows
        )
        shade = ("#2563a8", "#c2701a", "#3b8a50")[i % 3]
        lines.append(f'<polyline points="{points}" fill="none" stroke="{shade}" stroke-width="2"/>')
        lines.append(
            f'<text x="{EDGE + 8 + 130 * i}" y="20" fill="{shade}">{name}: {rows[-1]["validation"][i]}</text>'
        )
    ground = f"M{EDGE} {EDGE}V{HEIGHT - EDGE}H{WIDTH - EDGE}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12">'
        f'<rect width="100%" height="100%" fill="#fff"/><path d="{ground}" fill="none" stroke="#888"/>{"".join(lines)}'
        f'<text x="{WIDTH - EDGE}" y="{HEIGHT - 14}" text-anchor="end" fill="#444">{last:,} networks seen</text>'
        f'<text x="{EDGE}" y="{HEIGHT - 14}" fill="#444">height: {highest}</text></svg>\n'
    )
