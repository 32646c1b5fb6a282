"""What the Generalization tab's widgets show: a source and the controls in, values for the widgets out."""

import random
from collections.abc import Iterator
from typing import Any

import gradio as gr

from app import batch, generalization, panels
from app import generalization_panels as said
from app.actions import RequestError, Source, zoo
from app.generalization import Measured, Predicted, ZooPoint
from app.generalization_figures import layer_figures
from app.graph_drawing import graph_drawing
from app.sources import from_request
from app.widgets import keep_files, marked
from nfn.architecture.axes import axes_of
from nfn.reader.errors import GRAPH_ADVICE


def image_choices() -> list[tuple[str, str]]:
    """(title, name) of the image sets that the zoo's classifiers were trained on."""
    names = [zoo().collection(info.name).images for info in generalization.classifier_collections()]
    return [(said.image_title(name), name) for name in dict.fromkeys(names)]


def measure_choices() -> list[tuple[str, str]]:
    """(title, name) of the image sets of which test images are there to measure on."""
    return [(title, name) for name, title in said.IMAGE_TITLES.items()]


def images_of(source: Source) -> str | None:
    """The image set that a zoo network was trained on; None for an upload."""
    return (
        None if source.zoo_id is None else zoo(source.zoo).collection(source.zoo_id.partition("/")[0]).images
    )


def show_networks(images: str, source: Source):
    """The zoo's networks on one image set, the chosen one marked if it is one of them."""
    table = said.networks_table(generalization.zoo_points(images))
    return marked(table, None if source.zoo else source.zoo_id)


def picked(event: gr.SelectData) -> Source:
    """The network that was clicked in the table or in the plot."""
    source = from_request(None, event.value)
    generalization.open_classifier(source)
    return source


def uploaded(path: str | None, part: str, images: str, activation: str, pixels: str) -> Source:
    """The uploaded file, read as it says, or as the visitor says."""
    source = generalization.read_as(generalization.open_upload(path, part), images, activation, pixels)
    generalization.predict(source)
    return source


def show_result(source: Source):
    """The accuracy card, the plot, and the measuring controls as they are before measuring."""
    predicted, images = generalization.predict(source), images_of(source)
    choice = gr.Radio(value=images or predicted.result.images or None, visible=images is None)
    line = said.scatter_line(_points(predicted))
    return (
        _accuracy(source, predicted),
        _plot(source, predicted),
        line,
        choice,
        *_measuring("", running=False),
    )


def _points(predicted: Predicted) -> list[ZooPoint]:
    return generalization.zoo_points(predicted.result.images)


def _accuracy(source: Source, predicted: Predicted, measured: Measured | None = None) -> str:
    classifier = generalization.classifier_of(source)
    row = None if source.zoo_id is None else zoo(source.zoo).row(source.zoo_id)
    facts = said.network_facts(source, classifier, predicted.result, row)
    return said.accuracy(predicted, measured, [point.measured for point in _points(predicted)], facts)


def _plot(source: Source, predicted: Predicted, measured: Measured | None = None) -> str:
    value = said.zoo_scatter(_points(predicted), predicted, measured)
    return marked(value, None if source.zoo else source.zoo_id)


def _measuring(line: str, running: bool):
    return line, gr.Button(interactive=not running), gr.Button(visible=running)


def measure(source: Source, images: str) -> Iterator[tuple[Any, ...]]:
    """Measure step by step: the accuracy card, the plot, the line under the button, and the buttons."""
    images, measured = images_of(source) or images, None
    for measured in generalization.measure_accuracy(source, images):
        yield gr.skip(), gr.skip(), *_measuring(said.measuring(measured, images), running=True)
    if measured is None:
        raise RequestError("There are no test images to measure on.")
    predicted = generalization.predict(source)
    line = said.measured_line(measured, images, predicted)
    if images != predicted.result.images:
        yield gr.skip(), gr.skip(), *_measuring(line, running=False)
    else:
        shown = _accuracy(source, predicted, measured), _plot(source, predicted, measured)
        yield *shown, *_measuring(line, running=False)


def stopped():
    """The controls after "Cancel"."""
    return _measuring('<p class="line" role="status">Stopped; nothing was measured.</p>', running=False)


def show_weights(source: Source):
    """The weights as they came, an empty place for the disguise, and a table."""
    network = generalization.open_classifier(source)
    return layer_figures(network.tensors()), said.NOT_YET, "", panels.layer_rows(network)


def show_graph(source: Source) -> tuple[str, gr.Dropdown]:
    """What the network computes, as a drawing, and other ways to read it; or why that is not known."""
    classifier = generalization.classifier_of(source)
    if classifier.graph is None:
        unknown = ValueError(f"What this network computes is not known. {GRAPH_ADVICE}")
        return panels.refusal(unknown), gr.Dropdown(visible=False)
    architecture, readings = classifier.graph.architecture, classifier.readings
    drawing = f"{said.assumed_block(classifier)}{graph_drawing(architecture, axes_of(architecture))}"
    return drawing, gr.Dropdown(list(readings), value=next(iter(readings), None), visible=bool(readings))


def show_disguise(how: generalization.Disguise, source: Source):
    """The disguised weights, and the numbers; or why there are none."""
    try:
        check = generalization.check_symmetry(source, random.randrange(2**31), how)
    except RequestError as error:
        return "", panels.refusal(error)
    return layer_figures(generalization.known_graph(check.after).tensors), said.symmetry_line(check)


def show_batch(paths: list[str] | None) -> Iterator[tuple[Any, ...]]:
    """How far the batch has come; at last nothing in the place of the table, the table, a sentence, and the CSV."""
    files, last = paths or [], []
    for done, rows in enumerate(batch.predict_in_turn(files), 1):
        yield gr.skip(), gr.skip(), said.batch_progress(done, len(files)), gr.skip(), gr.Button(visible=True)
        last = rows
    yield _batch_result(last)


def _batch_result(rows: list[batch.BatchRow]) -> tuple[Any, ...]:

    def write(folder):
        (folder / "predictions.csv").write_text(batch.to_csv(rows), encoding="utf-8")
        return [folder / "predictions.csv"]

    (file,) = keep_files(write)
    return (
        "",
        gr.Dataframe(value=said.batch_table(rows), visible=True),
        said.batch_line(rows),
        gr.DownloadButton(value=file, visible=True),
        gr.Button(visible=False),
    )


def batch_stopped():
    """The line and the button after "Cancel"."""
    return '<p class="line" role="status">Stopped; what was there before stays.</p>', gr.Button(visible=False)
