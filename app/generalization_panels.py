"""What the Generalization tab says, as HTML. Every string that a visitor or a file may have written is escaped here."""

import math
from collections import Counter
from collections.abc import Sequence

from app.actions import Source
from app.batch import BatchRow
from app.generalization import SAME, Disguised, Measured, Predicted, ZooPoint
from app.generalization_figures import Dot, Span, interval_strip, scatter
from app.panels import as_table, escape, networks_grid, number, tiny
from nfn.generalization import Generalization
from nfn.reader.errors import ONNX_EXPORT
from zoo.classifiers import UNUSUAL, Classifier

IMAGE_TITLES = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
}
ACTIVATION_TITLES = {
    "relu": "ReLU", "tanh": "tanh", "gelu": "GELU", "silu": "SiLU", "leaky_relu": "LeakyReLU", "elu": "ELU",
    "sigmoid": "sigmoid", "relu6": "ReLU6", "selu": "SELU", "softplus": "softplus", "hardswish": "Hardswish",
    "mish": "Mish",
}  # fmt: skip
OPTIMIZER_TITLES = {"sgd": "SGD", "adam": "Adam", "rmsprop": "RMSprop"}

RESTS_ON = (
    "It rests on the weights, and on how the network answers some training pictures that the predictor carries with "
    "it; no test image is used."
)
INTERVAL = (
    "The interval is as wide as it had to be to hold for {} of networks like the zoo’s that were kept aside."
)
UNLIKE = (
    "No number to be trusted: this network resembles none of those that the predictor learned from, so nothing is "
    "known of how far off it is. Untrained networks, noise, other architectures and misread inputs end here. "
    "Measuring still works."
)


NEXT_STEP = (
    "<p>Say below how your upload is to be read, or bring a file that holds its graph, which this line writes:</p>"
    f"<pre><code>{escape(ONNX_EXPORT, 200)}</code></pre>"
)


def image_title(images: str) -> str:
    """What visitors call an image set."""
    return IMAGE_TITLES.get(images, escape(images))


def percent(share: float) -> str:
    """A share, 0 to 1, as 41.2%."""
    return f"{100 * share:.1f}%"


def networks_table(points: Sequence[ZooPoint]) -> str:
    """The zoo's networks by measured accuracy, the best first; `networks.js` sorts and picks."""
    ordered = sorted(points, key=lambda point: point.measured, reverse=True)
    best = max((point.measured for point in points), default=1.0)
    heads = [
        ("", "Network"),
        (' aria-sort="descending"', "Measured"),
        ("", "Predicted"),
        ("", "Trained with"),
    ]
    return networks_grid(heads, "".join(_row(point, best) for point in ordered))


def _row(point: ZooPoint, best: float) -> str:
    number = point.zoo_id.rpartition("/")[2]
    bar = f'<span class="track"><span style="width:{100 * point.measured / best:.1f}%"></span></span>'
    guess = percent(point.predicted) if point.typical else "unlike the zoo"
    return (
        f'<tr data-zoo-id="{escape(point.zoo_id)}"><td data-value="{escape(number)}">No. {escape(number)}</td>'
        f'<td data-value="{point.measured:.4f}">{bar}{percent(point.measured)}</td>'
        f'<td data-value="{point.predicted:.4f}">{guess}</td><td>{_recipe(point.row)}</td></tr>'
    )


def _recipe(row: dict) -> str:
    activation = ACTIVATION_TITLES.get(row["activation"], escape(row["activation"]))
    optimizer = row.get("optimizer")
    return (
        activation
        if optimizer is None
        else f"{activation}, {OPTIMIZER_TITLES.get(optimizer, escape(optimizer))}"
    )


def accuracy(predicted: Predicted, measured: Measured | None, zoo: Sequence[float], facts: str) -> str:
    """The predicted accuracy with its interval, as a number and as a picture; or why there is none."""
    result, truth = predicted.result, truth_of(predicted, measured)
    guess = guess_of(result)
    strip = interval_strip(guess, truth, zoo, _strip_says(result, truth))
    head = _believed(predicted) if result.typical else _withheld(result)
    known = _truth(result, truth, predicted, measured)
    rests = f"{RESTS_ON} {INTERVAL.format(f'{result.coverage:.0%}')}" if result.typical else RESTS_ON
    return (
        f'<div class="accuracy verdict"><div class="split">{head}{known}</div>{strip}{_strip_legend(result, truth)}'
        f"{_strip_table(zoo, guess, truth)}"
        f'<p class="rests">{rests}</p><p class="facts">{facts}</p></div>'
    )


def guess_of(result: Generalization) -> Span | None:
    """The prediction as a span; None where it is not to be believed."""
    return Span(result.test_accuracy, result.low, result.high) if result.typical else None


def truth_of(predicted: Predicted, measured: Measured | None) -> Span | None:
    """What was measured here, else what the zoo knows, else None."""
    if measured is not None:
        return Span(measured.accuracy, measured.low, measured.high)
    known = predicted.measured
    return None if known is None else Span(known, known, known)


def _believed(predicted: Predicted) -> str:
    result = predicted.result
    nine = f"{10 * result.coverage:.0f} of 10"
    return (
        f'<div class="known"><p class="caption">Predicted</p><p class="number">{percent(result.test_accuracy)}</p>'
        f"<p>between <b>{percent(result.low)}</b> and <b>{percent(result.high)}</b> in {nine} cases</p>"
        f'<p class="standing">{_standing(predicted)}</p></div>'
    )


def _standing(predicted: Predicted) -> str:
    title, share = image_title(predicted.result.images), predicted.percentile
    if share is None:
        return f"Looks trained on {title}; the zoo has no networks to compare it with."
    return f"Better than <b>{share:.0f}%</b> of the zoo’s small networks trained on {title}."


def _withheld(result: Generalization) -> str:
    """Why there is no number, and the next step; the number that is not to be trusted is struck through."""
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
        else "on all test images, when the zoo was built"
    )
    return (
        f'<div class="truth"><p class="caption">Measured</p><p class="number">{percent(truth.value)}</p><p>{how}</p>'
        f'<p class="standing">{_agreement(result, truth)}</p></div>'
    )


def _agreement(result: Generalization, truth: Span) -> str:
    """Whether the measured accuracy lies in the predicted interval, in words."""
    if not result.typical:
        return "There is no interval for it to lie in."
    off = 100 * abs(truth.value - result.test_accuracy)
    where = "inside" if result.low <= truth.value <= result.high else "<b>outside</b>"
    return f"{off:.1f} points from the prediction, {where} the interval."


def _strip_says(result: Generalization, truth: Span | None) -> str:
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
    """The strip in numbers: how many of the zoo's networks reach what, the prediction, and the truth."""
    rows = [
        (f"{low:.0%} to {high:.0%}", f"{count:,} of the zoo’s networks") for low, high, count in zoo_bins(zoo)
    ]
    rows += (
        [(f"{percent(guess.low)} to {percent(guess.high)}", f"predicted: {percent(guess.value)}")]
        if guess
        else []
    )
    rows += [(percent(truth.value), "measured")] if truth else []
    return as_table(["test accuracy", "what is there"], rows)


def zoo_bins(accuracies: Sequence[float], width: float = 0.05) -> list[tuple[float, float, int]]:
    """(low, high, how many accuracies lie there), for the bins that hold some."""
    counts = Counter(min(int(a / width), round(1 / width) - 1) for a in accuracies)
    return [(place * width, (place + 1) * width, counts[place]) for place in sorted(counts)]


def legend(keys: Sequence[tuple[str, str]]) -> str:
    """What the marks of a figure mean."""
    return f'<p class="keys">{"".join(f"<span><i class={kind!r}></i>{words}</span>" for kind, words in keys)}</p>'


def network_facts(source: Source, classifier: Classifier, result: Generalization, row: dict | None) -> str:
    """What is known of the network itself, what was assumed of it, and the reader's notes."""
    network, activation = classifier.network, classifier.activation
    parts = [f"{network.parameters:,} weights"]
    parts += [ACTIVATION_TITLES.get(activation, escape(activation))] * bool(activation)
    parts += [f"it looks trained on {image_title(result.images)}"] * bool(
        result.images and classifier.fault is None
    )
    line = f"<b>{escape(source.name)}</b>: {', '.join(parts)}."
    notes = "".join(f"<br>{escape(note, 300)}" for note in network.notes)
    return line + _training(row) + assumed_line(classifier) + notes


def assumed_line(classifier: Classifier) -> str:
    """What was taken for granted, in one line; "" where nothing was."""
    if not classifier.assumed or classifier.fault is not None:
        return ""
    return f'<br><span class="assumed">Assumed: {escape("; ".join(classifier.assumed), 600)}.</span>'


def assumed_block(classifier: Classifier) -> str:
    """How it is known what the network computes, and what was assumed, for the card with the drawing."""
    found = classifier.identified
    if found is None:
        return (
            '<p class="line">All of it is known: the network is of the zoo.</p>' if classifier.setting else ""
        )
    if found.told:
        how = "This is the reading that you chose."
    elif found.declared:
        how = "The file holds its graph, which is drawn as it is."
    elif classifier.fault is not None:
        how = f"The file does not say how its layers are connected. {classifier.fault} Drawn is one way that fits."
    else:
        how = "The file does not say how its layers are connected. This reading answers known training pictures best."
    items = "".join(f"<li>{escape(words, 300)}</li>" for words in classifier.assumed)
    return f'<p class="line">{escape(how, 600)}</p>' + (
        f'<ul class="assumptions">{items}</ul>' if items else ""
    )


def _training(row: dict | None) -> str:
    if row is None or row.get("optimizer") is None:
        return ""
    optimizer = OPTIMIZER_TITLES.get(row["optimizer"], escape(row["optimizer"]))
    return (
        f" Trained with {optimizer} at a learning rate of {row['learning_rate']:.2g} for {row['steps']:,} steps, on "
        f"{row['train_share']:.0%} of the training images."
    )


def zoo_scatter(points: Sequence[ZooPoint], predicted: Predicted, measured: Measured | None) -> str:
    """Predicted against measured for the zoo's networks, with the chosen network on it."""
    dots = [
        Dot(p.zoo_id, p.measured, Span(p.predicted, p.low, p.high), _dot_label(p))
        for p in points
        if p.typical
    ]
    guess, truth = guess_of(predicted.result), truth_of(predicted, measured)
    says = f"Predicted against measured accuracy of {len(dots)} networks of the zoo. {scatter_line(points)}"
    keys = [("dot", "a network of the zoo: click to choose it"), ("diagonal", "predicted = measured")]
    keys += [("band", "this network’s interval")] * (guess is not None)
    keys += [("measured", "this network")] * (truth is not None)
    axes = '<p class="axis up">predicted ↑</p><p class="axis across">measured →</p>'
    drawing = f'{scatter(dots, guess, truth, says)}{axes}<div class="tip" role="status" hidden></div>'
    return f'<div class="plot">{drawing}</div>{legend(keys)}{_scatter_table(points)}'


def _scatter_table(points: Sequence[ZooPoint]) -> str:
    """The scatter plot in numbers, the networks that are not in it included."""
    rows = [
        (p.zoo_id, percent(p.measured), *map(percent, (p.predicted, p.low, p.high)))
        if p.typical
        else (p.zoo_id, percent(p.measured), "unlike the zoo", "", "")
        for p in points
    ]
    return as_table(["network", "measured", "predicted", "from", "to"], rows)


def _dot_label(point: ZooPoint) -> str:
    number = point.zoo_id.rpartition("/")[2]
    return f"No. {number}: predicted {percent(point.predicted)}, measured {percent(point.measured)}"


def scatter_line(points: Sequence[ZooPoint]) -> str:
    """How far off the predictions are for the networks in the plot, counted from them."""
    believed = [point for point in points if point.typical]
    if not believed:
        return "The zoo has no networks to compare with."
    off = sum(abs(point.predicted - point.measured) for point in believed) / len(believed)
    held = sum(point.low <= point.measured <= point.high for point in believed)
    return (
        f"On the {len(believed):,} networks of the plot, none of which the predictor learned from, it is off by "
        f"{100 * off:.1f} points on average; {held:,} of them ({held / len(believed):.0%}) lie in their interval."
    )


def measuring(measured: Measured, images: str) -> str:
    """How far the measuring has come."""
    return (
        f'<div class="line" role="status"><progress max="{measured.total}" value="{measured.seen}" '
        'aria-label="images seen"></progress>'
        f"<p>{measured.seen:,} of {measured.total:,} {image_title(images)} images seen, "
        f"{measured.right:,} of them named rightly.</p></div>"
    )


def measured_line(measured: Measured, images: str, predicted: Predicted) -> str:
    """What was measured, with its interval, and how it compares."""
    found = (
        f'<p><b class="big">{percent(measured.accuracy)}</b> on {measured.total:,} test images of '
        f"{image_title(images)}: {measured.right:,} named rightly. With so many images the true accuracy is between "
        f"{percent(measured.low)} and {percent(measured.high)} (95%). Took {measured.seconds:.2f} s.</p>"
    )
    return f'<div class="line" role="status">{found}<p>{_verdict(measured, images, predicted)}</p></div>'


def _verdict(measured: Measured, images: str, predicted: Predicted) -> str:
    result = predicted.result
    if images != result.images:
        return (
            f"The prediction was for {image_title(result.images)}, which these images are not: the two numbers "
            "cannot be compared, and the plot stays as it is."
        )
    if not result.typical:
        return "There was no prediction to hold it against."
    where = "meet" if measured.low <= result.high and result.low <= measured.high else "<b>do not meet</b>"
    return f"Predicted: {percent(result.test_accuracy)}. The two intervals {where}."


def symmetry_line(check: Disguised) -> str:
    """What moved and what did not, in numbers and a sentence."""
    before, after = check.prediction_before, check.prediction_after
    what = "changed places" if check.how == "permute" else "grew and shrank by up to ten times"
    stayed = "stayed" if check.difference < 1e-3 and check.output_difference < SAME else "<b>did not stay</b>"
    return (
        f'<dl class="numbers">{number(f"{check.moved:,} of {check.total:,}", "weights that are not what they were")}'
        f"{number(f'{_guess(before)} → {_guess(after)}', 'predicted before and after')}"
        f"{number(tiny(check.difference), 'largest difference, of accuracies from 0 to 1')}"
        f"{number(tiny(check.output_difference), 'largest difference of outputs, as a share of the largest')}</dl>"
        f'<p class="line">The weights {what}; the network’s outputs and the prediction {stayed}.</p>'
    )


def _guess(result: Generalization) -> str:
    number = "none" if math.isnan(result.test_accuracy) else "unlike the zoo"
    return f"{100 * result.test_accuracy:.3f}%" if result.typical else number


BATCH_HEADERS = ["file", "predicted %", "from %", "to %", "images", "activation", "remark"]


def batch_table(rows: Sequence[BatchRow]) -> list[list[object]]:
    """A row per network; numbers where they are to be believed, and a remark where they are not."""
    return [_batch_row(row) for row in rows]


def _batch_row(row: BatchRow) -> list[object]:
    shares = (row.predicted, row.low, row.high)
    numbers = [None if x is None or not row.typical else round(100 * x, 1) for x in shares]
    remark = row.error or ("" if row.typical else "unlike the zoo: no number to be trusted")
    activation = ACTIVATION_TITLES.get(row.activation, row.activation)
    return [row.name, *numbers, IMAGE_TITLES.get(row.images, row.images), activation, remark]


def batch_line(rows: Sequence[BatchRow]) -> str:
    """How many networks were read, and how many were not."""
    failed, unlike = sum(bool(row.error) for row in rows), sum(row.typical is False for row in rows)
    verb = "is" if unlike == 1 else "are"
    rest = [f"{failed:,} could not be read"] * bool(failed) + [f"{unlike:,} {verb} unlike the zoo"] * bool(
        unlike
    )
    read = f"{len(rows) - failed - unlike:,} of {len(rows):,} networks have a prediction"
    return f'<p class="line" role="status">{"; ".join([read, *rest])}.</p>'


def batch_progress(done: int, files: int) -> str:
    """How far a batch has come, in files."""
    return (
        f'<div class="line" role="status"><progress max="{files}" value="{done}" aria-label="files read"></progress>'
        f"<p>{done:,} of {files:,} files read.</p></div>"
    )


NOT_YET = '<div class="not-yet low">Press the button: the weights will move, the prediction will not.</div>'
NO_BATCH = '<div class="not-yet">One row per network will stand here, to sort and to take away as CSV.</div>'
WEIGHTS_LEGEND = (
    '<span class="minus"></span> below zero <span class="plus"></span> above, white at zero. A row of kernels per '
    "neuron (the first layer, which has one kernel per neuron, is laid out as a square); under it, how many weights "
    "have which value. Each layer has its own colour range, written above it."
)
