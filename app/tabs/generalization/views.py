"""The widget values of the Accuracy tab for a source and the controls."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from app.networks.source import Source
from app.networks.zoos import zoo_at
from app.page.alerts import USER_ERRORS, warn
from app.page.figures import weights_square
from app.page.html import error_line, layer_rows
from app.page.source_text import from_request
from app.page.widgets import inline_image, store_files, with_selection
from app.runtime.errors import RequestError
from app.tabs.generalization import (
    actions,
    batch,
    batch_html,
    html,
    measured_html,
    measuring,
    readers,
    zoo_html,
)
from app.tabs.generalization.actions import Predicted
from app.tabs.generalization.figures import layer_figures
from app.tabs.generalization.graph_drawing import graph_drawing
from app.tabs.generalization.symmetry import Symmetry, check_symmetry
from app.tabs.generalization.zoo_points import ZooPoint, zoo_points
from nfn.architecture.axes import axes_of
from nfn.network import Network
from nfn.reader.errors import GRAPH_ADVICE
from zoo.measure import Measured


def image_choices() -> list[tuple[str, str]]:
    """(title, name) of the image sets that the zoo's classifiers were trained on."""
    names = [zoo_at().collection(info.name).images for info in actions.classifier_collections()]
    return [(html.image_title(name), name) for name in dict.fromkeys(names)]


def measure_choices() -> list[tuple[str, str]]:
    """(title, name) of the image sets with bundled test images."""
    return [(title, name) for name, title in html.IMAGE_TITLES.items()]


def images_of(source: Source) -> str | None:
    """The image set that a zoo network was trained on; None for an upload."""
    return (
        None
        if source.zoo_id is None
        else zoo_at(source.zoo).collection(source.zoo_id.partition("/")[0]).images
    )


def show_networks(images: str, source: Source):
    """The zoo's networks on one image set, with the chosen one selected if it is one of them."""
    table = zoo_html.networks_table(zoo_points(images))
    return with_selection(table, None if source.zoo else source.zoo_id)


def best_of(images: str) -> str:
    """The zoo id of the most accurate network on an image set, which is listed first."""
    return max(zoo_points(images), key=lambda point: point.measured).zoo_id


def picked_source(event: gr.SelectData) -> Source:
    """The network that was clicked in the table or in the plot."""
    source = from_request(None, event.value)
    actions.open_classifier(source)
    return source


def uploaded_source(path: str | None, part: str, images: str, activation: str, pixels: str) -> Source:
    """The uploaded file, read as it declares or as the visitor chose."""
    source = actions.read_as(actions.open_upload(path, part), images, activation, pixels)
    actions.predict(source)
    return source


def show_result(source: Source):
    """The accuracy card, the plot, and the measuring controls in their initial state."""
    predicted, images = actions.predict(source), images_of(source)
    choice = gr.Radio(value=images or predicted.result.images or None, visible=images is None)
    line = zoo_html.scatter_line(_points(predicted))
    return (
        _accuracy(source, predicted),
        _plot(source, predicted),
        line,
        choice,
        *_measuring("", running=False),
    )


def _points(predicted: Predicted) -> list[ZooPoint]:
    return zoo_points(predicted.result.images)


def _accuracy(source: Source, predicted: Predicted, measured: Measured | None = None) -> str:
    classifier = actions.classifier_of(source)
    row = None if source.zoo_id is None else zoo_at(source.zoo).row(source.zoo_id)
    facts = html.network_facts(source, classifier, predicted.result, row)
    known = [point.measured for point in _points(predicted)]
    return html.accuracy(predicted, measured, known, facts, _weights_picture(classifier.network))


def _weights_picture(network: Network) -> str:
    weights = [tensor for tensor in network.tensors().values() if tensor.dim() > 1]
    return inline_image(weights_square(weights), "The weights as colours") if weights else ""


def _plot(source: Source, predicted: Predicted, measured: Measured | None = None) -> str:
    value = zoo_html.zoo_scatter(_points(predicted), predicted, measured)
    return with_selection(value, None if source.zoo else source.zoo_id)


def _measuring(line: str, running: bool):
    return line, gr.Button(interactive=not running), gr.Button(visible=running)


def measure(source: Source, images: str, own: str | None) -> Iterator[tuple[Any, ...]]:
    """Measure step by step, on the visitor's own test images if there are any; yield the accuracy card, the plot, the
    line under the button, and the buttons."""
    try:
        yield from _measure(source, images_of(source) or images, own)
    except USER_ERRORS as error:
        warn(error)
        yield gr.skip(), gr.skip(), *_measuring(error_line(error), running=False)


def _measure(source: Source, images: str, own: str | None) -> Iterator[tuple[Any, ...]]:
    trial = measuring.own_images(source, own) if own else measuring.stored_images(source, images)
    measured = None
    for measured in measuring.measure(trial):
        yield gr.skip(), gr.skip(), *_measuring(measured_html.progress(measured, trial), running=True)
    if measured is None:
        raise RequestError("There are no test images to measure on.")
    predicted = actions.predict(source)
    line = measured_html.result(source, measured, trial, predicted)
    if own or images != predicted.result.images:
        yield gr.skip(), gr.skip(), *_measuring(line, running=False)
    else:
        shown = _accuracy(source, predicted, measured), _plot(source, predicted, measured)
        yield *shown, *_measuring(line, running=False)


def show_stopped():
    """The controls after "Cancel"."""
    return _measuring('<p class="line" role="status">Stopped before a result.</p>', running=False)


def show_weights(source: Source):
    """The original weights, an empty place for the permuted copy, a table, and the button for attribution."""
    network = actions.open_classifier(source)
    attribution = gr.Button(visible=readers.takes(source, network))
    return layer_figures(network.tensors()), html.NOT_YET, "", layer_rows(network), attribution


def show_graph(source: Source) -> tuple[str, gr.Dropdown]:
    """The network's graph as a drawing, and other ways to read the file; or why the graph is unknown."""
    classifier = actions.classifier_of(source)
    if classifier.graph is None:
        unknown = ValueError(f"The graph of this network is unknown. {GRAPH_ADVICE}")
        return error_line(unknown), gr.Dropdown(visible=False)
    architecture, readings = classifier.graph.architecture, classifier.readings
    drawing = f"{html.assumed_block(classifier)}{graph_drawing(architecture, axes_of(architecture))}"
    choices = _reading_choices(readings)
    return drawing, gr.Dropdown(choices, value=next(iter(readings), None), visible=bool(readings))


def _reading_choices(readings: Sequence[str]) -> list[tuple[str, str]]:
    """(what is not in all readings, reading) of each."""
    parts = [reading.split("; ") for reading in readings]
    common = set(parts[0]).intersection(*parts) if parts else set()
    own = ("; ".join(part for part in row if part not in common) for row in parts)
    return [(words or reading, reading) for words, reading in zip(own, readings, strict=True)]


def show_symmetry(how: Symmetry, source: Source):
    """The permuted or rescaled weights, and the numbers; or why there are none."""
    try:
        check = check_symmetry(source, random.randrange(2**31), how)
    except RequestError as error:
        return "", error_line(error)
    return layer_figures(actions.require_graph(check.after).tensors), html.symmetry_line(check)


def show_attribution(source: Source):
    """How much each weight contributed to the accuracy from weights alone; or why that is unknown."""
    try:
        attribution = readers.attribute(source)
    except RequestError as error:
        return "", error_line(error)
    maps = layer_figures(attribution.layers, "what each weight contributed")
    return maps, readers.attribution_html(attribution)


def show_batch(paths: list[str] | None) -> Iterator[tuple[Any, ...]]:
    """The progress of the batch; at the end the table, a sentence and the CSV file."""
    files, last = paths or [], []
    for done, rows in enumerate(batch.predict_in_steps(files), 1):
        yield (
            gr.skip(),
            gr.skip(),
            batch_html.batch_progress(done, len(files)),
            gr.skip(),
            gr.Button(visible=True),
        )
        last = rows
    yield _batch_result(last)


def _batch_result(rows: list[batch.BatchRow]) -> tuple[Any, ...]:

    def write(folder):
        (folder / "predictions.csv").write_text(batch.to_csv(rows), encoding="utf-8")
        return [folder / "predictions.csv"]

    (file,) = store_files(write)
    return (
        "",
        gr.Dataframe(value=batch_html.batch_table(rows), visible=True),
        batch_html.batch_line(rows),
        gr.DownloadButton(value=file, visible=True),
        gr.Button(visible=False),
    )


def show_batch_stopped():
    """The line and the button after "Cancel"."""
    return '<p class="line" role="status">Stopped. The previous table stays.</p>', gr.Button(visible=False)
