"""The card of `AccuracyPredictor`: every figure comes from what training and evaluation wrote down."""

from typing import Any

from zoo import hub
from zoo.card import percent, table
from zoo.images import IMAGE_SETS

ACCURACY = {
    "which": "which networks",
    "networks": "networks",
    "runs": "runs",
    "spread": "accuracies: 10%, median, 90%",
    "tau": "Kendall's tau",
    "tau_ceiling": "ceiling",
    "r2": "R2",
    "mae": "mean error",
    "pictures_tau": "tau of the plain accuracy",
    "pictures_mae": "mean error of it",
    "confidence_tau": "tau of the confidence",
    "confidence_mae": "mean error of it ",
}
INTERVALS = {
    "which": "which networks",
    "coverage": "truth inside",
    "width": "mean width",
    "typical": "called typical",
}
SMALL = {"collection": "collection", "networks": "networks", "tau": "Kendall's tau", "tau_ceiling": "ceiling",
         "mae": "mean error", "coverage": "truth inside", "width": "mean width", "typical": "called typical",
         "pictures_tau": "tau of the plain accuracy", "pictures_mae": "mean error of it"}  # fmt: skip
FEWER = {"which": "which networks", "pictures": "pictures", "tau": "Kendall's tau", "mae": "mean error",
         "coverage": "truth inside", "width": "mean width"}  # fmt: skip
WILD = {"collection": "folder", "images": "images", "count": "runs", "seed": "seed", "effort": "effort",
        "by_heart": "share by heart", "usual": "share as usual"}  # fmt: skip
SHARES = ("mae", "coverage", "width", "typical", "pictures_mae", "confidence_mae")


def accuracy_card(training: dict[str, Any], metrics: dict[str, Any], _: list[dict[str, Any]]) -> str:
    """The card, as Markdown with front matter."""
    rows = [
        {**in_percent(row), "spread": ", ".join(map(percent, row["accuracy_spread"]))}
        for row in metrics["accuracy"]
    ]
    sets = {row["images"] for row in training["wild"]}
    results = [(f"held-out wild networks on {row['which']}", row["which"], row["tau"])
               for row in metrics["accuracy"] if row["which"] in sets]  # fmt: skip
    header = hub.card_header(
        "Weightscope accuracy predictor", ["weight-space-learning", "generalization"], results, "kendall-tau"
    )
    return f"""{header}
# What test accuracy will this image classifier have?

Takes any classifier of ten classes that was trained on MNIST, Fashion-MNIST, CIFAR-10 or CIFAR-10 in gray, whatever
its architecture, and says what test accuracy it has, with a {percent(metrics["coverage"])} interval, or that the
network answers unlike all that are known.

**What the answer rests on.** The network is run on {metrics["pictures"]:,} stored training pictures of its set (of
networks with more than 5 million multiply-adds, on fewer) and on copies of them that are flipped or
turned: what was learned by heart is lost under these, what was learned is not. From {training["networks"]}
networks of the wild zoo a Gaussian process has learned how far the test accuracy is from the accuracy on the stored
pictures. No test picture is used, and no weight is looked at. The stored pictures lie in `model.safetensors`, a mosaic
for each set: {pictures_text()}.

## Measured

On runs of the wild zoo held out from training and calibration, and on three families of architectures that it has
never been trained on. The truth is the accuracy on 5,000 test pictures; the ceiling is the tau that the truth itself
has with another count of as many. Beside it what one would do without it: the plain accuracy on the same stored
pictures, and the average confidence.

{table(rows, ACCURACY)}

Intervals: split conformal by runs left out, one quantile for each image set, times the process's own deviation, which
grows with the distance from the zoo. Without the networks that are not called typical.

{table(rows, INTERVALS)}

Shown fewer pictures, as very large networks are:

{table([in_percent(row) for row in metrics["fewer_pictures"]], FEWER)}

Small CNNs in gray by another script, none of which it was trained on:

{table([in_percent(row) for row in metrics["small_cnns"]], SMALL)}

One estimate takes {metrics["milliseconds"]} ms (median, for the first network of the zoo, on the machine that
evaluated).

## Training

{training_text(training)}

## Limits

The zoo's networks are small and their trainings short: few have the accuracies of today's large ones. The network must
be fed as it was in training; where its normalisation or wiring was guessed wrongly, the wrong network is judged.
"""


def pictures_text() -> str:
    """Where the stored pictures come from, and under which licence."""
    return ", ".join(f"{s.title} ({s.repo}, licence {s.licence})" for s in IMAGE_SETS.values())


def in_percent(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its shares in percent."""
    return {key: percent(value) if key in SHARES else value for key, value in row.items()}


def training_text(training: dict[str, Any]) -> str:
    """On what, how, where and how long it was trained."""
    recipe = ", ".join(f"{key} {value}" for key, value in training["recipe"].items())
    return f"""{table(training["wild"], WILD)}

Of these runs, {training["runs"]} are in the training split. Recipe: {recipe}. {training["seconds"] / 60:.0f} minutes on
{training["device"]} ({training["machine"]}, torch {training["torch"]}), other work running beside it; what had been
read from networks before was kept."""
