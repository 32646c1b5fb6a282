"""The card of a weights-only reader, and the plot of its validation curve."""

from collections.abc import Sequence
from typing import Any

from zoo.card import PAPER, TAGS, percent, table, trained_on, training_facts, usage
from zoo.front_matter import Result, model_header

LABELS = {
    "collection": "networks of",
    "images": "images",
    "recipe": "recipe",
    "networks": "number",
    "psnr": "mean PSNR, dB",
    "accuracy": "accuracy, image set given",
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
"""From the papers, on their own SIRENs; copies: fits of each training image from different initial weights."""


def reader_card(training: dict[str, Any], metrics: dict[str, Any], baselines: list[dict[str, Any]]) -> str:
    """The card of `WeightReader`."""
    labels = "accuracy" in metrics["rows"][0]
    results = [Result(f"SIRENs of held-out {row['images']} images, {row['recipe']} recipe, weights alone",
                      row["images"], row["accuracy"], row["recipe"]) for row in metrics["rows"] if labels]  # fmt: skip
    title = f"Weightscope reader of weights alone: {metrics['task']}"
    task = "image-classification" if labels else "graph-ml"
    header = model_header(title, task, TAGS if labels else ["generalization"], trained_on(training), results)
    return f"""{header}
# What weights alone say: {metrics["task"]}

Reads the weights and biases of a network{"" if labels else ", and the name of its activation,"} and nothing else: the
network is not run and no gradient is taken. Units are made canonical (signs, phases, scales), then features of the
units are multiplied with weights and passed along the layers ({PAPER} has linear
layers; products as in neural graphs, arXiv:2403.12143), and a small head reads their sums. {views_of(metrics)}
{metrics["parameters"]:,} parameters; one network takes {metrics["milliseconds"]} ms (median, on the evaluating
machine).
{usage_of(metrics)}
## Measured, on networks that no training step saw

{figures(metrics)}

{symmetry_of(metrics)}

{beside(metrics, baselines)}
## Training

{facts_of(training)} {training.get("remark", "")}

![Validation along training](curve.svg)
{learning_curve_of(training)}
## Limits

It reads networks of the shape that it was trained on, and gives an answer for each of them, also for those that are
unlike its training networks: the predictor that the page shows it beside tells which are.
`python -m zoo train reader` makes another for any collection.
"""


def views_of(metrics: dict[str, Any]) -> str:
    """How an answer is averaged, if it is."""
    if metrics["views"] == 1:
        return ""
    mirror = ", ".join(metrics["mirror"])
    mirrored = f", and for {mirror} over as many that show the mirrored picture" if mirror else ""
    return (
        f"Labels are averages over {metrics['views']} copies whose weights were changed a little{mirrored}."
    )


def symmetry_of(metrics: dict[str, Any]) -> str:
    """How much the outputs change for copies that compute the same."""
    kinds = [kind for kind in metrics["symmetry"][0] if kind not in ("collection", "networks")]
    lines = [
        f"{kind.replace('_', '-')} {max(row[kind] for row in metrics['symmetry']):.0e}" for kind in kinds
    ]
    unit = "" if "accuracy" in metrics["rows"][0] else ", in standard deviations of the column"
    return f"Largest change of any output for copies that compute the same{unit}: {', '.join(lines)}."


EXAMPLES = {
    ("label", "mnist"): ("reader-gray", 'predict(zoo.network("mnist-sirens/test/17")).label'),
    ("label", "cifar10"): ("reader-colour", 'predict(zoo.network("cifar10-sirens/test/17")).label'),
    ("accuracy", "cifar10"): ("reader-cifar10-cnns", 'predict(zoo.network("cifar10-cnns/test/17")).number'),
    ("accuracy", "fashion_mnist"): (
        "reader-fashion-mnist-cnns",
        'predict(zoo.network("fashion-mnist-cnns/test/17")).number',
    ),
}
"""Of the embedded zoo: a reader and a question, by task and first image set."""


def usage_of(metrics: dict[str, Any]) -> str:
    """Code that uses a reader like those of the embedded zoo; "" for any other."""
    example = EXAMPLES.get((metrics["task"], metrics["rows"][0]["images"]))
    return f"\n{usage(*example)}\n" if example else ""


def figures(metrics: dict[str, Any]) -> str:
    """The results table of the reader's task."""
    if "accuracy" not in metrics["rows"][0]:
        return table(metrics["rows"], NUMBERS)
    shares = ("accuracy", "accuracy_auto", "confidence")
    return table([{**row, **{key: percent(row[key]) for key in shares}} for row in metrics["rows"]], LABELS)


def beside(metrics: dict[str, Any], baselines: list[dict[str, Any]]) -> str:
    """For comparison: published figures for SIRENs, baselines on the same networks."""
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
    rows = [{**row, "error": row["mae"]} for row in baselines]
    columns = {"model": "model", **NUMBERS, "epochs": "epoch kept", "seconds": "seconds"}
    columns.pop("tau_ceiling")
    return (
        "Other models of weights alone, trained and tested on the same networks (`python -m bench.cnn_baselines`):\n\n"
        f"{table(rows, columns)}\n"
    )


def facts_of(training: dict[str, Any]) -> str:
    """Training data, recipe, duration and machine, as Markdown."""
    if any("psnr" in row for row in training["collections"]):
        return training_facts(training)
    recipe = ", ".join(f"{key} {value}" for key, value in training["recipe"].items())
    networks = "; ".join(
        f"{row['collection']}, {row['networks']:,} networks and checkpoints"
        + (
            f" of {row['runs']:,} training runs (train, validation, test: {row['split']})"
            if "runs" in row
            else ""
        )
        for row in training["collections"]
    )
    return (f"On the training networks of {networks}. Recipe: {recipe}. {training['seconds']} seconds on "
            f"{training['device']} ({training['machine']}, torch {training['torch']}), other work running beside "
            "it.")  # fmt: skip


LEARNING_CURVE_PLOT = "learning-curve.svg"
LEARNING_CURVE = {"runs": "training runs", "networks": "networks and checkpoints", "tau": "Kendall's tau",
                  "error": "mean error"}  # fmt: skip


def learning_curve_of(training: dict[str, Any]) -> str:
    """The figures by the number of training runs, and their plot, if they were measured (`bench.reader_curve`)."""
    if not training.get("learning_curve"):
        return ""
    return (
        "\nThe same recipe on the first training runs only, each time measured on the same held-out networks\n"
        "(`python -m bench.reader_curve`):\n\n"
        f"{table(training['learning_curve'], LEARNING_CURVE)}\n\n"
        f"![Kendall's tau by the number of training runs]({LEARNING_CURVE_PLOT})\n"
    )


WIDTH, HEIGHT, EDGE = 480, 220, 40


def curve_svg(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """The validation score by networks seen, a line for each image set, as an SVG plot."""
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
