"""Write the README's figures from the predictors' `metrics.json`: `python -m docs.figures`."""

import json
import re
from pathlib import Path

from zoo.card import conventions_text, percent, table
from zoo.catalog import EMBEDDED

ROOT = Path(__file__).parents[1]
START, END = "<!-- figures: written by python -m docs.figures -->", "<!-- end of figures -->"


def main() -> None:
    """Put the figures between their marks."""
    readme = ROOT / "README.md"
    readme.write_text(with_figures(readme.read_text()))


def with_figures(text: str) -> str:
    """`text` with what stands between the marks replaced by the figures of today."""
    before, rest = text.split(START)
    return f"{before}{START}\n{figures()}\n{END}{rest.split(END)[1]}"


def figures() -> str:
    """Both tables, with what they were measured on."""
    classifier, editor = (read(name, "metrics.json") for name in ("inr-classifier", "inr-editor"))
    accuracy = [
        {"images": row["images"], "recipe": row["recipe"], "networks": f"{row['networks']:,}",
         "psnr": row["psnr"], "accuracy": percent(row["accuracy"]), "auto": percent(row["accuracy_auto"])}
        for row in classifier["accuracy"]
    ]  # fmt: skip
    styles = [row for row in editor["styles"] if (row["images"], row["style"]) in PAPER_STYLES]
    training = read("inr-classifier", "training.json")
    shown = table(accuracy, {"images": "images", "recipe": "recipe", "networks": "networks", "psnr": "mean PSNR, dB",
                             "accuracy": "accuracy", "auto": "accuracy, domain found"})  # fmt: skip
    edits = table(styles, {"images": "images", "style": "style", "recipe": "recipe", "networks": "networks",
                           "unedited": "unedited", "mse": "on the SIREN's own picture",
                           "mse_true_image": "on the true image"})  # fmt: skip
    forward, step = speed_ups()
    return f"""
{accuracy_of_any()}

{generalization()}

{tickets()}

What a SIREN shows, on SIRENs of held-out test images, fitted by our recipe and by others (trained on
{training["device"]}, seed {training["recipe"]["seed"]}):

{shown}

{weights_alone()}

{conventions_text(classifier)}

Edits, mean squared error on pixels in [-1, 1] against the image-space operator (paper: dilate 0.068, contrast 0.020):

{edits}

NF-layers beside the published `nfn` 0.1.2, geometric means over four networks, two CPU threads: {forward} times as fast
forward, {step} times a training step ([docs/bench.md](docs/bench.md)).
"""


def weights_alone() -> str:
    """The table of the reader of weights alone, beside the classifier that looks at pictures."""
    classifier, training = read("inr-classifier", "metrics.json"), read("reader-gray", "training.json")
    probing = {(row["images"], row["recipe"]): percent(row["accuracy"]) for row in classifier["accuracy"]}
    rows = [
        {"images": row["images"], "recipe": row["recipe"], "networks": f"{row['networks']:,}",
         "accuracy": percent(row["accuracy"]), "auto": percent(row["accuracy_auto"]),
         "probing": probing.get((row["images"], row["recipe"]), ""), "published": PUBLISHED_NP[row["images"]]}
        for row in read("reader-gray", "metrics.json")["rows"]
    ]  # fmt: skip
    columns = {"images": "images", "recipe": "recipe", "networks": "networks", "accuracy": "weights alone",
               "auto": "domain found", "probing": "looking at the picture", "published": "published, NP"}  # fmt: skip
    learned = sum(row["networks"] for row in training["collections"])
    return f"""The same from weights alone: nothing is put into the network (trained on {training["device"]}, seed
{training["recipe"]["seed"]}, {learned:,} SIRENs; published: arXiv:2302.14040, on ten SIRENs
of each training image):

{table(rows, columns)}"""


PUBLISHED_NP = {"mnist": "92.9%", "fashion_mnist": "75.6%"}


def accuracy_of_any() -> str:
    """The table of predicted test accuracies of wild networks: by image set, and of families never trained on."""
    metrics, training = read("accuracy", "metrics.json"), read("accuracy", "training.json")
    sets = {row["images"] for row in training["wild"]}
    rows = [
        {
            **row,
            **{name: percent(row[name]) for name in ("mae", "pictures_mae", "coverage", "width")},
        }
        for row in metrics["accuracy"]
        if row["which"] in sets or "never trained on" in row["which"]
    ]
    columns = {"which": "networks of", "networks": "networks", "tau": "Kendall's tau", "tau_ceiling": "ceiling",
               "pictures_tau": "tau of plain accuracy on the pictures", "mae": "mean error",
               "pictures_mae": "its mean error", "coverage": "truth inside the interval",
               "width": "its mean width"}  # fmt: skip
    learned, coverage = training["networks"], percent(metrics["coverage"])
    return f"""Test accuracy of classifiers of any architecture: runs held out of a zoo of random architectures
and recipes, {coverage} intervals (learned from {learned} networks, on cpu). Networks by other people's scripts,
uploaded with nothing said: [docs/foreign.md](docs/foreign.md).

{table(rows, columns)}"""


def generalization() -> str:
    """The table of predicted test accuracies, on finished networks of the test split."""
    metrics, training = read("generalization", "metrics.json"), read("generalization", "training.json")
    rows = [
        {"images": row["images"], "networks": row["networks"], "tau": row["tau"], "mae": percent(row["mae"]),
         "coverage": percent(row["coverage"]), "width": percent(row["width"])}
        for row in metrics["accuracy"] if row["which"] == "finished"
    ]  # fmt: skip
    shown = table(rows, {"images": "images", "networks": "networks", "tau": "Kendall's tau", "mae": "mean error",
                         "coverage": "truth inside the interval", "width": "its mean width"})  # fmt: skip
    return (f"Test accuracy of small CNNs that were held out, {percent(metrics['coverage'])} intervals (trained on "
            f"{training['device']}, seed {training['recipe']['seed']}):\n\n{shown}")  # fmt: skip


MASKS = {"dense": "all weights", "IMP": "IMP, which trains first", "this model": "**predicted ticket**", "SNIP": "SNIP",
         "magnitude of the initialization": "largest initial weights", "random, Bernoulli": "random"}  # fmt: skip
"""The masks of the README's table, and what it calls them."""


def tickets() -> str:
    """Test accuracy after training under the masks, for both kinds of networks."""
    tables = {name: read(f"tickets-{name}", "metrics.json") for name in ("mnist", "cifar10")}
    rows = []
    for mask, title in MASKS.items():
        row = {"mask": title}
        for name, metrics in tables.items():
            found = next(line for line in metrics["methods"] if line["mask"] == mask)
            row[name] = f"{percent(found['accuracy'])} ± {100 * found['standard_error']:.1f}"
            row[f"{name}-gap"] = "" if mask == "dense" else f"{found['gap_closed']:.0%}"
        rows.append(row)
    shown = table(rows, {"mask": "5% of the weights, chosen by", "mnist": "MNIST, MLP", "mnist-gap": "of the gap",
                         "cifar10": "CIFAR-10, small CNN", "cifar10-gap": "of the gap"})  # fmt: skip
    networks, training = tables["mnist"]["networks"], read("tickets-mnist", "training.json")
    return (f"Winning tickets: test accuracy after training under a mask, mean and standard error over {networks} "
            f"held-out initializations, and the share of the gap from random to IMP that it closes (trained on "
            f"{training['device']}, seed {training['recipe']['seed']}):\n\n{shown}")  # fmt: skip


def speed_ups() -> list[str]:
    """The geometric means of forward and step that `make bench` wrote last, for inputs as another layer left them."""
    line = next(
        row for row in (ROOT / "docs" / "bench.md").read_text().splitlines() if "geometric mean" in row
    )
    return re.findall(r"\*\*(.+?)\*\*", line)


PAPER_STYLES = {("mnist", "dilate"), ("cifar10", "contrast")}


def read(predictor: str, file: str) -> dict:
    """A JSON file of an embedded predictor."""
    return json.loads((EMBEDDED / "predictors" / predictor / file).read_text())


if __name__ == "__main__":
    main()
