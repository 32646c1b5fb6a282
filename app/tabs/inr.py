"""The INR tab: pick or upload a SIREN, see what it shows, edit it, zoom in, and permute its neurons."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from app import actions, panels
from app.actions import Source
from app.alerts import alerting
from app.figures import to_pixels, weight_heatmaps
from app.gallery import thumbnail_files
from app.sources import from_text, to_text
from app.widgets import heading, inline_image, keep_files, picture, plot_data, segmented
from nfn.network import SirenConvention
from nfn.operators import STYLES

FIRST = Source(zoo_id=f"{actions.FIRST_COLLECTION}/test/0")
DOMAINS = [("Find it", "auto"), *((title, name) for name, title in panels.DOMAIN_TITLES.items())]
ZOOMS = [("1×", 1), ("4×", 4), ("8×", 8)]


def build_inr_tab(demo: gr.Blocks) -> None:
    """Five cards around one state: the `Source` that was chosen. Each card listens to it."""
    source = gr.Textbox(to_text(FIRST), visible="hidden", label="The chosen network", elem_id="source")

    def on_source(handler: Callable, inputs: list, outputs: list, *more: Any) -> None:
        _on([demo.load, source.change, *more], _with_source(handler), [source, *inputs], outputs)

    with gr.Row(elem_classes="cards"):
        with gr.Column(scale=5, min_width=320, elem_classes="card"):
            _build_chooser(demo, source)
        with gr.Column(scale=7, min_width=320, elem_classes="card"):
            domain = _build_verdict(on_source)
    with gr.Row(elem_classes="card"):
        style, strength = _build_editor(on_source)
    with gr.Row(elem_classes="card"):
        _build_zoom(on_source, style, strength)
    with gr.Row(elem_classes="card"):
        _build_symmetry(on_source, source, domain)


def _with_source(handler: Callable) -> Callable:
    """`handler` with its first argument as the page holds it."""
    return lambda text, *rest: handler(from_text(text), *rest)


def _on(triggers: list, handler: Callable, inputs: list, outputs: list) -> Any:
    return gr.on(triggers, alerting(handler), inputs, outputs, api_visibility="private",
                 show_progress="hidden", trigger_mode="always_last")  # fmt: skip


def _build_chooser(demo: gr.Blocks, source: gr.Textbox) -> None:
    heading("Choose a network", "Each of these pictures <em>is</em> a small neural network: it takes a pixel's coordinates "
            "and answers with its colour. Such a network is called a SIREN, or an INR.")  # fmt: skip
    infos = actions.siren_collections()
    choices = [(info.title.removesuffix(" as SIRENs"), info.name) for info in infos]
    collection = segmented(choices, infos[0].name, "Collection")
    gallery = gr.Gallery(
        label="Networks of the zoo", show_label=False, columns=8, height=330, object_fit="contain", allow_preview=False,
        interactive=False, buttons=[], elem_id="gallery", selected_index=0,
    )  # fmt: skip
    _on([demo.load, collection.change], show_gallery, [collection], [gallery])
    _on([gallery.select], pick, [collection], [source])
    file = gr.File(label="Or upload your own: .safetensors or .pt, up to 20 MB", elem_id="upload", height=110)
    _on([file.upload], open_upload, [file], [source])
    with gr.Accordion("My network is written down differently", open=False):
        _build_convention(file, source)


def _build_convention(file: gr.File, source: gr.Textbox) -> None:
    gr.HTML("<p>Files rarely say how a SIREN is scaled. If your picture looks wrong, say it here.</p>")
    with gr.Row():
        first = gr.Number(30, label="First ω₀", minimum=0.01, maximum=1000, min_width=100)
        hidden = gr.Number(30, label="Hidden ω₀", minimum=0.01, maximum=1000, min_width=100)
    white = segmented([("−1 to 1", "-1"), ("0 to 1", "0")], "-1", "Pixel values, black to white")
    order = segmented(
        [("Row, column", "row_col"), ("Column, row", "col_row")], "row_col", "Order of the coordinates"
    )
    again = gr.Button("Read my upload this way", size="sm")
    _on([again.click], reopen_upload, [file, first, hidden, white, order], [source])


def _build_verdict(on_source: Callable) -> gr.Radio:
    heading("What it shows", "Read from the network alone, without its image or its label.")
    with gr.Row(elem_classes="split"):
        with gr.Column(scale=2, min_width=220):
            image = picture("The picture it holds", elem_id="picture", buttons=["download", "fullscreen"])
        with gr.Column(scale=3, min_width=260):
            text = gr.HTML(elem_id="verdict")
    domain = segmented(DOMAINS, "auto", "What kind of picture is it?")
    on_source(show_picture, [], [image])
    on_source(show_verdict, [domain], [text], domain.change)
    return domain


def _build_editor(on_source: Callable) -> tuple[gr.Radio, gr.Slider]:
    with gr.Column(scale=4, min_width=300):
        heading("Edit the network", "A second network rewrites the weights of the first. No pixel is touched: the new picture "
                "comes out of the new weights.")  # fmt: skip
        style = segmented(
            [(s.label, s.name) for s in STYLES.values()], next(iter(STYLES)), "Style", elem_id="style"
        )
        strength = gr.Slider(
            0, actions.MAX_STRENGTH, 1, step=0.05, label="Strength", elem_id="strength", buttons=[]
        )
        line = gr.HTML(elem_id="edit-line")
        with gr.Row():
            weights = gr.DownloadButton(
                "Edited network", size="sm", elem_id="download-network", variant="primary"
            )
            png = gr.DownloadButton("Picture (PNG)", size="sm", elem_id="download-png")
    with gr.Column(scale=4, min_width=280):
        slider = gr.ImageSlider(label="Before | after", elem_id="before-after", elem_classes="pixels", format="png",
                                interactive=False, buttons=["fullscreen"])  # fmt: skip
    with gr.Column(scale=4, min_width=280):
        reference = picture("For comparison: the same edit done on pixels", elem_id="reference", buttons=[])
    on_source(
        show_edit, [style, strength], [slider, reference, line, weights, png], style.change, strength.change
    )
    return style, strength


def _build_zoom(on_source: Callable, style: gr.Radio, strength: gr.Slider) -> None:
    with gr.Column(scale=4, min_width=300):
        heading("Zoom in", "The networks hold no pixels, so ask for as many as you like. What appears between the original "
                "pixels is the network's own idea.")  # fmt: skip
        zoom = segmented(ZOOMS, 8, "Resolution", elem_id="zoom")
        size = gr.HTML(elem_id="zoom-line")
    with gr.Column(scale=4, min_width=280):
        original = picture("Original", elem_id="zoom-original", buttons=["fullscreen"])
    with gr.Column(scale=4, min_width=280):
        edited = picture("Edited", elem_id="zoom-edited", buttons=["fullscreen"])
    inputs, outputs = [style, strength, zoom], [original, edited, size]
    on_source(show_zoom, inputs, outputs, style.change, strength.change, zoom.change)


def _build_symmetry(on_source: Callable, source: gr.Textbox, domain: gr.Radio) -> None:
    with gr.Column(scale=4, min_width=300):
        heading("One network, many disguises", "Hidden neurons have no order. Swap them and every weight table changes, but the "
                "network stays the same. A good reader of weights must not be fooled.")  # fmt: skip
        permute = gr.Button("Permute the hidden neurons", variant="primary", elem_id="permute")
        flip = gr.Button("Flip their signs (sine is odd)", elem_id="flip")
        line = gr.HTML(elem_id="symmetry-line")
    with gr.Column(scale=8, min_width=280):
        with gr.Row():
            with gr.Column(min_width=280):
                before = gr.Plot(label="Weights as they came", elem_id="weights-before")
                before_note = gr.HTML()
            with gr.Column(min_width=280):
                after = gr.Plot(label="Weights in disguise", elem_id="weights-after", visible=False)
                after_note = gr.HTML()
        with gr.Accordion("The weights as a table", open=False):
            table = gr.Dataframe(headers=["tensor", "shape", "smallest", "largest", "spread"], interactive=False,
                                 elem_id="weight-table")  # fmt: skip
    on_source(show_weights, [], [before, before_note, after, after_note, line, table])
    outputs = [after, after_note, line]
    for button, how in ((permute, "permute"), (flip, "flip")):
        _on([button.click], _with_source(partial(show_disguise, how)), [source, domain], outputs)


def show_gallery(collection: str):
    """The pictures of a collection; nothing in it is selected unless it holds the network shown at first."""
    first = 0 if collection == actions.FIRST_COLLECTION else None
    return gr.Gallery(value=thumbnail_files(collection), selected_index=first)


def pick(collection: str, event: gr.SelectData) -> str:
    """The network whose picture was clicked."""
    rows = actions.zoo().rows(collection)
    return to_text(Source(zoo_id=rows[event.index]["id"]))


def open_upload(path: str | None) -> str:
    """An uploaded file, read the way it says, or in the usual convention."""
    return to_text(actions.open_upload(path))


def reopen_upload(path: str | None, first: float, hidden: float, low: str, order: Any) -> str:
    """The uploaded file, read the way the visitor says."""
    return to_text(actions.open_upload(path, SirenConvention(first, hidden, float(low), 1.0, order)))


def show_picture(source: Source):
    """The picture at its native resolution."""
    return to_pixels(actions.draw(actions.open_network(source)))


def show_verdict(source: Source, domain: str) -> str:
    """The label, the bars and the facts."""
    facts = panels.network_facts(source, actions.open_network(source), actions.label_in_zoo(source))
    return panels.verdict(actions.classify(source, domain), domain, facts)


def show_edit(source: Source, style: str, strength: float):
    """Before and after, the reference, a sentence on how close they are, and two files."""
    done = actions.edit(source, style, strength)
    before, after, reference = (
        to_pixels(x) for x in (done.result.before, done.result.after, done.result.reference)
    )
    weights, png = keep_files(lambda folder: actions.save_edit(source, done, folder))
    return (before, after), reference, panels.edit_line(done), weights, png


def show_zoom(source: Source, style: str, strength: float, zoom: int):
    """Both networks at `zoom` times their native resolution."""
    original = actions.draw(actions.open_network(source), zoom)
    edited = actions.draw(actions.edit(source, style, strength).result.network, zoom)
    return to_pixels(original), to_pixels(edited), panels.zoom_line(original.shape[1], zoom)


def show_weights(source: Source):
    """The weights as they came, and an empty place for the disguise."""
    network = actions.open_network(source)
    note = inline_image(to_pixels(actions.draw(network)), "the picture of these weights")
    before = plot_data(weight_heatmaps(network.features))
    return (
        before,
        panels.caption(note, "draws this"),
        gr.Plot(visible=False),
        panels.NOT_YET,
        "",
        panels.layer_rows(network),
    )


def show_disguise(how: actions.Symmetry, source: Source, domain: str):
    """The disguised weights, the picture that they draw, and the numbers."""
    check = actions.check_symmetry(source, how, random.randrange(2**31), domain)
    note = inline_image(to_pixels(actions.draw(check.after)), "the picture of the disguised weights")
    plot = gr.Plot(value=plot_data(weight_heatmaps(check.after.features)), visible=True)
    return plot, panels.caption(note, "draws the same"), panels.symmetry_line(check)
