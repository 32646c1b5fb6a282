"""The HTML of the Accuracy tab. Text from visitors and files is escaped here."""

import math
from collections import Counter
from collections.abc import Sequence

from app.networks.source import Source
from app.page.html import as_table, code_block, escape, number, percent, small_difference
from app.page.terms import term
from app.tabs.generalization.actions import Predicted
from app.tabs.generalization.figures import Span, interval_strip
from app.tabs.generalization.symmetry import SAME, SymmetryCheck
from nfn.architecture.words import architecture_words
from nfn.generalization import Generalization
from nfn.reader.errors import ONNX_EXPORT
from nfn.wiring.pictures import IMAGE_TITLES
from zoo.classifiers import UNUSUAL, Classifier
from zoo.measure import Measured

OPTIMIZER_TITLES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}

EVIDENCE = (
    "The predictor runs the network on training images that are stored with it; of small CNNs like the zoo’s it reads "
    "the weights, too. It sees no test image."
)
INTERVAL = (
    f"The {term('interval', 'Interval')} is calibrated: it contains the true accuracy of {{}} of held-out networks "
    "like the zoo’s."
)
UNLIKE = (
    "There is no reliable number: this network is unlike all networks that the predictor was trained on, so the error "
    "is unknown. It may be untrained, noise, another architecture, or have misread inputs. You can still measure it."
)
NEXT_STEP = (
    "<p>Choose another way to read it (“How to read my upload”, or “Other ways to read it” below), or upload a file "
    "that contains its graph. This line writes one; put the shape of your network’s input in it:</p>"
    f"{code_block(ONNX_EXPORT)}"
)
GUESS_GAME = (
    '<div class="game"><button type="button" data-game="toggle" aria-pressed="false">Guess before you look</button>'
    '<div class="guess"><label>Your guess: <b>50%</b><input type="range" min="0" max="100" value="50"></label>'
    '<button type="button" class="next-step" data-game="look">Look</button></div>'
    '<output aria-live="polite"></output></div>'
)
"""The visitor guesses, then sees the prediction and the measured accuracy; `game.js` keeps the score."""


def image_title(images: str) -> str:
    """The name of an image set on screen."""
    return IMAGE_TITLES.get(images, escape(images))


def accuracy(
    predicted: Predicted, measured: Measured | None, zoo: Sequence[float], facts: str, weights: str = ""
) -> str:
    """The predicted accuracy with its interval, as a number and as a picture; or why there is none.

    `weights` is a picture of the weights (an `img` element), shown beside a reliable number."""
    result, truth = predicted.result, measured_span(predicted, measured)
    guess = predicted_span(result)
    strip = interval_strip(guess, truth, zoo, _strip_description(result, truth))
    head = _weights(weights) + _prediction(predicted) if result.typical else _withheld(result)
    measurement = _truth(result, truth, predicted, measured)
    evidence = f"{EVIDENCE} {INTERVAL.format(f'{result.coverage:.0%}')}" if result.typical else EVIDENCE
    return (
        f'<div class="accuracy verdict"{_for_game(guess, truth)}><div class="split">{head}{measurement}</div>'
        f"{strip}{_strip_legend(result, truth)}"
        f"{_strip_table(zoo, guess, truth)}"
        f'{_from_weights(predicted)}<p class="rests">{evidence}</p><p class="facts">{facts}</p></div>'
    )


def _from_weights(predicted: Predicted) -> str:
    """What weights alone say, and whether it lies in the predicted interval; "" without such a reading."""
    result, weights = predicted.result, predicted.weights
    if weights is None or not result.typical:
        return ""
    inside = result.low <= weights <= result.high
    mark, word = ("✓", "inside the predicted interval") if inside else ("≠", "outside the predicted interval")
    return (
        f'<p class="line" id="accuracy-weights-alone"><b>Weights alone: {percent(weights)}</b> '
        f'<span aria-hidden="true">{mark}</span> {word}. This predictor sees only weights and biases, is less '
        "accurate, and has no interval of its own.</p>"
    )


def _weights(image: str) -> str:
    return f'<figure class="all-weights"><figcaption class="caption">Its weights</figcaption>{image}</figure>'


def _for_game(guess: Span | None, truth: Span | None) -> str:
    """The predicted and measured accuracy as data attributes for `game.js`."""
    predicted = f' data-predicted="{guess.value:.4f}"' if guess else ""
    return predicted + (f' data-measured="{truth.value:.4f}"' if truth else "")


def predicted_span(result: Generalization) -> Span | None:
    """The predicted accuracy with its interval; None if it is not reliable."""
    return Span(result.test_accuracy, result.low, result.high) if result.typical else None


def measured_span(predicted: Predicted, measured: Measured | None) -> Span | None:
    """The accuracy measured here, else the zoo's, else None."""
    if measured is not None:
        return Span(measured.accuracy, measured.low, measured.high)
    known = predicted.measured
    return None if known is None else Span(known, known, known)


def _prediction(predicted: Predicted) -> str:
    result = predicted.result
    nine = f"{10 * result.coverage:.0f} of 10"
    return (
        f'<div class="known"><p class="caption">Predicted</p><p class="number">{percent(result.test_accuracy)}</p>'
        f"<p>between <b>{percent(result.low)}</b> and <b>{percent(result.high)}</b> in {nine} cases</p>"
        f'<p class="standing">{escape(result.note, 400) or _standing(predicted)}</p></div>'
    )


def _standing(predicted: Predicted) -> str:
    title, share = image_title(predicted.result.images), predicted.percentile
    if share is None:
        return f"Looks trained on {title}; the zoo has no networks to compare it with."
    part = {0.0: "none", 100.0: "all"}.get(share, f"{min(max(share, 1), 99):.0f}%")
    return f"Better than <b>{part}</b> of the zoo’s small networks trained on {title}."


def _withheld(result: Generalization) -> str:
    """Why there is no number, and the next step; an unreliable number is struck through."""
    if math.isnan(result.test_accuracy):
        return f'<div class="unlike"><p class="title">No number</p><p>{escape(result.reason, 400)}</p>{NEXT_STEP}</div>'
    title = "Unlike the zoo" if result.reason in ("", UNUSUAL) else "A doubtful reading"
    return (
        f'<div class="unlike"><p class="title">{title}</p>'
        f'<p class="number"><s aria-label="withheld">{percent(result.test_accuracy)}</s></p>'
        f"<p>{escape(result.reason, 400) or UNLIKE}</p>{NEXT_STEP if result.reason else ''}</div>"
    )


def _truth(
    result: Generalization, truth: Span | None, predicted: Predicted, measured: Measured | None
) -> str:
    if truth is None:
        return '<div class="truth"><p class="caption">Measured</p><p class="number none">not yet</p></div>'
    how = (
        f"on {measured.total:,} test images, just now"
        if measured
        else "on test images, when the zoo was built"
    )
    return (
        f'<div class="truth"><p class="caption">Measured</p><p class="number">{percent(truth.value)}</p><p>{how}</p>'
        f'<p class="standing">{_agreement(result, truth)}</p></div>'
    )


def _agreement(result: Generalization, truth: Span) -> str:
    """Whether the measured accuracy lies in the predicted interval, or misses it by chance, in words."""
    if not result.typical:
        return "There is no predicted interval to compare it with."
    off = 100 * abs(truth.value - result.test_accuracy)
    where = "inside" if result.low <= truth.value <= result.high else "<b>outside</b>"
    by_chance = where != "inside" and truth.low <= result.high and result.low <= truth.high
    remark = (
        f" On this many images the measured accuracy is uncertain, too: {percent(truth.low)} to {percent(truth.high)}."
        if by_chance
        else ""
    )
    return f"{off:.1f} points from the prediction, {where} the interval.{remark}"


def _strip_description(result: Generalization, truth: Span | None) -> str:
    known = f" Measured: {percent(truth.value)}." if truth else ""
    if not result.typical:
        return f"The accuracies of the zoo's networks; no prediction is shown.{known}"
    span = f"from {percent(result.low)} to {percent(result.high)}"
    return f"The predicted interval {span} on the accuracies of the zoo's networks.{known}"


def _strip_legend(result: Generalization, truth: Span | None) -> str:
    keys = [("zoo", f"the zoo’s networks on {image_title(result.images)}")]
    keys += [("predicted", "predicted, with its interval")] * result.typical
    keys += [("measured", "measured")] * (truth is not None)
    return legend(keys)


def _strip_table(zoo: Sequence[float], guess: Span | None, truth: Span | None) -> str:
    """The strip as a table: the zoo's networks per bin, the predicted and the measured accuracy."""
    rows = [
        (f"{low:.0%} to {high:.0%}", f"{count:,} of the zoo’s networks") for low, high, count in zoo_bins(zoo)
    ]
    rows += (
        [(f"{percent(guess.low)} to {percent(guess.high)}", f"predicted: {percent(guess.value)}")]
        if guess
        else []
    )
    rows += [(percent(truth.value), "measured")] if truth else []
    return as_table(["test accuracy", "networks"], rows)


def zoo_bins(accuracies: Sequence[float], width: float = 0.05) -> list[tuple[float, float, int]]:
    """(low, high, count) of each non-empty bin."""
    counts = Counter(min(int(a / width), round(1 / width) - 1) for a in accuracies)
    return [(place * width, (place + 1) * width, counts[place]) for place in sorted(counts)]


def legend(keys: Sequence[tuple[str, str]]) -> str:
    """The legend of a figure."""
    return f'<p class="keys">{"".join(f"<span><i class={kind!r}></i>{words}</span>" for kind, words in keys)}</p>'


def network_facts(source: Source, classifier: Classifier, result: Generalization, row: dict | None) -> str:
    """Facts about the network, what was assumed, and the reader's notes."""
    network, graph = classifier.network, classifier.graph
    parts = [architecture_words(graph.architecture) if graph else f"{network.parameters:,} weights"]
    parts += [f"probably trained on {image_title(result.images)}"] * bool(
        result.images and result.typical and classifier.fault is None
    )
    line = f"<b>{escape(source.name)}</b>: {escape(', '.join(parts), 300)}."
    notes = "".join(f"<br>{escape(note, 600)}" for note in classifier.notes)
    return line + _training(row) + assumed_line(classifier) + notes


def assumed_line(classifier: Classifier) -> str:
    """What was assumed, in one line; "" if nothing was."""
    if not classifier.assumed or classifier.fault is not None:
        return ""
    return f'<br><span class="assumed">Assumed: {escape("; ".join(classifier.assumed), 600)}.</span>'


def assumed_block(classifier: Classifier) -> str:
    """Where the graph comes from, and what was assumed, for the card with the drawing."""
    identified = classifier.identified
    if identified is None:
        return (
            '<p class="line">This network is from the zoo, so its graph is known.</p>'
            if classifier.setting
            else ""
        )
    if identified.chosen:
        how = "This is the reading that you chose."
    elif identified.declared:
        how = "The file contains its graph, which is drawn here."
    elif classifier.fault is not None:
        how = f"The file does not say how its layers are connected. {classifier.fault} This is one graph that fits."
    else:
        how = (
            "The file does not say how its layers are connected. This graph gives the best answers on labelled "
            "training pictures."
        )
    items = "".join(f"<li>{escape(words, 300)}</li>" for words in classifier.assumed)
    return f'<p class="line">{escape(how, 600)}</p>' + (
        f'<ul class="assumptions">{items}</ul>' if items else ""
    )


def _training(row: dict | None) -> str:
    if row is None or row.get("optimizer") is None:
        return ""
    optimizer = OPTIMIZER_TITLES.get(row["optimizer"], escape(row["optimizer"]))
    shuffled = row.get("shuffled_labels")
    labels = f", {shuffled:.0%} of their labels random" if shuffled else ""
    return (
        f" Trained with {optimizer} at a learning rate of {row['learning_rate']:.2g} for {row['steps']:,} steps, on "
        f"{row['train_share']:.0%} of the training images{labels}."
    )


def symmetry_line(check: SymmetryCheck) -> str:
    """What changed and what did not, in numbers and a sentence."""
    before, after = check.prediction_before, check.prediction_after
    what = "changed places" if check.how == "permute" else "were rescaled by up to ten times"
    same = check.difference < 1e-3 and check.output_difference < SAME
    outcome = "stayed the same" if same else "<b>did not stay the same</b>"
    outputs = number(
        small_difference(check.output_difference), "largest difference of outputs, relative to the largest"
    )
    return (
        f'<dl class="numbers">{number(f"{check.moved:,} of {check.total:,}", "weights that changed")}'
        f"{number(f'{_guess(before)} → {_guess(after)}', 'predicted before and after')}"
        f"{number(small_difference(check.difference), 'largest difference, of accuracies from 0 to 1')}"
        f'{outputs}</dl><p class="line">The weights {what}; the network’s outputs and the prediction {outcome}.</p>'
    )


def _guess(result: Generalization) -> str:
    number = "none" if math.isnan(result.test_accuracy) else "unlike the zoo"
    return f"{100 * result.test_accuracy:.3f}%" if result.typical else number


NOT_YET = '<div class="not-yet low">Press a button: the weights change, the prediction stays the same.</div>'
WEIGHTS_LEGEND = (
    '<span class="minus"></span> below zero <span class="plus"></span> above, white at zero. A row of kernels per '
    "neuron (several neurons a row if they have up to four input channels), with a histogram of the weights below. "
    "Each layer has its own colour range, written above it."
)
