"""Model cards, written from the figures of training and evaluation."""

from collections.abc import Sequence
from typing import Any

from zoo.front_matter import Result, model_header
from zoo.images import IMAGE_SETS

PAPER = "[Permutation Equivariant Neural Functionals](https://arxiv.org/abs/2302.14040)"


TAGS = ["inr", "siren"]

# Which figures a table shows, and under what headings.
ACCURACY = {
    "collection": "SIRENs",
    "recipe": "recipe",
    "networks": "networks",
    "psnr": "mean PSNR, dB",
    "accuracy": "accuracy, domain given",
    "accuracy_auto": "domain detected",
    "psnr_blurred": "worst-fitted tenth: dB at most",
    "accuracy_blurred": "its accuracy",
    "confidence": "mean confidence",
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


def usage(name: str, question: str) -> str:
    """Example code for a predictor of the embedded zoo."""
    return f"""```python
from zoo.catalog import Zoo

zoo = Zoo()
predictor = zoo.predictor("{name}")
print(predictor.{question})
```

From a repository of the Hub: `Predictor.from_pretrained("owner/name")`, of `nfn.predictor`."""


def trained_on(training: dict[str, Any]) -> list[str]:
    """The image sets behind the networks that a predictor was trained on."""
    return sorted({row["images"] for row in training["collections"]} & set(IMAGE_SETS))


def percent(value: float) -> str:
    """A fraction as 97.3%."""
    return f"{100 * value:.1f}%"


def symmetry_table(metrics: dict[str, Any]) -> str:
    """The change of answers for permuted and for sign-flipped copies."""
    changes = ("permuted", "sign_flipped")
    rows = [{**row, **{key: f"{row[key]:.1e}" for key in changes}} for row in metrics["symmetry"]]
    return table(rows, SYMMETRY)


def training_facts(training: dict[str, Any]) -> str:
    """Training data, recipe, duration and machine, as Markdown."""
    recipe = ", ".join(f"{key} {value}" for key, value in training["recipe"].items())
    rows = table(training["collections"], {"collection": "SIRENs", "images": "images", "recipe": "fitted by recipe",
                                           "networks": "networks", "psnr": "mean PSNR, dB"})  # fmt: skip
    return (f"{rows}\n\nRecipe: {recipe}. {training['seconds'] / 60:.0f} minutes on {training['device']} "
            f"({training['machine']}, torch {training['torch']}), other work running beside it.")  # fmt: skip


SHARES = ("accuracy", "accuracy_auto", "accuracy_blurred", "confidence")


def classifier_card(
    training: dict[str, Any], metrics: dict[str, Any], baselines: list[dict[str, Any]]
) -> str:
    """The card of `InrClassifier`."""
    accuracy = [{**row, **{key: percent(row[key]) for key in SHARES}} for row in metrics["accuracy"]]
    results = [Result(f"SIRENs of held-out {row['images']} images, {row['recipe']} recipe", row["images"],
                      row["accuracy"], row["recipe"]) for row in metrics["accuracy"]]  # fmt: skip
    header = model_header(
        "Weightscope INR classifier", "image-classification", TAGS, trained_on(training), results
    )
    return f"""{header}
# What does this SIREN show?

Takes the weights of a SIREN of any depth and width (one or three outputs) and says which MNIST digit, Fashion-MNIST
article or CIFAR-10 object it shows, with probabilities; the domain is detected, or given. It evaluates the network on a
grid of 32 x 32 coordinates (probe features) and classifies the answers with a small residual convolutional net. The
probes see the function and not the weights, so hidden neurons may come in any order and with any sign.

{usage("inr-classifier", 'predict(zoo.network("mnist-sirens/test/17")).label')}

**It is not a weights-only neural functional**: those stand below, trained on the same networks.

## Measured

SIRENs of held-out test images that were never trained on. "Given": the user names the domain. The interval of a
fraction p over n networks is about 2 sqrt(p (1 - p) / n).

{table(accuracy, ACCURACY)}

One prediction takes {metrics["milliseconds"]} ms (median, on the machine that evaluated).

Largest change of any probability for a permuted and for a sign-flipped copy:

{symmetry_table(metrics)}

## Pictures of something else

{typicality_text(metrics)}

## Files that do not declare their convention

{conventions_text(metrics)}

## Beside it: weights-only neural functionals

The same script for each, with epochs for about the same time; with 1,000 test networks, differences of up to 3 points
may be chance.

{baseline_text(baselines)}

## Training

On all training images (roughened as a SIREN's rendering is) and on these SIRENs, with untrained SIRENs, noise and
scrambled pictures as a class "none of these". The temperature comes from SIRENs of validation images.

{training_facts(training)}
{typicality_facts(training)}

## Limits

It knows three small data sets. A SIREN of another subject is meant to show none of these classes, and that verdict
can be wrong both ways (see the tables). What a file does not declare of its convention is
detected among common ones, with the error rates above. Architecture after {PAPER} and its successors.
"""


TYPICAL = {
    "typical": "called typical",
    "and_alike": "and named alike by weights alone",
}


def typicality_text(metrics: dict[str, Any]) -> str:
    """What is called typical, of the zoo's kind and of kinds of pictures that were held out from training."""
    if "typicality" not in metrics:
        return "Not measured yet: `python -m zoo evaluate typicality`."
    figures = metrics["typicality"]
    columns, keys = TYPICAL, ("known", "other", "misread", "nothing")
    classes, other, wrong, nothing = ([shown_shares(row) for row in figures[key]] for key in keys)
    digits = percent(figures["printed_digits"]["typical"])
    return (
        "What shows none of the classes should not be called typical. SIRENs of held-out images of the classes:\n\n"
        f"{table(classes, {'collection': 'SIRENs', 'recipe': 'recipe', 'networks': 'networks', **columns})}\n\n"
        "SIRENs fitted to other pictures (`zoo/foreign_pictures.py`), of kinds that were held out from training: "
        f"{percent(figures['other_typical'])} on average.\n\n"
        f"{table(other, {'kind': 'shows', 'networks': 'networks', **columns})}\n\n"
        "Networks read in a wrong convention, of those that were held out from training: "
        f"{percent(figures['misread_typical'])} on average.\n\n"
        f"{table(wrong, {'kind': 'networks', 'networks': 'number', **columns})}\n\n"
        f"Networks that show nothing:\n\n{table(nothing, {'kind': 'networks', 'networks': 'number', **columns})}\n\n"
        f"Of digits in print, which are digits but none of the zoo's, {digits} are typical."
    )


def shown_shares(row: dict[str, Any]) -> dict[str, Any]:
    """A row of figures, the shares among them as percentages."""
    return {**row, **{key: percent(row[key]) for key in TYPICAL if key in row}}


def typicality_facts(training: dict[str, Any]) -> str:
    """How the part was trained that knows what shows none of the classes."""
    if "typicality" not in training:
        return ""
    facts = training["typicality"]
    recipe = ", ".join(f"{key} {value}" for key, value in facts["recipe"].items())
    names = ", ".join(f"{row['networks']:,} of {row['collection']}" for row in facts["collections"])
    return (
        f"\nWhat shows none of the classes was learned afterwards, by a small head, from other pictures and {names}; "
        f"{percent(facts['recipe']['kept'])} of SIRENs of validation images pass its threshold. Recipe: {recipe}. "
        f"{facts['seconds']:,} seconds ({facts['machine']}, torch {facts['torch']}).\n"
    )


CONVENTIONS = {
    "images": "images",
    "networks": "networks",
    "right_if_declared": "accuracy, convention declared",
    "right": "convention detected",
    "typical": "called typical",
    "wrong_and_typical": "wrong and called typical",
}


def conventions_text(metrics: dict[str, Any]) -> str:
    """The accuracy on SIRENs whose convention had to be detected."""
    if "conventions" not in metrics:
        return "Not measured yet: `python -m zoo evaluate conventions`."
    shares = [key for key in CONVENTIONS if key not in ("images", "networks")]
    rows = [{**row, **{key: percent(row[key]) for key in shares}} for row in metrics["conventions"]]
    return (
        "SIRENs of test images with random recipes: omegas, whether they scale biases, range of the coordinates, "
        "output activation, black and white, depth and width. The files do not declare any of it:\n\n"
        f"{table(rows, CONVENTIONS)}"
    )


def edit_baseline_text(baselines: list[dict[str, Any]]) -> str:
    """The comparison with editors of weights alone, or a note that they have not been measured."""
    if not baselines:
        return "Not measured yet: `python -m bench.edit_baseline` trains editors of weights alone."
    rows = [{**row, "minutes": f"{row['seconds'] / 60:.1f}"} for row in baselines]
    return table(rows, {"model": "model", "train": "trained on", "test": "tested on", "steps": "steps",
                        "mse": "error, true image", "minutes": "minutes", "device": "device"})  # fmt: skip


def baseline_text(baselines: list[dict[str, Any]]) -> str:
    """The comparison with baselines on the same networks, or a note that it has not been run."""
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
    header = model_header("Weightscope INR editor", "image-to-image", TAGS, trained_on(training), [])
    return f"""{header}
# Edit a picture by editing its network

Takes a SIREN and gives back a SIREN of the same shape that shows the picture dilated, eroded, with more contrast,
sharpened or as neon outlines, at any strength. `U <- U + gamma * NFN(U, gradients)`, a few times: the image operator is
applied to the SIREN's own rendering, the gradient of the squared difference by every weight goes in as extra input
channels, and NP-equivariant layers ({PAPER}, equation 3) turn weights and gradients into an update. One model serves
all styles, strengths, and SIRENs with one or three outputs.

{usage("inr-editor", 'edit(zoo.network("mnist-sirens/test/17"), "dilate").mse')}

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

## Beside it: editors of weights alone, in one step

{edit_baseline_text(baselines)}

## Training

{training_facts(training)}

## Limits

SIRENs with two hidden layers. Adam with enough gradients comes closer than this model (last column): its
merit is to get there in a few. Strengths beyond 1 exaggerate until pixels saturate.
"""
