"""The card of `GeneralizationPredictor`: every figure comes from what training and evaluation wrote down."""

from typing import Any

from zoo import hub
from zoo.card import PAPER, percent, table

ACCURACY = {
    "images": "images",
    "which": "which networks",
    "networks": "number",
    "spread": "accuracies: 10%, median, 90%",
    "tau": "Kendall's tau",
    "tau_ceiling": "tie ceiling",
    "r2": "R2",
    "mae": "mean absolute error",
}
INTERVALS = {
    "images": "images",
    "which": "which networks",
    "coverage": "truth inside",
    "width": "mean width",
    "narrowest_tenth": "a tenth is narrower than",
    "widest_tenth": "a tenth is wider than",
    "typical": "called typical",
    "images_found": "image set found",
    "activation_found": "activation found or told",
}
PUBLISHED = [
    {"model": "StatNN", "cifar": "0.915", "svhn": "0.843"},
    {"model": "NP", "cifar": "0.922", "svhn": "0.856"},
    {"model": "HNP", "cifar": "0.934", "svhn": "0.931"},
]
"""Table 2 of arXiv:2302.14040."""
BASELINES = {
    "model": "model",
    "images": "images",
    "networks": "networks",
    "tau": "Kendall's tau",
    "mae": "mean absolute error",
    "trained_on": "trained on",
    "epochs": "epoch kept",
    "seconds": "seconds",
    "device": "device",
}
TRAINED_ON = {
    "collection": "collection",
    "images": "images",
    "networks": "networks and checkpoints",
    "runs": "training runs",
    "split": "runs: train, validation, test",
}
SHARES = (
    "coverage",
    "width",
    "narrowest_tenth",
    "widest_tenth",
    "typical",
    "images_found",
    "activation_found",
)


def generalization_card(
    training: dict[str, Any], metrics: dict[str, Any], baselines: list[dict[str, Any]]
) -> str:
    """The card, as Markdown with front matter."""
    rows = [{**row, "spread": ", ".join(map(percent, row["accuracy_spread"])),
             **{key: percent(row[key]) for key in SHARES}} for row in metrics["accuracy"]]  # fmt: skip
    unlike = [{**row, "called_typical": percent(row["called_typical"])} for row in metrics["unlike_the_zoo"]]
    results = [(f"held-out small CNNs on {row['images']}", row["images"], row["tau"])
               for row in metrics["accuracy"] if row["which"] == "finished"]  # fmt: skip
    tags = ["weight-space-learning", "generalization"]
    header = hub.card_header("Weightscope generalization predictor", tags, results, "kendall-tau")
    return f"""{header}
# What test accuracy will this small CNN have?

Takes the weights of a small image classifier (three 3x3 convolutions of stride 2, global average pooling, a linear
layer; grayscale, ten classes; ReLU or tanh; batch norm folded) that was trained on CIFAR-10 in grayscale or on
Fashion-MNIST, and says what test accuracy it has, with a {percent(metrics["coverage"])} interval, and whether it is
unlike the networks that this is known for.

**What the answer rests on.** It shows the network {training["probes"]} stored training pictures of each image set
(probe features), and an ensemble of {training["members"]} small networks reads the answers, knowing the pictures'
labels; statistics of the weights tell image set, activation and whether the network is unlike the zoo. No test picture
is used. So this is **not** a weights-only neural functional: those stand below, trained on the same networks.

## Measured

On held-out networks of the zoo; no part of their training runs was trained or calibrated on. The truth is the accuracy
on 5,000 test images, itself uncertain by about half a point. The tie ceiling is the largest tau-b that predictions
without ties can have.

{table(rows, ACCURACY)}

Intervals: split conformal prediction with a learned scale, calibrated on finished validation networks, at a nominal
{percent(metrics["coverage"])}; not valid for checkpoints along training, whose coverage is shown all the same.

{table(rows, INTERVALS)}

Networks unlike the zoo's, and how often they are nevertheless called typical (untrained networks, separate
permutations, shuffles and noise of *training* networks are the negatives of training; another width is never typical):

{table(unlike, {"kind": "networks", "networks": "number", "called_typical": "called typical"})}

Permuting the neurons of {metrics["symmetry"]["networks"]} networks changes no prediction by more than
{metrics["symmetry"]["permuted"]:.1e}. One prediction takes {metrics["milliseconds"]} ms (median, on the machine that
evaluated).

## Beside it: weights-only models, on the same networks

`statnn` and `hnp` follow the models of {PAPER} (`bench/cnn_baselines.py`), one model for both image sets, few epochs.
With sinusoidal encodings in every layer, `np` and `hnp` answer all networks alike (docs/log.md):

{table(baselines, BASELINES)}

The paper's own figures, on other data (about 12,000 networks of the Small CNN Zoo to train on, 15,000 to test, each
trained 86 epochs; their accuracies spread wider than ours):

{table(PUBLISHED, {"model": "model", "cifar": "CIFAR-10-GS", "svhn": "SVHN-GS"})}

## Training

{training_text(training)}

## Limits

Networks trained in other ways than the zoo's (other augmentation, other pictures, padding or pooling) may be called
typical and yet lie outside their interval: coverage is measured on the zoo's own recipes. "Measure it" in the app is
the answer to doubt.
"""


def training_text(training: dict[str, Any]) -> str:
    """On what, how, where and how long it was trained."""
    recipe = ", ".join(f"{key} {value}" for key, value in training["recipe"].items())
    rows = table(training["collections"], TRAINED_ON)
    return (f"{rows}\n\nRecipe: {recipe}. {training['seconds'] / 60:.0f} minutes on {training['device']} "
            f"({training['machine']}, torch {training['torch']}), other work running beside it.")  # fmt: skip
