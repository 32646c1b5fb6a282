"""Write the README's figures from the predictors' `metrics.json`: `python -m docs.figures`."""

import json
import re
from pathlib import Path
from typing import Any

from zoo.card import conventions_text, percent, table
from zoo.catalog import EMBEDDED, Zoo
from zoo.commands.evaluate import SHIPPED, read_baselines
from zoo.evaluate_tickets import reader_rows
from zoo.score import scores_of

ROOT = Path(__file__).parents[1]
START, END = "<!-- figures: written by python -m docs.figures -->", "<!-- end of figures -->"


def main() -> None:
    """Replace the figures between the README's markers."""
    readme = ROOT / "README.md"
    readme.write_text(with_figures(readme.read_text()))


def with_figures(text: str) -> str:
    """`text` with the current figures between the markers."""
    before, rest = text.split(START)
    return f"{before}{START}\n{figures()}\n{END}{rest.split(END)[1]}"


def figures() -> str:
    """All tables, with the data they were measured on."""
    classifier, editor = (read(name, "metrics.json") for name in ("inr-classifier", "inr-editor"))
    accuracy = [
        {"images": row["images"], "recipe": row["recipe"], "networks": f"{row['networks']:,}",
         "psnr": row["psnr"], "accuracy": percent(row["accuracy"]), "auto": percent(row["accuracy_auto"])}
        for row in classifier["accuracy"]
    ]  # fmt: skip
    styles = [row for row in editor["styles"] if (row["images"], row["style"]) in PAPER_STYLES]
    training = read("inr-classifier", "training.json")
    markdown = table(accuracy, {"images": "images", "recipe": "recipe", "networks": "networks", "psnr": "mean PSNR, dB",
                             "accuracy": "accuracy", "auto": "accuracy, domain detected"})  # fmt: skip
    edits = table(styles, {"images": "images", "style": "style", "recipe": "recipe", "networks": "networks",
                           "unedited": "unedited", "mse": "on the SIREN's own picture",
                           "mse_true_image": "on the true image"})  # fmt: skip
    return f"""
{accuracy_of_any()}

{wild_sample()}

{generalization()}

{accuracy_from_weights()}

{tickets()}

What a SIREN shows, for SIRENs of held-out test images, fitted by our recipe and by others (trained on
{training["device"]}, seed {training["recipe"]["seed"]}):

{markdown}

{weights_alone()}

{conventions_text(classifier)}

Edits, mean squared error on pixels in [-1, 1] against the image-space operator (paper: dilate 0.068, contrast 0.020):

{edits}

From weights alone in one step, as in the paper, on the true image (editors for one style, `bench/edit_baseline.py`):

{one_step_edits()}

NF-layers compared with the published `nfn` 0.1.2, geometric means over four networks
([docs/bench.md](docs/bench.md)):

{speed_ups()}
"""


def weights_alone() -> str:
    """The table of the weights-only readers, compared with the classifier that renders pictures."""
    classifier, training = read("inr-classifier", "metrics.json"), read("reader-gray", "training.json")
    names = [name for name in Zoo().readers() if read(name, "metrics.json")["task"] == "label"]
    probing = {(row["images"], row["recipe"]): percent(row["accuracy"]) for row in classifier["accuracy"]}
    rows = [
        {"images": row["images"], "recipe": row["recipe"], "networks": f"{row['networks']:,}",
         "accuracy": percent(row["accuracy"]), "auto": percent(row["accuracy_auto"]),
         "probing": probing.get((row["images"], row["recipe"]), ""), "published": PUBLISHED_NP[row["images"]]}
        for name in names for row in read(name, "metrics.json")["rows"]
    ]  # fmt: skip
    columns = {"images": "images", "recipe": "recipe", "networks": "networks", "accuracy": "weights alone",
               "auto": "domain detected", "probing": "with rendered picture", "published": "published, NP"}  # fmt: skip
    trainings = [read(name, "training.json") for name in names]
    learned = sum(row["networks"] for training in trainings for row in training["collections"])
    return f"""The same from weights alone, without running the network (trained on {training["device"]}, seed
{training["recipe"]["seed"]}, {learned:,} SIRENs in the last training of each, see the cards;
published: arXiv:2302.14040, on ten SIRENs of each training image of MNIST and Fashion-MNIST, twenty of CIFAR-10):

{table(rows, columns)}"""


def accuracy_from_weights() -> str:
    """The table of test accuracies read from weights alone: our readers, and the paper's models trained beside them."""
    rows: list[dict[str, Any]] = []
    for name in Zoo().readers():
        metrics = read(name, "metrics.json")
        if metrics["task"] == "accuracy":
            rows += ({**row, "model": f"**{name}**"} for row in metrics["rows"])
            rows += ({**row, "error": row["mae"]} for row in read_baselines(EMBEDDED / "predictors" / name))
    shown = [{**row, "error": percent(row["error"])} for row in rows]
    columns = {
        "model": "model",
        "images": "images",
        "networks": "networks",
        "tau": "Kendall's tau",
        "error": "mean error",
    }
    return f"""The same from weights alone, without running the network; the other models (HNP and NP of
arXiv:2302.14040) were trained and tested on the same networks:

{table(shown, columns)}"""


def one_step_edits() -> str:
    """The table of editors that read weights alone."""
    columns = {
        "model": "editor",
        "train": "trained on",
        "test": "tested on",
        "mse": "error",
        "seconds": "seconds",
    }
    return table(read_baselines(EMBEDDED / "predictors" / "inr-editor"), columns)


PUBLISHED_NP = {"mnist": "92.9%", "fashion_mnist": "75.6%", "cifar10": "46.6%"}


def accuracy_of_any() -> str:
    """The table of predicted test accuracies of wild networks: by image set, and for families never trained on."""
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
    columns = {"which": "networks of", "networks": "networks", "tau": "Kendall's tau", "tau_error": "standard error",
               "tau_ceiling": "ceiling", "pictures_tau": "tau of plain accuracy on the pictures", "mae": "mean error",
               "pictures_mae": "its mean error", "coverage": "truth inside the interval",
               "width": "its mean width"}  # fmt: skip
    learned, coverage = training["networks"], percent(metrics["coverage"])
    return f"""Test accuracy of classifiers of any architecture: held-out runs of a zoo of random architectures
and recipes, {coverage} intervals (trained on {learned} networks, on cpu). Networks by third-party scripts, uploaded
without further information: [docs/foreign.md](docs/foreign.md); wild networks without their graphs:
[docs/bare.md](docs/bare.md).

{table(rows, columns)}"""


def wild_sample() -> str:
    """The table of the networks of many architectures that ship with the zoo, from their stored scores."""
    zoo = Zoo()
    names = [info.name for info in zoo.collections() if info.kind == "wild"]
    scored = [
        {**score, "family": row["family"], "split": row["split"]}
        for name in names
        for score, row in zip(scores_of(zoo, name), zoo.rows(name), strict=True)
    ]
    unseen = {row["family"] for row in scored if row["split"] == "unseen"}
    families = dict.fromkeys(sorted(row["family"] for row in scored))
    groups = {"all": scored} | {
        f"{family}, never trained on" if family in unseen else family: [
            r for r in scored if r["family"] == family
        ]
        for family in families
    }
    rows = [{"which": which, **_score_figures(group)} for which, group in groups.items()]
    columns = {"which": "networks", "networks": "number", "measured": "measured accuracy", "mae": "mean error",
               "inside": "truth inside the interval"}  # fmt: skip
    return f"""The {len(scored)} of these networks that ship with the zoo ({", ".join(names)}), the smallest
of each image set and at least one of each family, in half precision:

{table(rows, columns)}"""


def _score_figures(scored: list[dict]) -> dict[str, str]:
    """The mean error of all, and how many of those with an interval have the measured accuracy in it."""
    measured = [row["measured"] for row in scored]
    errors = [abs(row["prediction"] - row["measured"]) for row in scored]
    inside = [row["low"] <= row["measured"] <= row["high"] for row in scored if row["typical"]]
    return {
        "networks": str(len(scored)),
        "measured": f"{percent(min(measured))} to {percent(max(measured))}",
        "mae": percent(sum(errors) / len(errors)),
        "inside": f"{sum(inside)} of {len(inside)}",
    }


def generalization() -> str:
    """The table of predicted test accuracies, for finished networks of the test split."""
    metrics, training = read("generalization", "metrics.json"), read("generalization", "training.json")
    rows = [
        {"images": row["images"], "networks": row["networks"], "tau": row["tau"], "mae": percent(row["mae"]),
         "coverage": percent(row["coverage"]), "width": percent(row["width"])}
        for row in metrics["accuracy"] if row["which"] == "finished"
    ]  # fmt: skip
    markdown = table(rows, {"images": "images", "networks": "networks", "tau": "Kendall's tau", "mae": "mean error",
                         "coverage": "truth inside the interval", "width": "its mean width"})  # fmt: skip
    return (f"Test accuracy of held-out small CNNs, {percent(metrics['coverage'])} intervals (trained on "
            f"{training['device']}, seed {training['recipe']['seed']}):\n\n{markdown}")  # fmt: skip


MASKS = {"dense": "all weights", "IMP": "IMP, which trains first", "shipped": "**predicted ticket**",
         "training": "the predictors' short training", "SNIP": "SNIP",
         "magnitude of the initialization": "largest initial weights", "random, Bernoulli": "random"}  # fmt: skip
"""The masks of the README's table, and their titles there."""


def tickets() -> str:
    """Test accuracy after training under the masks, for both kinds of networks."""
    tables = {name: read(f"tickets-{name}", "metrics.json") for name in ("mnist", "cifar10")}
    rows = []
    for key, title in MASKS.items():
        row = {"mask": title}
        for name, metrics in tables.items():
            predicted = {"shipped": metrics["shipped"], **reader_rows(SHIPPED, metrics["readers"])}
            mask = predicted.get(key, key)
            result = next(line for line in metrics["methods"] if line["mask"] == mask)
            row[name] = f"{percent(result['accuracy'])} ± {100 * result['standard_error']:.1f}"
            row[f"{name}-gap"] = "" if mask == "dense" else f"{result['gap_closed']:.0%}"
        rows.append(row)
    markdown = table(rows, {"mask": "5% of the weights, chosen by", "mnist": "MNIST, MLP", "mnist-gap": "of the gap",
                         "cifar10": "CIFAR-10, small CNN", "cifar10-gap": "of the gap"})  # fmt: skip
    networks, training = tables["mnist"]["networks"], read("tickets-mnist", "training.json")
    return (f"Winning tickets: test accuracy after training under a mask, mean and standard error over {networks} "
            f"held-out initializations, and the fraction of the gap from random to IMP that it closes (trained on "
            f"{training['device']}, seed {training['recipe']['seed']}):\n\n{markdown}")  # fmt: skip


def speed_ups() -> str:
    """The geometric means of forward and step in docs/bench.md, in each of its sections."""
    sections = (ROOT / "docs" / "bench.md").read_text().split("\n## ")[1:]
    found = [
        (part.splitlines()[0], re.search(r"geometric mean.*\*\*(.+?)\*\*.*\*\*(.+?)\*\*", part))
        for part in sections
    ]
    rows = [{"inputs": title, "forward": means[1], "step": means[2]} for title, means in found if means]
    return table(
        rows,
        {"inputs": "inputs", "forward": "forward, times as fast", "step": "training step, times as fast"},
    )


PAPER_STYLES = {("mnist", "dilate"), ("cifar10", "contrast")}


def read(predictor: str, file: str) -> dict:
    """A JSON file of an embedded predictor."""
    return json.loads((EMBEDDED / "predictors" / predictor / file).read_text())


if __name__ == "__main__":
    main()
