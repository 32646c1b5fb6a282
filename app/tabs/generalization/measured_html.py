"""The HTML of a measurement: its progress, accuracy, classes, rows for a model card. File names are escaped here."""

from collections.abc import Sequence

from app.networks.source import Source
from app.page.html import as_table, code_block, escape
from app.tabs.generalization.actions import Predicted
from app.tabs.generalization.html import image_title, percent
from zoo.card_row import PLACEHOLDER, eval_results, model_index
from zoo.measure import Measured, Trial

CARD = (
    "Copy the first block between the two lines --- of the model’s README.md, and the second into a file "
    ".eval_results/accuracy.yaml, which the Hub shows for its benchmark data sets."
)
FILL_IN = f"Replace {PLACEHOLDER} by the id of your data set."


def progress(measured: Measured, trial: Trial) -> str:
    """The progress of a measurement."""
    return (
        f'<div class="line" role="status"><progress max="{measured.total}" value="{measured.seen}" '
        'aria-label="images seen"></progress>'
        f"<p>{measured.seen:,} of {measured.total:,} images of {_title(trial)}, "
        f"{measured.correct:,} classified correctly.</p></div>"
    )


def result(source: Source, measured: Measured, trial: Trial, predicted: Predicted) -> str:
    """The accuracy with its interval, how it compares with the prediction, how the images became inputs, the accuracy
    of each class, and rows for a model card."""
    items = "".join(f"<li>{escape(text, 400)}</li>" for text in trial.sentences)
    stored = None if isinstance(trial.dataset, str) else trial.dataset.name
    verdict = f"<p>{_verdict(measured, stored, predicted)}</p>" if stored else ""
    return (
        f'<div class="line" role="status">{_accuracy(measured, trial)}{verdict}</div>'
        f'<ul class="converted">{items}</ul>'
        f"{_per_class(measured, trial.classes)}{_card_rows(source, trial, measured)}"
    )


def _accuracy(measured: Measured, trial: Trial) -> str:
    return (
        f'<p><b class="big">{percent(measured.accuracy)}</b> on {measured.total:,} test images of {_title(trial)}: '
        f"{measured.correct:,} classified correctly. The 95% interval for this number of images is "
        f"{percent(measured.low)} to {percent(measured.high)} (Wilson). Took {measured.seconds:.2f} s.</p>"
    )


def _title(trial: Trial) -> str:
    return escape(trial.dataset) if isinstance(trial.dataset, str) else image_title(trial.dataset.name)


def _per_class(measured: Measured, names: Sequence[str]) -> str:
    """The accuracy of each class as a collapsed table."""
    rows = [
        (name, f"{seen:,}", f"{correct:,}", percent(correct / seen) if seen else "")
        for name, (correct, seen) in zip(names, measured.classes, strict=False)
    ]
    return as_table(("class", "images", "correct", "accuracy"), rows, "Accuracy of each class")


def _card_rows(source: Source, trial: Trial, measured: Measured) -> str:
    """The result as YAML for a model card, to copy."""
    rows = (model_index(source.name, trial.dataset, measured), eval_results(trial.dataset, measured))
    hint = f"{CARD} {FILL_IN}" if isinstance(trial.dataset, str) else CARD
    blocks = "".join(map(code_block, rows))
    return f'<details class="card-rows"><summary>For a model card</summary><p>{hint}</p>{blocks}</details>'


def _verdict(measured: Measured, images: str, predicted: Predicted) -> str:
    result = predicted.result
    if images != result.images:
        return (
            f"The prediction was for {image_title(result.images)}, so the two numbers cannot be compared, and the plot "
            "stays as it is."
        )
    if not result.typical:
        return "There was no prediction to compare it with."
    relation = (
        "overlap" if measured.low <= result.high and result.low <= measured.high else "<b>do not overlap</b>"
    )
    return f"Predicted: {percent(result.test_accuracy)}. The two intervals {relation}."
