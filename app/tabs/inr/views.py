"""The widget values of the Pictures tab for a source and the controls."""

import random
from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.networks.source import Source
from app.networks.zoos import zoo_at
from app.page.figures import to_pixels
from app.page.html import error_line, layer_rows
from app.page.inbox import to_inbox
from app.page.source_text import from_request, to_text
from app.page.widgets import inline_image, store_files, store_picture, with_selection
from app.runtime.errors import RequestError
from app.runtime.low_priority import run_at_low_priority
from app.tabs.inr import actions, html, own_picture, readers
from app.tabs.inr.edit import edit, save_edit
from app.tabs.inr.figures import omitted_note, weight_heatmaps, weights_picture
from app.tabs.inr.gallery import gallery_html
from app.tabs.inr.symmetry import Symmetry, check_symmetry
from nfn.siren import native_shape
from zoo.pictures import shrink

SMOOTH = 256
"""Pixels of the longest side of the first pictures; between the original pixels, the network itself interpolates."""


def show_gallery(collection: str, source: Source) -> str:
    """The pictures of a collection, with the chosen network selected if it is one of them."""
    return with_selection(gallery_html(collection), None if source.zoo else source.zoo_id)


def collection_of(source: Source, default: str) -> str:
    """The collection of this app's zoo that contains the network; `default` if none does."""
    return source.zoo_id.partition("/")[0] if source.zoo_id and source.zoo == "" else default


def picked_source(event: gr.SelectData) -> Source:
    """The network whose picture was clicked."""
    source = from_request(None, event.value)
    actions.open_network(source)
    return source


def uploaded_source(
    path: str | None, part: str, omega: str, coordinates: str, places: str, pixels: str, output: str
) -> Source:
    """The uploaded file, read with the visitor's choices."""
    return actions.open_upload(
        path,
        part,
        omega=omega,
        coordinates=coordinates,
        coordinate_range=places,
        pixels=pixels,
        output=output,
    )


def fit_own_picture(editor: dict[str, Any] | None, size: str, side: int) -> Iterator[list[Any]]:
    """Fit the picture of an editor; yield picture, line, both buttons and, at the end, the network for the inbox."""
    image = (editor or {}).get("composite")
    if image is None or image.getextrema()[-1][1] == 0:
        yield [gr.skip(), error_line(RequestError("Upload or draw a picture first.")), *[gr.skip()] * 3]
        return
    for number, fitted in enumerate(run_at_low_priority(own_picture.fit(shrink(image, side), size))):
        progress = [store_picture(to_pixels(fitted.progress.picture)), html.fit_line(fitted)]
        if not fitted.done:
            yield [*progress, *([gr.skip()] * 2 if number else _fit_buttons(running=True)), gr.skip()]
            continue
        (path,) = store_files(lambda folder: [own_picture.save(fitted, folder)])  # noqa: B023
        yield [*progress, *_fit_buttons(running=False), to_inbox(to_text(Source(path=path)))]


def _fit_buttons(running: bool) -> list[Any]:
    return [gr.Button(visible=not running), gr.Button(visible=running)]


def show_stopped() -> list[Any]:
    """The line and the buttons after "Cancel"."""
    return ['<p class="line" role="status">Stopped.</p>', *_fit_buttons(running=False)]


def show_verdict(source: Source, domain: str):
    """The picture, its weights, and the HTML with label, bars and facts."""
    network = actions.open_network(source)
    label = None if source.zoo_id is None else zoo_at(source.zoo).row(source.zoo_id)["label"]
    facts = html.network_facts(source, network, label)
    zoom = actions.largest_zoom(network, max(1, SMOOTH // max(native_shape(network))))
    picture = store_picture(to_pixels(actions.draw(network, zoom)))
    weights = store_picture(weights_picture(network))
    readings = readers.read_both(source, domain)
    negative = actions.classify_negative(network, readings.best.result)
    second = readers.weights_line(readings)
    return picture, weights, html.verdict(readings.best, domain, facts, second, negative)


def show_edit(source: Source, style: str, strength: float):
    """Before and after, the reference, a line on their difference, and two files; or why there is no edit."""
    try:
        edited = edit(source, style, strength)
    except RequestError as error:
        no_file = gr.DownloadButton(value=None, interactive=False)
        return None, None, None, error_line(error), no_file, no_file
    before, after, reference = (
        store_picture(to_pixels(x))
        for x in (edited.result.before, edited.result.after, edited.result.reference)
    )
    files = _, preview = store_files(lambda folder: save_edit(source, edited, folder))
    buttons = [gr.DownloadButton(value=file, interactive=True) for file in files]
    line = html.edit_line(edited, actions.classify(source).result)
    return preview, (before, after), reference, line, *buttons


def show_zoom(source: Source, style: str, strength: float, zoom: int):
    """Both networks at `zoom` times their native resolution, as far as they can be drawn and edited, and bicubic."""
    network = actions.open_network(source)
    try:
        drawn = actions.draw_zoomed(network, zoom)
    except RequestError as error:
        return None, None, None, error_line(error)
    height, width = drawn.shape[1:]
    bicubic = actions.enlarge(actions.draw(network), zoom, (height, width))
    line = html.zoom_line(native_shape(network), zoom, (height, width))
    try:
        edited = to_pixels(actions.draw_zoomed(edit(source, style, strength).result.network, zoom))
    except RequestError:
        edited = None  # the edit card says why
    pictures = (to_pixels(drawn), to_pixels(bicubic), edited)
    files = [None if picture is None else store_picture(picture) for picture in pictures]
    classes = ["picture", "pixels"] if zoom == 1 else ["picture"]  # hard edges at the native resolution only
    return *(gr.Image(value=file, elem_classes=classes) for file in files), line


def show_weights(source: Source, domain: str):
    """The original weights, their picture, an empty place for the permuted copy, and the button for attribution."""
    network = actions.open_network(source)
    image = inline_image(to_pixels(actions.draw(network)), "the picture that these weights draw")
    note = html.drawn_and_read(image, actions.classify(source, domain).result, omitted_note(network))
    maps = weight_heatmaps(network, "Original weights")
    attribution = gr.Button(visible=readers.reader_of(network, domain) is not None)
    return maps, note, "", html.NOT_YET, "", layer_rows(network), attribution


def show_symmetry(how: Symmetry, source: Source, domain: str):
    """The permuted or flipped weights, their picture, and the numbers."""
    check = check_symmetry(source, how, random.randrange(2**31), domain)
    image = inline_image(to_pixels(actions.draw(check.after)), "the picture that the changed weights draw")
    maps = weight_heatmaps(check.after, "Changed weights")
    return maps, html.drawn_and_read(image, check.verdict_after), html.symmetry_line(check)


def show_attribution(source: Source, domain: str):
    """How much each weight contributed to the answer from weights alone; or why that is unknown."""
    try:
        attribution = readers.attribute(source, domain)
    except RequestError as error:
        return "", "", error_line(error)
    maps = weight_heatmaps(attribution.network, "What each weight contributed")
    return maps, readers.ATTRIBUTION, readers.attribution_line(attribution)
