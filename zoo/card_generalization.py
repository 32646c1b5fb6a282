"""The card of `GeneralizationPredictor`, written from the figures of training and evaluation."""

from typing import Any

from zoo.card import PAPER, percent, table, trained_on, usage
from zoo.front_matter import Result, model_header

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
    "activation_found": "activation found or given",
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


UNLIKE = {"kind": "networks", "networks": "number", "called_typical": "called typical",
          "wrong": "called typical, and the number is wrong"}  # fmt: skip


def generalization_card(
    training: dict[str, Any], metrics: dict[str, Any], baselines: list[dict[str, Any]]
) -> str:
    """The card, as Markdown with front matter."""
    rows = [{**row, "spread": ", ".join(map(percent, row["accuracy_spread"])),
             **{key: percent(row[key]) for key in SHARES}} for row in metrics["accuracy"]]  # fmt: skip
    unlike = [{**row, **{key: percent(row[key]) for key in ("called_typical", "wrong")}}
              for row in metrics["unlike_the_zoo"]]  # fmt: skip
    results = [Result(f"held-out small CNNs on {row['images']}", row["images"], row["tau"], metric="kendall-tau")
               for row in metrics["accuracy"] if row["which"] == "finished"]  # fmt: skip
    header = model_header("Weightscope generalization predictor", "graph-ml", ["generalization"],
                          trained_on(training), results)  # fmt: skip
    return f"""{header}
# What test accuracy will this small CNN have?

Takes the weights of a small image classifier (three 3x3 convolutions of stride 2, global average pooling, a linear
layer; grayscale, ten classes; ReLU or tanh; batch norm folded) that was trained on CIFAR-10 in grayscale or on
Fashion-MNIST, and predicts its test accuracy with a {percent(metrics["coverage"])} interval, and whether the network
is in-distribution.

{usage("generalization", 'predict(zoo.network("cifar10-cnns/test/17")).test_accuracy')}

**What the answer rests on.** The network is run on {training["probes"]} stored training pictures of each image set
(probe features), and an ensemble of {training["members"]} small networks reads its answers and the pictures' labels;
statistics of the weights identify image set, activation and whether the network is unlike the zoo. No test picture
is used. So this is **not** a weights-only neural functional: those are below, trained on the same networks.

## Measured

On held-out networks of the zoo; no part of their training runs was used in training or calibration. The truth is the
accuracy on 5,000 test images, itself uncertain by about half a point. The tie ceiling is the largest tau-b that
predictions without ties can have.

{table(rows, ACCURACY)}

Intervals: split conformal prediction with a learned scale, calibrated on finished validation networks, at a nominal
{percent(metrics["coverage"])}; not valid for checkpoints along training, whose coverage is listed too.

{table(rows, INTERVALS)}

Networks unlike the zoo's, and how often they are nevertheless called typical (untrained networks, separate
permutations, shuffles and noise of *training* networks were negatives in training; another width is never typical):

{table(unlike, UNLIKE)}

A number is wrong if the network's accuracy on the test images is outside the interval. Most networks of this table that
are called typical are at chance, and are predicted to be.

Permuting the neurons of {metrics["symmetry"]["networks"]} networks changes no prediction by more than
{metrics["symmetry"]["permuted"]:.1e}. One prediction takes {metrics["milliseconds"]} ms (median, on the evaluating
machine).

## For comparison: weights-only models, on the same networks

`statnn` and `hnp` follow the models of {PAPER} (`bench/cnn_baselines.py`), one model for both image sets, few epochs.
With sinusoidal encodings in every layer, `np` and `hnp` give all networks the same answer (docs/log.md):

{table(baselines, BASELINES)}

The paper's own figures, on other data (about 12,000 networks of the Small CNN Zoo to train on, 15,000 to test, each
trained 86 epochs; their accuracies spread wider than ours):

{table(PUBLISHED, {"model": "model", "cifar": "CIFAR-10-GS", "svhn": "SVHN-GS"})}

## Training

{training_text(training)}

## Limits

Networks trained in other ways than the zoo's (other augmentation, other pictures, padding or pooling) may be called
typical and yet lie outside their interval: coverage is measured on the zoo's own recipes. In case of doubt, use
"Measure it" in the app.
"""


def training_text(training: dict[str, Any]) -> str:
    """Training data, recipe, duration and machine, as Markdown."""
    recipe = ", ".join(f"{key} {value}" for key, value in training["recipe"].items())
    rows = table(training["collections"], TRAINED_ON)
    return (f"{rows}\n\nRecipe: {recipe}. {training['seconds'] / 60:.0f} minutes on {training['device']} "
            f"({training['machine']}, torch {training['torch']}), other work running beside it.")  # fmt: skip
