"""Model cards: every figure in them comes from what training and evaluation wrote down."""

from collections.abc import Sequence
from typing import Any

from zoo import hub

PAPER = "[Permutation Equivariant Neural Functionals](https://arxiv.org/abs/2302.14040)"


TAGS = ["weight-space-learning", "inr", "siren"]

# Which figures a table shows, and under what headings.
ACCURACY = {
    "collection": "SIRENs",
    "recipe": "recipe",
    "networks": "networks",
    "psnr": "mean PSNR, dB",
    "accuracy": "accuracy, domain told",
    "accuracy_auto": "domain found",
    "psnr_blurred": "worst-fitted tenth: dB at most",
    "accuracy_blurred": "its accuracy",
    "confidence": "mean confidence",
    "typical": "called typical",
}
SYMMETRY = {
    "collection": "SIRENs",
    "networks": "networks",
    "permuted": "permuted",
    "sign_flipped": "sign-flipped",
}
STYLES = {
    "collection": "SIRENs",
    "networks": "networks",
    "style": "style",
    "unedited": "unedited",
    "mse": "editor, own picture",
    "mse_true_image": "editor, true image",
    "adam_same_steps": "Adam, as many gradients",
    "adam_50_steps": "Adam, 50 gradients",
}
STRENGTHS = {
    "collection": "SIRENs",
    "strength": "strength",
    "mse": "error",
    "moved": "moved",
    "target_moved": "meant to move",
}


def table(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> str:
    """A Markdown table of `rows`; `columns` maps keys to headings."""
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(str(row.get(key, "")) for key in columns) + " |" for row in rows]
    return "\n".join(lines)


def percent(value: float) -> str:
    """A share as 97.3%."""
    return f"{100 * value:.1f}%"


def symmetry_table(metrics: dict[str, Any]) -> str:
    """How far answers move for permuted and for sign-flipped copies."""
    changes = ("permuted", "sign_flipped")
    rows = [{**row, **{key: f"{row[key]:.1e}" for key in changes}} for row in metrics["symmetry"]]
    return table(rows, SYMMETRY)


def training_facts(training: dict[str, Any]) -> str:
    """On what, how, where and how long it was trained."""
    recipe = ", ".join(f"{key} {value}" for key, value in training["recipe"].items())
    rows = table(training["collections"], {"collection": "SIRENs", "images": "images", "recipe": "fitted by recipe",
                                           "networks": "networks", "psnr": "mean PSNR, dB"})  # fmt: skip
    return (f"{rows}\n\nRecipe: {recipe}. {training['seconds'] / 60:.0f} minutes on {training['device']} "
            f"({training['machine']}, torch {training['torch']}), other work running beside it.")  # fmt: skip


SHARES = ("accuracy", "accuracy_auto", "accuracy_blurred", "confidence", "typical")


def classifier_card(
    training: dict[str, Any], metrics: dict[str, Any], baselines: list[dict[str, Any]]
) -> str:
    """The card of `InrClassifier`."""
    accuracy = [{**row, **{key: percent(row[key]) for key in SHARES}} for row in metrics["accuracy"]]
    unlike = [{**row, "called_typical": percent(row["called_typical"])} for row in metrics["unlike_the_zoo"]]
    results = [(f"{row['images']} SIRENs, {row['recipe']} recipe", row["images"], row["accuracy"])
               for row in metrics["accuracy"]]  # fmt: skip
    header = hub.card_header("Weightscope INR classifier", TAGS, results)
    return f"""{header}
# What does this SIREN show?

Takes the weights of a SIREN of any depth and width (one or three outputs) and says which MNIST digit, Fashion-MNIST
article or CIFAR-10 object it shows, with probabilities; the domain is found, or told. It evaluates the network on a
grid of 32 x 32 coordinates (probe features) and reads the answers with a small residual convolutional net. The
probes see the function and not the weights, so hidden neurons may come in any order and with any sign.

**It is not a weights-only neural functional**: those stand below, trained on the same networks.

## Measured

SIRENs of held-out test images that no training step saw. "Told": the visitor names the domain. The interval of a
share p over n networks is about 2 sqrt(p (1 - p) / n).

{table(accuracy, ACCURACY)}

One prediction takes {metrics["milliseconds"]} ms (median, on the machine that evaluated).

Largest change of any probability for a permuted and for a sign-flipped copy:

{symmetry_table(metrics)}

Networks that show nothing, and how often they are nevertheless called typical. Untrained networks are among the
negatives of training, as are pictures of noise and scrambled pictures; permuted networks are not:

{table(unlike, {"kind": "networks", "networks": "number", "called_typical": "called typical"})}

## Files that do not say how they are written

{conventions_text(metrics)}

## Beside it: weights-only neural functionals

The same script for each, with epochs for about the same time; with 1,000 test networks, differences of up to 3 points
may be chance.

{baseline_text(baselines)}

## Training

On all training images (roughened as a SIREN's rendering is) and on these SIRENs, with untrained SIRENs, noise and
scrambled pictures as a class "none of these". The temperature and the "typical" threshold
({metrics["typical_from"]}: 99% of them pass) come from SIRENs of validation images.

{training_facts(training)}

## Limits

It knows three small data sets. A SIREN of another subject is read as the nearest of their classes or called unlike
the zoo, and that verdict can be wrong both ways (see the table). What a file does not say of its convention is found
among the usual ones, with the error rates above. Architecture after {PAPER} and its successors.
"""


CONVENTIONS = {
    "images": "images",
    "networks": "networks",
    "right_if_declared": "named rightly, convention told",
    "right": "convention found",
    "typical": "called typical",
    "wrong_and_typical": "wrong and called typical",
}


def conventions_text(metrics: dict[str, Any]) -> str:
    """How often SIRENs are named whose convention had to be found."""
    if "conventions" not in metrics:
        return "Not measured yet: `python -m zoo evaluate conventions`."
    shares = [key for key in CONVENTIONS if key not in ("images", "networks")]
    rows = [{**row, **{key: percent(row[key]) for key in shares}} for row in metrics["conventions"]]
    return (
        "SIRENs of test images under random recipes: omegas, where they act, range of the coordinates, what is at the "
        f"end, black and white, depth and width. The files say nothing of it:\n\n{table(rows, CONVENTIONS)}"
    )


def edit_baseline_text(baselines: list[dict[str, Any]]) -> str:
    """The paper's way to edit, or that it has not been measured."""
    if not baselines:
        return "Not measured yet: `python -m bench.edit_baseline` trains the paper's editor."
    rows = [{**row, "minutes": f"{row['seconds'] / 60:.1f}"} for row in baselines]
    return table(rows, {"model": "model", "train": "trained on", "test": "tested on", "steps": "steps",
                        "mse": "error, true image", "minutes": "minutes", "device": "device"})  # fmt: skip


def baseline_text(baselines: list[dict[str, Any]]) -> str:
    """The comparison on identical networks, or that it has not been run."""
    if not baselines:
        return "Not measured yet: `python -m bench.inr_baselines` runs the comparison."
    rows = [
        {**row, "accuracy": percent(row["accuracy"]), "minutes": f"{row['seconds'] / 60:.1f}"}
        for row in baselines
    ]
    return table(rows, {"model": "model", "train": "trained on", "test": "tested on", "epochs": "epochs",
                        "accuracy": "accuracy", "minutes": "minutes", "device": "device"})  # fmt: skip


def editor_card(training: dict[str, Any], metrics: dict[str, Any], baselines: list[dict[str, Any]]) -> str:
    """The card of `InrEditor`."""
    header = hub.card_header("Weightscope INR editor", TAGS, [])
    return f"""{header}
# Edit a picture by editing its network

Takes a SIREN and gives back a SIREN of the same shape that shows the picture dilated, eroded, with more contrast,
sharpened or as neon outlines, at any strength. `U <- U + gamma * NFN(U, gradients)`, a few times: the image operator is
applied to the SIREN's own rendering, the gradient of the squared difference by every weight goes in as extra input
channels, and NP-equivariant layers ({PAPER}, equation 3) turn weights and gradients into an update. One model serves
all styles, strengths, and SIRENs with one or three outputs.

**It needs the gradients**: the paper's editor sees weights alone, for one style, in one step.

## Measured

Mean squared errors on pixels in [-1, 1], SIRENs of held-out test images. "True image": against the operator applied
to the image that the SIREN was fitted to (the paper's protocol; the paper reports dilate 0.068 on MNIST and contrast
0.020 on CIFAR-10 with its own SIRENs); "own picture": against the operator applied to the SIREN's rendering. "Adam"
is plain gradient descent at the best of a few learning rates, with as many gradients as the editor uses, and with 50.

{table(metrics["styles"], STYLES)}

Strength, for dilation: the error, and how far the picture moved beside how far it was meant to.

{table(metrics["strengths"], STRENGTHS)}

One edit takes {metrics["milliseconds"]} ms (median, on the machine that evaluated). Largest pixel difference between
the edit of a network and of its permuted, and its sign-flipped, copy:

{symmetry_table(metrics)}

## Beside it: the paper's editor, from weights alone in one step

{edit_baseline_text(baselines)}

## Training

{training_facts(training)}

## Limits

SIRENs with two hidden layers. Adam with enough gradients comes closer than this model (last column): its
merit is to get there in a few. Strengths beyond 1 exaggerate until pixels saturate.
"""
