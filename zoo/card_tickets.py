"""The card of `TicketPredictor`, written from the figures of training and evaluation."""

from typing import Any

from nfn.reference_ticket import OWN
from zoo.card import PAPER, percent, table, usage
from zoo.front_matter import Result, model_header

MASKS = {
    "mask": "mask",
    "accuracy": "test accuracy after training",
    "standard_error": "standard error",
    "gap_closed": "gap closed",
    "overlap": "shared with IMP",
    "kept": "kept per layer",
    "dead": "dead hidden neurons",
}
PUBLISHED = [
    {"data": "MNIST, MLP", "dense": 97.8, "imp": 96.2, "random": 89.6, "np": 94.8, "pt": 95.0},
    {
        "data": "CIFAR-10, CNN of 128 channels",
        "dense": 63.1,
        "imp": 44.0,
        "random": 21.1,
        "np": 41.4,
        "pt": 42.6,
    },
]
"""Table 5 of arXiv:2302.14040."""
PUBLISHED_COLUMNS = {
    "data": "data", "dense": "dense", "imp": "IMP", "random": "random", "np": "NFN, NP", "pt": "NFN, pointwise",
}  # fmt: skip
MODELS = {
    "model": "model", "what": "kind", "moments": "gradients read after steps", "channels": "channels",
    "depth": "layers", "steps": "training steps", "minutes": "minutes", "device": "device",
}  # fmt: skip
MODEL_KINDS = {
    "direct": "An NP-equivariant model",
    "pointwise": "A pointwise model (the paper's NFN_PT: one small network for all weights of a layer)",
}
SIZES = {
    "mnist": "784-128-128-10 MLP",
    "cifar10": "CNN of three convolutions of 32 channels and two linear layers",
}


def tickets_card(training: dict[str, Any], metrics: dict[str, Any], others: list[dict[str, Any]]) -> str:
    """The card, as Markdown with front matter."""
    rows = [_show(row) for row in metrics["methods"]]
    shipped = next(row for row in metrics["methods"] if row["mask"] == metrics["shipped"])
    images = metrics["images"]
    results = [
        Result("held-out initializations, trained under its masks", images, round(shipped["accuracy"], 4))
    ]
    header = model_header(f"Weightscope winning tickets, {images}", "graph-ml", ["lottery-ticket", "pruning"],
                          [images], results)  # fmt: skip
    trained = metrics["called_trained"]
    recipe = ", ".join(f"{key} {value}" for key, value in metrics["recipe"].items())
    return f"""{header}
# Which weights of this untrained network are worth training?

Takes an *initialization* of a {SIZES[metrics["images"]]} (hidden layers of any width) for {metrics["images"]} and
gives every weight a score. The {percent(1 - metrics["sparsity"])} with the highest scores are its winning ticket:
trained alone, from the same initial values, they should reach nearly the accuracy of the whole network. After section
3.3 of {PAPER}.

{usage(f"tickets-{images}", f'predict(zoo.network("{images}-inits/test/3")).scores[0].shape')}

**What the answer rests on.** {rests_on(training, metrics)}

## Measured

{metrics["networks"]} held-out initializations, each trained under each mask with one recipe ({recipe}; same batches in
the same order for all masks of a network), then measured on the whole test split. Gap closed: from random (Bernoulli)
to IMP, one round of iterative magnitude pruning, which first trains the network completely.

{table(rows, MASKS)}

The paper's figures, on its own recipe (not stated there in full) and sizes:

{table(PUBLISHED, PUBLISHED_COLUMNS)}

One prediction takes {metrics["seconds"]:.2f} s (median, on the evaluating machine, other work running beside it).
Permuting the hidden neurons of an initialization permutes its scores: {metrics["symmetry"]["different"]} of
{metrics["symmetry"]["weights"]:,} differ by any bit. Called "trained": {percent(trained["initializations"])} of
{trained["networks"][0]} initializations, {percent(trained["trained"])} of {trained["networks"][1]} trained networks.

## Models

{table(others, MODELS)}

## Training

{training_text(training)}

## Limits

Learned from one initialization scheme (torch's default, uniform within 1/sqrt(fan-in)) and one recipe; other widths and
schemes are accepted, but were not measured. The scores were learned at {percent(metrics["sparsity"])} sparsity; other
sparsities use the same ranking. Biases are never pruned.
"""


def rests_on(training: dict[str, Any], metrics: dict[str, Any]) -> str:
    """What the scores are read from, the best reader first, as Markdown."""
    texts = {"weights": weights_alone, "training": short_training}
    return "\n\n".join(texts[reader](training, metrics) for reader in metrics["readers"])


def weights_alone(training: dict[str, Any], metrics: dict[str, Any]) -> str:
    """How the reader of weights alone scores, as Markdown."""
    recipe = training["reference"]["recipe"]
    kept = ", ".join(f"{count:,}" for count in recipe["kept"])
    return f"""Weights alone (`predict(network, "weights")`): no image, no gradient, nothing trained. The hidden units
are matched by their weights (Git Re-Basin, arXiv:2209.04836) with those of a stored reference: a network of the same
widths, from another initialization (seed {recipe["seed"]}), that was pruned gradually to {kept}
weights per layer while it was trained for {recipe["steps"]:,} steps on {metrics["images"]}'s training images. The score
of a weight is the size of the matched reference's weight plus {OWN:g} of its own, both in units of their layer. A
ticket is mostly a wiring that any initialization can learn with, once it is known which of its units stands where.
Networks of other widths cannot be read so, and get a short training."""


def short_training(training: dict[str, Any], metrics: dict[str, Any]) -> str:
    """How the reader that trains the network briefly scores, and why, as Markdown."""
    images = f"{training['images']:,} stored training images{_smaller(training)}"
    if training["model"] == "magnitude":
        return f"""A short training (`predict(network, "training")`), no neural functional: the network is trained for
{max(training["moments"])} steps on {images}, and the score of a
weight is then its magnitude, in a unit of its layer. The units, one number per layer, are all that was learned: cut at
one unit, a layer keeps on average as many weights as IMP's masks of the training pairs keep of it. Without them
("magnitude after the short training") the same cut removes too much of some layers. Neural functionals trained on such
pairs were less accurate: see the rows below."""
    moments = ", ".join(map(str, training["moments"]))
    return f"""{MODEL_KINDS[training["model"]]} (`predict(network, "training")`) reads the weights and, as further
channels, gradients: of the loss at the initialization, and summed up over a short training on {images}
(after {moments} steps; the zoo's own training takes {metrics["recipe"]["steps"]:,}). The row "magnitude after the short
training" says what that training is worth without a model, "gradients at the initialization only" what a model is worth
without it."""


def _smaller(training: dict[str, Any]) -> str:
    """By how much the images of the short training are reduced, as Markdown."""
    size = training.get("shrink", 1) * training.get("coarse", 1)
    return f" at 1/{size} of their width and height" if size > 1 else ""


def _show(row: dict[str, Any]) -> dict[str, Any]:
    percentages = {key: percent(row[key]) for key in ("accuracy", "overlap", "gap_closed") if key in row}
    return {
        **row, **percentages, "standard_error": f"{100 * row['standard_error']:.2f}",
        "kept": ", ".join(f"{n:,}" for n in row.get("kept", [])), "dead": ", ".join(map(str, row.get("dead", []))),
    }  # fmt: skip


def training_text(training: dict[str, Any]) -> str:
    """Training data, recipe, duration and machine, as Markdown."""
    recipe = ", ".join(f"{key} {value}" for key, value in training["recipe"].items())
    pairs = training["pairs"]
    accuracies = (
        f"{percent(pairs['dense_accuracy'])} dense, {percent(pairs['ticket_accuracy'])} under the mask"
    )
    return (f"{pairs['train']} pairs of an initialization and its IMP mask (held-out ones reach {accuracies}), built "
            f"by `python -m zoo build ticket --images {pairs['images']}`. Recipe: {recipe}. "
            f"{training['seconds'] / 60:.0f} minutes on {training['device']} ({training['machine']}, torch "
            f"{training['torch']}), other work running beside it.")  # fmt: skip
