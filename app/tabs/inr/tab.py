"""The Pictures tab: pick or upload a SIREN, see its picture and label, edit it, zoom in, and permute its neurons."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from app.networks.source import Source
from app.page.alerts import with_alerts_in_steps
from app.page.cards import (
    Card,
    UploadTarget,
    inputs_of,
    listen_for_choice,
    listen_for_inbox,
    listen_for_upload,
    on_choose,
    outputs_of,
    queue_status,
    refresh_on,
    show_cards_in_turn,
    stop_on_cancel,
    unfade_on_answer,
)
from app.page.html import READING, SYMMETRY, TABLE_HEADERS
from app.page.refusal import build_refusal_card
from app.page.source_text import to_text
from app.page.tab import Page, Tab
from app.page.terms import term
from app.page.widgets import (
    copy_link_button,
    heading,
    part_box,
    picker,
    picture,
    segmented,
    selection_update,
    slider,
    upload_box,
)
from app.tabs.inr import actions, html, views
from app.tabs.inr.edit import MAX_STRENGTH
from app.tabs.inr.symmetry import Symmetry
from nfn.operators import STYLES

DOMAINS = [("Auto", "auto"), *((title, name) for name, title in html.DOMAIN_TITLES.items())]
OMEGAS = [
    ("30", "30"),
    ("30, then 1 (siren-pytorch)", "30,1"),
    ("1", "1"),
    ("10", "10"),
    ("20", "20"),
    ("60", "60"),
]
PLACES = [("−1 to 1", "-1,1"), ("0 to 1", "0,1"), ("−0.5 to 0.5", "-0.5,0.5"), ("−π to π", "-pi,pi")]
ORDERS = [("Row, column", "row,col"), ("x, y", "x,y")]
LEVELS = [("−1 to 1", "-1,1"), ("0 to 1", "0,1"), ("−0.5 to 0.5", "-0.5,0.5"), ("MNIST's mean and std", "mnist"),
          ("Fashion-MNIST's mean and std", "fashion_mnist"), ("CIFAR-10's mean and std", "cifar10"),
          ("ImageNet's mean and std", "imagenet")]  # fmt: skip
OUTPUTS = [("None", "linear"), ("Sigmoid", "sigmoid"), ("Tanh", "tanh"), ("Sine", "sine")]
"""Choices for the parts of a convention, as `zoo.siren_conventions.override_convention` takes them."""
ZOOMS = [("1×", 1), ("4×", 4), ("8×", 8)]

OWN = "Turn a picture of your own into a network"
FIT_SIZES = [("Small", "small"), ("Medium", "medium"), ("Large", "large")]
BRUSH = gr.Brush(default_size=32, default_color="#111111",
                 colors=["#111111", "#c1272d", "#0071bc", "#009245", "#f7931e", "#ffffff"])  # fmt: skip
FIT_SIDES = [("28", 28), ("64", 64), ("128", 128), ("256", 256)]

INTRO = (
    "Each of these pictures <em>is</em> a small neural network that maps a pixel's coordinates to its colour: a "
    f"{term('SIREN', 'SIREN, or INR')}."
)
VERDICT = (
    "The answer comes from the network alone: the predictor sees neither the original image nor its label."
)
EDIT = "Another network computes how each weight must change for the edit. The result is a network too."
FIRST_STYLE = "neon"
"""The style that is shown first: its effect is obvious."""
SLIDER = "Left: before. Right: after. Drag the handle."
ZOOM = (
    "The networks have no pixels, so they can be drawn at any resolution. What appears between the original pixels is "
    "the network's own interpolation."
)


def build_inr_tab(page: Page) -> None:
    """Build the chosen network as text (see `app.page.source_text`), a card to choose it and four that show it."""
    first = Source(zoo_id=actions.first_network())
    source = gr.Textbox(to_text(first), visible="hidden", label="The chosen network", elem_id="source")
    with (
        gr.Row(elem_classes="card"),
        gr.Accordion(OWN, open=False, elem_classes="quiet", elem_id="own-picture") as own,
    ):
        editor = _build_own_picture(page)
        own.expand(
            None, None, editor, js="() => ({ __type__: 'update', visible: true })", api_visibility="private"
        )
    with gr.Row(elem_classes="cards"):
        chooser = gr.Column(scale=5, min_width=320, elem_classes="card")
        refused = build_refusal_card(page, "upload-refused")
        with gr.Column(scale=7, min_width=320, elem_classes="card answer"):
            verdict, preview = _build_verdict()
    with gr.Row(elem_classes="card answer"):
        edit = _build_editor(preview)
    with gr.Row(elem_classes="card answer"):
        zoom = _build_zoom(edit.inputs)
    with gr.Row(elem_classes="card answer"):
        weights = _build_symmetry(source, verdict.inputs)
    refresh_on([verdict.inputs[0].change], source, [verdict])
    refresh_on([zoom.inputs[-1].change], source, [zoom])
    refresh_on([control.change for control in edit.inputs], source, [edit, zoom])
    unfade_on_answer(source)
    with chooser:
        _build_chooser(page, source, refused, [verdict, edit, zoom, weights])


def _build_own_picture(page: Page) -> gr.ImageEditor:
    """An editor for a visitor's picture, and the fit of a network to it, which then opens like an upload.

    The editor, which is hidden, takes a third of a megabyte: it is to be shown once it is wanted.
    """
    with gr.Row():
        with gr.Column(scale=5, min_width=300):
            editor = gr.ImageEditor(type="pil", label="Your picture: upload, paste, photograph or draw one",
                                    sources=("upload", "webcam", "clipboard"), canvas_size=(480, 480), layers=False,
                                    transforms=(), height=400, elem_id="editor", buttons=[], brush=BRUSH,
                                    visible=False)  # fmt: skip
        with gr.Column(scale=4, min_width=260):
            gr.HTML(f'<p class="line">{html.OWN_PICTURE}</p>')
            size = segmented(FIT_SIZES, "medium", "Size of the network", elem_id="fit-size")
            side = segmented(FIT_SIDES, 128, "Pixels of the longest side", elem_id="fit-side")
            with gr.Row():
                go = gr.Button("Learn it", variant="primary", size="md", elem_id="fit")
                cancel = gr.Button("Cancel", size="md", visible=False, elem_id="cancel-fit")
            line = gr.HTML(elem_id="fit-line")
        with gr.Column(scale=4, min_width=260):
            live = picture("What the network shows so far", elem_id="fit-live", buttons=[])
    controls = [line, go, cancel]
    running = gr.on([go.click], with_alerts_in_steps(views.fit_own_picture), [editor, size, side],
                    [live, *controls, page.inbox("inr")],
                    api_visibility="private", show_progress="minimal", show_progress_on=queue_status(),
                    trigger_mode="once", concurrency_limit=1, concurrency_id="fit")  # fmt: skip
    stop_on_cancel(cancel, running, views.show_stopped, controls)
    return editor


def _build_chooser(page: Page, source: gr.Textbox, refused: gr.HTML, cards: list[Card]) -> None:
    heading("Choose a network", INTRO)
    infos = actions.siren_collections()
    choices = [(info.title.removesuffix(" as SIRENs"), info.name) for info in infos]
    collection = segmented(choices, infos[0].name, "Collection", elem_id="collection")
    gallery = picker(elem_id="gallery")
    file = upload_box("upload")
    with gr.Accordion("The picture of my upload looks wrong", open=False, elem_classes="quiet"):
        convention = _build_convention()
        part = part_box("part")
        again = gr.Button("Read my upload this way", size="sm")

    def pick(event: gr.SelectData, *values: Any):
        chosen = views.picked_source(event)
        yield from show_cards_in_turn([to_text(chosen)], chosen, cards, values)

    def switch(name: str, *values: Any):
        chosen = Source(zoo_id=actions.first_of(name))
        yield from show_cards_in_turn(
            [to_text(chosen), views.show_gallery(name, chosen)], chosen, cards, values
        )

    def upload(path: str | None, part: str, *values: Any):
        chosen = actions.open_upload(path, part)
        yield from show_cards_in_turn([to_text(chosen), selection_update(None)], chosen, cards, values)

    def reread(path: str | None, part: str, *values: Any):
        chosen = views.uploaded_source(path, part, *values[: len(convention)])
        yield from show_cards_in_turn(
            [to_text(chosen), selection_update(None)], chosen, cards, values[len(convention) :]
        )

    def open_from_inbox(chosen: Source, name: str, *values: Any):
        name = views.collection_of(chosen, name)
        yield from show_cards_in_turn(
            [to_text(chosen), name, views.show_gallery(name, chosen)], chosen, cards, values
        )

    inputs, outputs = inputs_of(cards), outputs_of(cards)
    place = UploadTarget(page, "inr", file, refused)
    listen_for_inbox(place, open_from_inbox, [collection, *inputs], [source, collection, gallery, *outputs])
    listen_for_choice(place, [collection.input], switch, [collection, *inputs], [source, gallery, *outputs])
    listen_for_choice(
        place,
        [gallery.select],
        pick,
        inputs,
        [source, *outputs],
        answer="#verdict",
    )
    listen_for_upload(
        place,
        [file.upload],
        upload,
        [part, *inputs],
        [source, gallery, *outputs],
        answer="#verdict",
    )
    on_choose(
        [again.click],
        reread,
        [file, part, *convention, *inputs],
        [source, gallery, *outputs],
        answer="#verdict",
    )


def _build_convention() -> list[Any]:
    """The convention of a SIREN, which files rarely declare: found, or chosen here. Other values can be typed in."""
    gr.HTML(
        '<p class="line">Few files declare the convention of their SIREN. What you leave at Auto is found by trying '
        "the usual conventions; the answer says which one was used.</p>"
    )
    auto = ("Auto", "auto")
    with gr.Row():
        omega = gr.Dropdown([auto, *OMEGAS], value="auto", label="ω₀", elem_id="omega", allow_custom_value=True,
                            min_width=140)  # fmt: skip
        places = gr.Dropdown([auto, *PLACES], value="auto", label="Coordinates from, to", elem_id="coordinate-range",
                             allow_custom_value=True, min_width=140)  # fmt: skip
    with gr.Row():
        pixels = gr.Dropdown([auto, *LEVELS], value="auto", label="Output, black to white", elem_id="siren-pixels",
                             allow_custom_value=True, min_width=140)  # fmt: skip
        output = gr.Dropdown(
            [auto, *OUTPUTS], value="auto", label="Output activation", elem_id="siren-output", min_width=140
        )
    order = segmented([auto, *ORDERS], "auto", "Order of the coordinates", elem_id="coordinates")
    return [omega, order, places, pixels, output]


def _build_verdict() -> tuple[Card, gr.Image]:
    """The card, and the widget for the edited picture next to the original, which the edit card fills."""
    heading("A network, its weights, and its edit", VERDICT)
    with gr.Row(elem_classes="triptych"):
        image = picture("Picture", elem_id="picture", buttons=["download", "fullscreen"])
        weights = picture("Its weights", elem_id="weights-picture", buttons=[])
        edited = picture("Edited", elem_id="picture-edited", buttons=["fullscreen"])
    text = gr.HTML(READING, elem_id="verdict")
    domain = segmented(DOMAINS, "auto", "What kind of picture is it?", elem_id="domain")
    copy_link_button("inr")
    return Card(views.show_verdict, [domain], [image, weights, text]), edited


def _build_editor(preview: gr.Image) -> Card:
    with gr.Column(scale=5, min_width=300):
        heading("Edit the network", EDIT)
        style = segmented([(s.label, s.name) for s in STYLES.values()], FIRST_STYLE, "Style", elem_id="style")
        strength = slider(0, MAX_STRENGTH, 1, step=0.05, label="Strength", elem_id="strength", buttons=[])
        line = gr.HTML(elem_id="edit-line")
        with gr.Row():
            weights = gr.DownloadButton(
                "Download network",
                size="md",
                elem_id="download-network",
                variant="primary",
                elem_classes="waits",
            )
            png = gr.DownloadButton(
                "Download picture", size="md", elem_id="download-png", elem_classes="waits"
            )
    with gr.Column(scale=4, min_width=280):
        compared = gr.ImageSlider(label=SLIDER, format="png", interactive=False, buttons=["fullscreen"],
                                elem_id="before-after", elem_classes=["picture", "pixels"])  # fmt: skip
    with gr.Column(scale=4, min_width=280):
        reference = picture("For comparison: the same edit, done on pixels", elem_id="reference", buttons=[])
    return Card(views.show_edit, [style, strength], [preview, compared, reference, line, weights, png])


def _build_zoom(edit_inputs: list[Any]) -> Card:
    with gr.Column(scale=4, min_width=260):
        heading("Zoom in", ZOOM)
        zoom = segmented(ZOOMS, 8, "Resolution", elem_id="zoom")
        size = gr.HTML(elem_id="zoom-line")
    titles = {"original": "The network", "bicubic": "Its pixels, enlarged (bicubic)", "edited": "Edited"}
    pictures = []
    for name, title in titles.items():
        with gr.Column(scale=3, min_width=220):
            pictures.append(picture(title, elem_id=f"zoom-{name}", buttons=["fullscreen"]))
    return Card(views.show_zoom, [*edit_inputs, zoom], [*pictures, size])


def _build_symmetry(source: gr.Textbox, verdict_inputs: list[Any]) -> Card:
    with gr.Column(scale=5, min_width=300):
        heading("Same network, different weights", SYMMETRY)
        permute = gr.Button("Permute the hidden neurons", variant="primary", size="md", elem_id="permute",
                            elem_classes="waits")  # fmt: skip
        flip = gr.Button("Flip their signs (sine is odd)", size="md", elem_id="flip", elem_classes="waits")
        moved = gr.Button("Show which weights matter", size="md", elem_id="moved", elem_classes="waits")
        line = gr.HTML(elem_id="symmetry-line")
    with gr.Column(scale=8, min_width=280):
        with gr.Row():
            with gr.Column(min_width=280):
                before = gr.HTML(READING, elem_id="weights-before")
                before_note = gr.HTML()
            with gr.Column(min_width=280):
                after = gr.HTML(elem_id="weights-after")
                after_note = gr.HTML(elem_id="after-note")
        gr.HTML(f'<p class="legend">{html.LEGEND}</p>')
        with gr.Accordion("The weights as a table", open=False, elem_classes="quiet"):
            table = gr.Dataframe(headers=TABLE_HEADERS, interactive=False, elem_id="weight-table")
    outputs = [after, after_note, line]
    buttons: dict[Symmetry, gr.Button] = {"permute": permute, "flip": flip}
    for how, button in buttons.items():
        refresh_on([button.click], source, [Card(partial(views.show_symmetry, how), verdict_inputs, outputs)])
    refresh_on([moved.click], source, [Card(views.show_attribution, verdict_inputs, outputs)])
    return Card(
        views.show_weights, verdict_inputs, [before, before_note, after, after_note, line, table, moved]
    )


TAB = Tab(
    key="inr",
    title="Pictures",
    build=build_inr_tab,
    lists=actions.lists,
    reads=actions.reads,
    content="a network that is a picture",
    next_step="See its picture",
    first=actions.first_network,
    address=("source", "style"),
    stylesheet=Path(__file__).with_name("inr.css"),
)
