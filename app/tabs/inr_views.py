"""What the INR tab's widgets show: a source and the controls in, values for the widgets out."""

import random
from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np

from app import actions, own_picture, panels, readers
from app.actions import RequestError, Source
from app.aside import aside
from app.figures import left_out, to_pixels, weight_heatmaps
from app.gallery import thumbnail_files
from app.sources import to_text
from app.tabs.doors import knock
from app.widgets import inline_image, keep_files, keep_picture, plot_data
from nfn.siren import native_size
from zoo.pictures import to_square


def show_gallery(collection: str, source: Source):
    """The pictures of a collection, the chosen network marked if it is one of them."""
    ids = [row["id"] for row in actions.zoo().rows(collection)]
    marked = ids.index(source.zoo_id) if source.zoo_id in ids and source.zoo == "" else None
    return gr.Gallery(value=thumbnail_files(collection), selected_index=marked)


def collection_of(source: Source, otherwise: str) -> str:
    """The collection of this app's zoo that a network is of, for the gallery to show; `otherwise` if it is of none."""
    return source.zoo_id.partition("/")[0] if source.zoo_id and source.zoo == "" else otherwise


def picked(collection: str, number: str) -> Source:
    """The network whose picture was clicked, the `number`th of its collection."""
    rows = actions.zoo().rows(collection)
    if not (number.isdecimal() and number.isascii() and len(number) < 9 and int(number) < len(rows)):
        raise RequestError("The page has lost track of its pictures. Please reload it.")
    return Source(zoo_id=rows[int(number)]["id"])


def uploaded(
    path: str | None, part: str, omega: str, coordinates: str, places: str, pixels: str, output: str
) -> Source:
    """The uploaded file, read the way the visitor says."""
    return actions.open_upload(
        path,
        part,
        omega=omega,
        coordinates=coordinates,
        coordinate_range=places,
        pixels=pixels,
        output=output,
    )


def learn(editor: dict[str, Any] | None, size: str, side: int) -> Iterator[list[Any]]:
    """A fit to the picture of an editor: picture, line, both buttons and, at the end, the network at the tab's door."""
    drawn = (editor or {}).get("composite")
    if drawn is None or drawn.getextrema()[-1][1] == 0:
        raise RequestError("Bring or draw a picture first.")
    for number, fitted in enumerate(aside(own_picture.fit(to_square(drawn, side), size))):
        shown = [keep_picture(to_pixels(fitted.progress.picture)), panels.fit_line(fitted)]
        if not fitted.done:
            yield [*shown, *([gr.skip()] * 2 if number else _fit_buttons(running=True)), gr.skip()]
            continue
        (path,) = keep_files(lambda folder: [own_picture.save(fitted, folder)])  # noqa: B023
        yield [*shown, *_fit_buttons(running=False), knock(to_text(Source(path=path)))]


def _fit_buttons(running: bool) -> list[Any]:
    return [gr.Button(visible=not running), gr.Button(visible=running)]


def stopped() -> list[Any]:
    """The line and the buttons after "Cancel"."""
    return ['<p class="line" role="status">Stopped.</p>', *_fit_buttons(running=False)]


def show_verdict(source: Source, domain: str):
    """The picture at its native resolution; the label, the bars and the facts."""
    network = actions.open_network(source)
    facts = panels.network_facts(source, network, actions.label_in_zoo(source))
    picture = keep_picture(to_pixels(actions.draw(network)))
    readings = readers.read_twice(source, domain)
    return picture, panels.verdict(readings.best, domain, facts, readers.weights_line(readings))


def show_edit(source: Source, style: str, strength: float):
    """Before and after, the reference, a sentence on how close they are, and two files; or why there is no edit."""
    try:
        done = actions.edit(source, style, strength)
    except RequestError as error:
        no_file = gr.DownloadButton(value=None, interactive=False)
        return None, None, panels.refusal(error), no_file, no_file
    before, after, reference = (
        keep_picture(to_pixels(x)) for x in (done.result.before, done.result.after, done.result.reference)
    )
    files = keep_files(lambda folder: actions.save_edit(source, done, folder))
    buttons = [gr.DownloadButton(value=file, interactive=True) for file in files]
    return (before, after), reference, panels.edit_line(done), *buttons


def show_zoom(source: Source, style: str, strength: float, zoom: int):
    """Both networks at `zoom` times their native resolution, as far as they can be drawn and edited."""
    network = actions.open_network(source)
    try:
        original = to_pixels(actions.draw_closely(network, zoom))
        line = panels.zoom_line(native_size(network) * zoom, zoom, original.shape[0])
    except RequestError as error:
        return None, None, panels.refusal(error)
    try:
        edited = to_pixels(actions.draw_closely(actions.edit(source, style, strength).result.network, zoom))
    except RequestError:
        edited = None  # the edit card says why
    return _pixels_or_smooth(original, zoom), _pixels_or_smooth(edited, zoom), line


def _pixels_or_smooth(picture: np.ndarray | None, zoom: int):
    """Hard edges only where a pixel is a pixel of the image."""
    value = None if picture is None else keep_picture(picture)
    return gr.Image(value=value, elem_classes=["picture", "pixels"] if zoom == 1 else ["picture"])


def show_weights(source: Source, domain: str):
    """The weights as they came, what they draw, and an empty place for the disguise."""
    network = actions.open_network(source)
    image = inline_image(to_pixels(actions.draw(network)), "the picture that these weights draw")
    note = panels.drawn_and_read(image, actions.classify(source, domain).result, left_out(network))
    plot = plot_data(weight_heatmaps(network))
    return plot, note, gr.Plot(visible=False), panels.NOT_YET, "", panels.layer_rows(network)


def show_disguise(how: actions.Symmetry, source: Source, domain: str):
    """The disguised weights, what they draw, and the numbers."""
    check = actions.check_symmetry(source, how, random.randrange(2**31), domain)
    image = inline_image(to_pixels(actions.draw(check.after)), "the picture that the disguised weights draw")
    plot = gr.Plot(value=plot_data(weight_heatmaps(check.after)), visible=True)
    return plot, panels.drawn_and_read(image, check.verdict_after), panels.symmetry_line(check)


def show_attribution(source: Source, domain: str):
    """How much each weight moved what weights alone say; or why nothing is known of that."""
    try:
        found = readers.attribute(source, domain)
    except RequestError as error:
        return gr.Plot(visible=False), "", panels.refusal(error)
    plot = gr.Plot(value=plot_data(weight_heatmaps(found.network)), visible=True)
    return plot, readers.ATTRIBUTION, readers.attribution_line(found)
