"""The card of `AccuracyPredictor`, written from the figures of training and evaluation."""

from typing import Any

from zoo.card import percent, table
from zoo.front_matter import Result, model_header
from zoo.images import IMAGE_SETS

ACCURACY = {
    "which": "which networks",
    "networks": "networks",
    "runs": "runs",
    "spread": "accuracies: 10%, median, 90%",
    "tau": "Kendall's tau",
    "tau_error": "standard error",
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
        "by_heart": "fraction memorized", "usual": "fraction with usual settings"}  # fmt: skip
USAGE = """```python
from pathlib import Path

from nfn import write_network
from zoo.catalog import Zoo
from zoo.classifiers import accuracy_predictors
from zoo.small_cnns import predict_file

zoo = Zoo()
write_network(zoo.network("fashion-mnist-cnns/test/0"), Path("net.safetensors"))  # or a file of yours
(answer,) = predict_file(accuracy_predictors(zoo), Path("net.safetensors"))
print(answer.result.test_accuracy)
```"""
RELIABILITY_PLOT = "reliability.svg"
SHARES = ("mae", "coverage", "width", "typical", "pictures_mae", "confidence_mae")


def accuracy_card(training: dict[str, Any], metrics: dict[str, Any], _: list[dict[str, Any]]) -> str:
    """The card, as Markdown with front matter."""
    rows = [
        {**in_percent(row), "spread": ", ".join(map(percent, row["accuracy_spread"]))}
        for row in metrics["accuracy"]
    ]
    sets = {row["images"] for row in training["wild"]}
    results = [Result(f"held-out wild networks on {row['which']}", row["which"], row["tau"], metric="kendall-tau")
               for row in metrics["accuracy"] if row["which"] in sets]  # fmt: skip
    header = model_header("Weightscope accuracy predictor", "graph-ml", ["generalization"],
                          sorted(name.removesuffix("-gray") for name in sets), results)  # fmt: skip
    return f"""{header}
# What test accuracy will this image classifier have?

Takes any classifier of ten classes that was trained on MNIST, Fashion-MNIST, CIFAR-10 or CIFAR-10 in gray, whatever
its architecture, and predicts its test accuracy with a {percent(metrics["coverage"])} interval, or says that the
network behaves unlike the networks of the zoo.

**What the answer rests on.** The network is run on {metrics["pictures"]:,} stored training pictures of its set (fewer
for networks with more than 5 million multiply-adds) and on flipped or rotated copies of them: accuracy that comes from
memorizing these pictures is lost on the copies. On {training["networks"]} networks of the wild zoo, a Gaussian process
has learned the difference between test accuracy and accuracy on the stored pictures. It uses no test picture and reads
no weight. The stored pictures are in `model.safetensors`, a mosaic for each set: {pictures_text()}.

{USAGE}

## Measured

On runs that it was neither trained nor calibrated on, drawn at random as those were, and on three families of
architectures that it was never trained on. The truth is the accuracy on 5,000 test pictures; the ceiling is the tau
between the truth and another measurement on as many pictures, and the standard error is that of the tau over bootstrap
samples of the runs. For comparison, two estimates without this predictor: the plain accuracy on the same stored
pictures, and the mean confidence. In accuracies on stored pictures every class counts as much as its share of the
published training images, so that networks that always answer one class, whose accuracy is its share, can be told
apart.

{table(rows, ACCURACY)}

These are runs of the following builds; of those that it was trained on, only the held-out splits.

{table(metrics["wild"], WILD)}

Intervals: split conformal, leaving runs out, one quantile for each image set, times a standard deviation. It is that of
the process, which grows with the distance from the zoo, and {metrics["correction_error"]:g} of the correction's size
added to it in quadrature, the likeliest number for left-out runs. Networks that are not called typical are excluded.

{table(rows, INTERVALS)}

![Observed coverage by nominal coverage, and measured by predicted accuracy]({RELIABILITY_PLOT})

Intervals of other coverages, with quantiles of the same left-out runs:

{coverage_table(metrics["reliability"])}

With fewer pictures, as for very large networks:

{table([in_percent(row) for row in metrics["fewer_pictures"]], FEWER)}

Small CNNs in gray from another script, none of which it was trained on:

{table([in_percent(row) for row in metrics["small_cnns"]], SMALL)}

One estimate takes {metrics["milliseconds"]} ms (median, for the first network of the zoo, on the evaluating machine).

## Training

{training_text(training)}

## Limits

The zoo's networks are small and were trained for a short time: few reach the accuracies of today's large ones. The
network must get the same input normalisation as in training; where its normalisation or wiring was guessed wrongly,
the prediction is for the wrong network.
"""


def coverage_table(reliability: list[dict[str, Any]]) -> str:
    """The observed coverages of each nominal one, as Markdown."""
    rows = [
        {
            "level": percent(float(level)),
            **{row["which"]: percent(row["levels"][level]) for row in reliability},
        }
        for level in reliability[0]["levels"]
    ]
    return table(rows, {"level": "nominal", **{row["which"]: row["which"] for row in reliability}})


def pictures_text() -> str:
    """Source and licence of the stored pictures."""
    return ", ".join(f"{s.title} ({s.repo}, licence {s.licence})" for s in IMAGE_SETS.values())


def in_percent(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its fractions in percent."""
    return {key: percent(value) if key in SHARES else value for key, value in row.items()}


def training_text(training: dict[str, Any]) -> str:
    """Training data, recipe, duration and machine, as Markdown."""
    recipe = ", ".join(f"{key} {value}" for key, value in training["recipe"].items())
    return f"""{table(training["wild"], WILD)}

Of these runs, {training["runs"]} are in the training split. Recipe: {recipe}. {training["seconds"] / 60:.0f} minutes on
{training["device"]} ({training["machine"]}, torch {training["torch"]}), other work running beside it; features that had
been read from networks earlier were reused."""
