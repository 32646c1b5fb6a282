"""The INR tab: pick or upload a SIREN, see what it shows, edit it, zoom in, and permute its neurons."""

from functools import partial
from typing import Any

import gradio as gr

from app import actions, panels
from app.actions import Source
from app.alerts import alerting_steps
from app.sources import from_text, to_text
from app.tabs import inr_views as views
from app.tabs.cards import (
    Card,
    choose,
    forget,
    freshen,
    in_turn,
    inputs_of,
    on,
    outputs_of,
    queue_line,
    receive,
    update,
)
from app.tabs.doors import door, opened
from app.widgets import copy_link, heading, part_box, picture, segmented, upload_box
from nfn.operators import STYLES

DOMAINS = [("Find it", "auto"), *((title, name) for name, title in panels.DOMAIN_TITLES.items())]
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
ENDS = [("Nothing", "linear"), ("Sigmoid", "sigmoid"), ("Tanh", "tanh"), ("Sine", "sine")]
"""Choices of a convention, as `zoo.siren_conventions.tell` takes them."""
ZOOMS = [("1×", 1), ("4×", 4), ("8×", 8)]

OWN = "Turn a picture of your own into a network"
FIT_SIZES = [("Small", "small"), ("Medium", "medium"), ("Large", "large")]
BRUSH = gr.Brush(default_size=18, default_color="#111111",
                 colors=["#111111", "#c1272d", "#0071bc", "#009245", "#f7931e", "#ffffff"])  # fmt: skip
FIT_SIDES = [("28", 28), ("64", 64), ("128", 128), ("256", 256)]

INTRO = (
    "Each of these pictures <em>is</em> a small neural network: give it a pixel's coordinates, and it answers with the "
    "pixel's colour. Such a network is called a SIREN, or an INR."
)
VERDICT = (
    "Read from the network alone: the predictor sees neither the image that it was fitted to nor its label."
)
EDIT = (
    "Another network looks at what the edit asks of each weight, and rewrites them all. "
    "What you download is again a network."
)
CLICK = """() => document.addEventListener("click", (event) => {
  const pictures = [...document.querySelectorAll("#gallery .thumbnail-item")];
  const place = pictures.indexOf(event.target.closest(".thumbnail-item"));
  if (place >= 0) window.clickedPicture = place;
}, true)"""
CLICKED = "String(window.clickedPicture)"
"""The number of the picture that was clicked last: of quick clicks Gradio repeats the first, and that with its own
data, and a new list of pictures takes the mark away."""
SLIDER = "Left: before. Right: after. Drag the handle."
ZOOM = (
    "The networks hold no pixels, so ask for as many as you like. Whatever appears between the original pixels is the "
    "network's own idea."
)


def build_inr_tab(demo: gr.Blocks) -> None:
    """The chosen network, as text (see `app.sources`), and five cards: one to choose it and four that show it."""
    first = Source(zoo_id=actions.first_network())
    source = gr.Textbox(to_text(first), visible="hidden", label="The chosen network", elem_id="source")
    with (
        gr.Row(elem_classes="card"),
        gr.Accordion(OWN, open=False, elem_classes="quiet", elem_id="own-picture"),
    ):
        _build_own_picture(demo)
    with gr.Row(elem_classes="cards"):
        chooser = gr.Column(scale=5, min_width=320, elem_classes="card")
        with gr.Column(scale=7, min_width=320, elem_classes="card"):
            verdict = _build_verdict()
    with gr.Row(elem_classes="card"):
        edit = _build_editor()
    with gr.Row(elem_classes="card"):
        zoom = _build_zoom(edit.inputs)
    with gr.Row(elem_classes="card"):
        weights = _build_symmetry(source, verdict.inputs)
    update([verdict.inputs[0].change], source, [verdict])
    update([zoom.inputs[-1].change], source, [zoom])
    update([control.change for control in edit.inputs], source, [edit, zoom])
    freshen(source)
    with chooser:
        _build_chooser(demo, source, [verdict, edit, zoom, weights])


def _build_own_picture(demo: gr.Blocks) -> None:
    """A picture that a visitor brings or draws, and what is learned of it; it then comes in as an upload does."""
    with gr.Row():
        with gr.Column(scale=5, min_width=300):
            editor = gr.ImageEditor(type="pil", label="Your picture: drop, paste, photograph or draw one",
                                    sources=("upload", "webcam", "clipboard"), canvas_size=(480, 480), layers=False,
                                    transforms=(), height=400, elem_id="editor", buttons=[], brush=BRUSH)  # fmt: skip
        with gr.Column(scale=4, min_width=260):
            gr.HTML(f'<p class="line">{panels.OWN_PICTURE}</p>')
            size = segmented(FIT_SIZES, "medium", "Size of the network", elem_id="fit-size")
            side = segmented(FIT_SIDES, 128, "Pixels that it learns", elem_id="fit-side")
            with gr.Row():
                go = gr.Button("Learn it", variant="primary", size="md", elem_id="fit")
                cancel = gr.Button("Cancel", size="md", visible=False, elem_id="cancel-fit")
            line = gr.HTML(elem_id="fit-line")
        with gr.Column(scale=4, min_width=260):
            live = picture("What the network shows so far", elem_id="fit-live", buttons=[])
    controls = [line, go, cancel]
    running = gr.on([go.click], alerting_steps(views.learn), [editor, size, side], [live, *controls, door(demo, "INR")],
                    api_visibility="private", show_progress="minimal", show_progress_on=queue_line(),
                    trigger_mode="once", concurrency_limit=1, concurrency_id="fit")  # fmt: skip
    running.failure(views.stopped, None, controls, api_visibility="private")
    cancel.click(views.stopped, None, controls, cancels=[running], api_visibility="private")


def _build_chooser(demo: gr.Blocks, source: gr.Textbox, cards: list[Card]) -> None:
    heading("Choose a network", INTRO)
    infos = actions.siren_collections()
    choices = [(info.title.removesuffix(" as SIRENs"), info.name) for info in infos]
    collection = segmented(choices, infos[0].name, "Collection", elem_id="collection")
    gallery = gr.Gallery(label="Networks of the zoo", show_label=False, height=272, object_fit="contain",
                         allow_preview=False, interactive=False, buttons=[], elem_id="gallery")  # fmt: skip
    file, refused = box = upload_box("upload")
    with gr.Accordion("The picture of my upload looks wrong", open=False, elem_classes="quiet"):
        convention = _build_convention()
        part = part_box("part")
        again = gr.Button("Read my upload this way", size="sm")

    def pick(index: str, name: str, *values: Any):
        chosen = views.picked(name, index)
        yield from in_turn([to_text(chosen), None], chosen, cards, values)

    def upload(path: str | None, part: str, *values: Any):
        chosen = actions.open_upload(path, part)
        yield from in_turn([to_text(chosen), gr.Gallery(selected_index=None)], chosen, cards, values)

    def reread(path: str | None, part: str, *values: Any):
        chosen = views.uploaded(path, part, *values[: len(convention)])
        yield from in_turn(
            [to_text(chosen), gr.Gallery(selected_index=None)], chosen, cards, values[len(convention) :]
        )

    def come_in(text: str, name: str, *values: Any):
        chosen = from_text(opened(text))
        name = views.collection_of(chosen, name)
        yield from in_turn(
            [to_text(chosen), name, views.show_gallery(name, chosen), None], chosen, cards, values
        )

    inputs, outputs = inputs_of(cards), outputs_of(cards)
    opener = door(demo, "INR")
    choose([opener.change], come_in, [opener, collection, *inputs],
           [source, collection, gallery, file, *outputs])  # fmt: skip
    on([collection.change], lambda name, text: views.show_gallery(name, from_text(text)),
        [collection, source], [gallery])  # fmt: skip
    demo.load(None, js=CLICK, api_visibility="private")
    picked = gr.Textbox(visible="hidden", label="Number of the picture that was clicked")
    choose(
        [gallery.select],
        pick,
        [picked, collection, *inputs],
        [source, file, *outputs],
        answer="#verdict",
        first=CLICKED,
    )
    receive(box, [file.upload], upload, [part, *inputs], [source, gallery, *outputs], answer="#verdict")
    choose(
        [again.click],
        reread,
        [file, part, *convention, *inputs],
        [source, gallery, *outputs],
        answer="#verdict",
    )
    forget(refused, [gallery.select, source.change])


def _build_convention() -> list[Any]:
    """What files rarely say of a SIREN: found, or chosen here. Other omegas and numbers can be typed in."""
    gr.HTML(
        '<p class="line">Few files say how their SIREN is written down. What is not chosen here is found by trying the '
        "usual ways; the answer says which one it was.</p>"
    )
    found = ("Find it", "auto")
    with gr.Row():
        omega = gr.Dropdown([found, *OMEGAS], value="auto", label="ω₀", elem_id="omega", allow_custom_value=True,
                            min_width=140)  # fmt: skip
        places = gr.Dropdown([found, *PLACES], value="auto", label="Coordinates from, to", elem_id="coordinate-range",
                             allow_custom_value=True, min_width=140)  # fmt: skip
    with gr.Row():
        pixels = gr.Dropdown([found, *LEVELS], value="auto", label="Output, black to white", elem_id="siren-pixels",
                             allow_custom_value=True, min_width=140)  # fmt: skip
        output = gr.Dropdown(
            [found, *ENDS], value="auto", label="At the end", elem_id="siren-output", min_width=140
        )
    order = segmented([found, *ORDERS], "auto", "Order of the coordinates", elem_id="coordinates")
    return [omega, order, places, pixels, output]


def _build_verdict() -> Card:
    heading("What it shows", VERDICT)
    with gr.Row(elem_classes="split"):
        with gr.Column(scale=6, min_width=240):
            image = picture("The picture it holds", elem_id="picture", buttons=["download", "fullscreen"])
        with gr.Column(scale=5, min_width=240):
            text = gr.HTML(panels.READING, elem_id="verdict")
    domain = segmented(DOMAINS, "auto", "What kind of picture is it?", elem_id="domain")
    copy_link("inr")
    return Card(views.show_verdict, [domain], [image, text])


def _build_editor() -> Card:
    with gr.Column(scale=5, min_width=300):
        heading("Edit the network", EDIT)
        style = segmented(
            [(s.label, s.name) for s in STYLES.values()], next(iter(STYLES)), "Style", elem_id="style"
        )
        strength = gr.Slider(
            0, actions.MAX_STRENGTH, 1, step=0.05, label="Strength", elem_id="strength", buttons=[]
        )
        line = gr.HTML(elem_id="edit-line")
        with gr.Row():
            weights = gr.DownloadButton(
                "Download network", size="md", elem_id="download-network", variant="primary"
            )
            png = gr.DownloadButton("Download picture", size="md", elem_id="download-png")
    with gr.Column(scale=4, min_width=280):
        slider = gr.ImageSlider(label=SLIDER, format="png", interactive=False, buttons=["fullscreen"],
                                elem_id="before-after", elem_classes=["picture", "pixels"])  # fmt: skip
    with gr.Column(scale=4, min_width=280):
        reference = picture("For comparison: the same edit, done on pixels", elem_id="reference", buttons=[])
    return Card(views.show_edit, [style, strength], [slider, reference, line, weights, png])


def _build_zoom(edit_inputs: list[Any]) -> Card:
    with gr.Column(scale=5, min_width=300):
        heading("Zoom in", ZOOM)
        zoom = segmented(ZOOMS, 8, "Resolution", elem_id="zoom")
        size = gr.HTML(elem_id="zoom-line")
    with gr.Column(scale=4, min_width=280):
        original = picture("Original", elem_id="zoom-original", buttons=["fullscreen"])
    with gr.Column(scale=4, min_width=280):
        edited = picture("Edited", elem_id="zoom-edited", buttons=["fullscreen"])
    return Card(views.show_zoom, [*edit_inputs, zoom], [original, edited, size])


def _build_symmetry(source: gr.Textbox, verdict_inputs: list[Any]) -> Card:
    with gr.Column(scale=5, min_width=300):
        heading("One network, many disguises", panels.SYMMETRY)
        permute = gr.Button("Permute the hidden neurons", variant="primary", size="md", elem_id="permute",
                            elem_classes="waits")  # fmt: skip
        flip = gr.Button("Flip their signs (sine is odd)", size="md", elem_id="flip", elem_classes="waits")
        moved = gr.Button(
            "Show which weights moved their answer", size="md", elem_id="moved", elem_classes="waits"
        )
        line = gr.HTML(elem_id="symmetry-line")
    with gr.Column(scale=8, min_width=280):
        with gr.Row():
            with gr.Column(min_width=280):
                before = gr.Plot(label="Weights as they came", elem_id="weights-before")
                before_note = gr.HTML()
            with gr.Column(min_width=280):
                after = gr.Plot(label="Beside them", elem_id="weights-after", visible=False)
                after_note = gr.HTML(elem_id="after-note")
        gr.HTML(f'<p class="legend">{panels.LEGEND}</p>')
        with gr.Accordion("The weights as a table", open=False, elem_classes="quiet"):
            table = gr.Dataframe(headers=panels.TABLE_HEADERS, interactive=False, elem_id="weight-table")
    outputs = [after, after_note, line]
    ways: dict[actions.Symmetry, gr.Button] = {"permute": permute, "flip": flip}
    disguises = {how: Card(partial(views.show_disguise, how), verdict_inputs, outputs) for how in ways}
    for how, button in ways.items():
        update([button.click], source, [disguises[how]])
    update([moved.click], source, [Card(views.show_attribution, verdict_inputs, outputs)])
    return Card(views.show_weights, verdict_inputs, [before, before_note, after, after_note, line, table])
