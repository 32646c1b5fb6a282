"""The Accuracy tab: pick or upload an image classifier, predict its test accuracy, then measure it."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

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
from app.page.source_text import from_text, to_text
from app.page.tab import Page, Tab
from app.page.widgets import (
    MAX_MB,
    copy_link_button,
    heading,
    network_list,
    part_box,
    segmented,
    selection_update,
    upload_box,
)
from app.tabs.generalization import actions, batch_html, html, views
from app.tabs.generalization.symmetry import Symmetry
from app.tabs.generalization.zoo_points import predict_zoo_in_background
from nfn.architecture.words import FUNCTION_TITLES
from zoo.labelled_files import MAX_FILE

ACTIVATIONS = [("Auto", "auto"), *((title, name) for name, title in FUNCTION_TITLES.items())]
IMAGES = [("Auto", "auto"), *((title, name) for name, title in html.IMAGE_TITLES.items())]
PIXELS = [
    ("Auto", "auto"),
    ("−1 to 1", "-1,1"),
    ("0 to 1", "0,1"),
    ("0 to 255", "0,255"),
    ("MNIST’s mean and std", "mnist"),
    ("Fashion-MNIST’s mean and std", "fashion_mnist"),
    ("CIFAR-10’s mean and std", "cifar10"),
    ("CIFAR-10’s in gray", "cifar10-gray"),
    ("ImageNet’s mean and std", "imagenet"),
    ("White is 0, black is 1", "inverted"),
]

INTRO = (
    "Each row is a small image classifier; some are accurate, some are not. Click one, or upload your own."
)
ACCURACY = (
    "How many new images will it classify correctly? Another model predicts this from its answers on stored training "
    "pictures, and for small CNNs also from its weights. You need no data of your own."
)
CONVENTION = (
    "Few files say how their layers are connected, or which inputs mean black and white. At Auto, the common choices "
    "are tried, and the one that classifies labelled training images best is kept."
)
SCATTER = "Every dot is a network of the zoo. The closer to the diagonal, the better the prediction."
MEASURE = (
    "Run the network on 1,000 real test images, or on your own: a zip with a folder for each class, npz (images and "
    "labels), or parquet as on the Hub."
)
OWN_IMAGES = f"Your test images, up to {MAX_FILE >> 20} MB"
GRAPH = (
    "Every operation from the image to the class scores, with its shape. If this is not what you trained, choose "
    "another way to read it: here, or under “How to read my upload”."
)
WEIGHTS = "Every weight of the network, as a colour."
BATCH_WIDTHS: list[str | int] = ["126px", "88px", "56px", "56px", "90px", "90px", "224px"]
BATCH = (
    "Drop up to 200 files, or one .safetensors of stacked networks (each tensor with the networks along its first "
    "axis). A file that cannot be read gets a remark; the others are still read."
)


def build_generalization_tab(page: Page) -> None:
    """Build the chosen network as text (see `app.page.source_text`), a card to choose it, four that show it, and one
    for batches."""
    first = Source(zoo_id=actions.first_classifier())
    source = gr.Textbox(to_text(first), visible="hidden", label="The chosen network", elem_id="cnn-source")
    with gr.Row(elem_classes="cards"):
        chooser = gr.Column(scale=5, min_width=320, elem_classes="card")
        refused = build_refusal_card(page, "cnn-upload-refused")
        with gr.Column(scale=7, min_width=320, elem_classes="card answer"):
            heading("Predicted test accuracy", ACCURACY)
            gr.HTML(html.GUESS_GAME, elem_id="game")
            accuracy = gr.HTML(READING, elem_id="accuracy")
            copy_link_button("generalization")
    with gr.Row(elem_classes="card answer"):
        plot, measuring, result = _build_scatter(source, accuracy)
    with gr.Row(elem_classes="card answer"):
        graph = _build_graph()
    with gr.Row(elem_classes="card answer"):
        weights = _build_weights(source)
    with gr.Row(elem_classes="card"):
        _build_batch()
    unfade_on_answer(source)
    with chooser:
        _build_chooser(page, source, refused, plot, [result, graph, weights], measuring, graph)


def _build_chooser(
    page: Page,
    source: gr.Textbox,
    refused: gr.HTML,
    plot: gr.HTML,
    cards: list[Card],
    running: Dependency,
    graph: Card,
) -> None:
    """A network that is chosen stops what is `running` for the one before, which would show up beside it."""
    heading("Choose a network", INTRO)
    choices = views.image_choices()
    images = segmented(choices, choices[0][1], "Trained on", elem_id="trained-on")
    table = network_list(READING, elem_id="networks")
    file = upload_box("cnn-upload")
    with gr.Accordion("How to read my upload", open=False, elem_classes="quiet"):
        gr.HTML(f'<p class="line">{CONVENTION}</p>')
        learned = segmented(IMAGES, "auto", "Trained on", elem_id="learned-from")
        with gr.Row():
            activation = gr.Dropdown(ACTIVATIONS, value="auto", label="Activation", elem_id="activation")
            black = gr.Dropdown(PIXELS, value="auto", label="Pixels, black to white", elem_id="pixels")
        part = part_box("cnn-part")
        again = gr.Button("Read my upload this way", size="sm")

    def pick(event: gr.SelectData, *values: Any):
        chosen = views.picked_source(event)
        yield from show_cards_in_turn(
            [to_text(chosen), selection_update(chosen.zoo_id)], chosen, cards, values
        )

    def switch(name: str, *values: Any):
        chosen = Source(zoo_id=views.best_of(name))
        yield from show_cards_in_turn(
            [to_text(chosen), views.show_networks(name, chosen)], chosen, cards, values
        )

    def upload(path: str | None, part: str, learned: str, activation: str, black: str, *values: Any):
        chosen = views.uploaded_source(path, part, learned, activation, black)
        yield from show_cards_in_turn([to_text(chosen), selection_update(None)], chosen, cards, values)

    def open_from_inbox(chosen: Source, name: str, *values: Any):
        name = name if chosen.zoo else views.images_of(chosen) or name
        yield from show_cards_in_turn(
            [to_text(chosen), name, views.show_networks(name, chosen)], chosen, cards, values
        )

    def reread(words: str, text: str, *values: Any):
        chosen = replace(from_text(text), reading=words)
        yield from show_cards_in_turn([to_text(chosen)], chosen, cards, values)

    inputs, outputs = inputs_of(cards), outputs_of(cards)
    place = UploadTarget(page, "generalization", file, refused)
    listen_for_inbox(place, open_from_inbox, [images, *inputs], [source, images, table, *outputs], [running])
    listen_for_choice(place, [images.input], switch, [images, *inputs], [source, table, *outputs], [running])
    listen_for_choice(
        place, [table.select, plot.select], pick, inputs, [source, table, *outputs], [running], "#accuracy"
    )
    listen_for_upload(place, [file.upload, again.click], upload,
            [part, learned, activation, black, *inputs], [source, table, *outputs], [running], "#accuracy")  # fmt: skip
    reading = graph.outputs[1]
    on_choose([reading.select], reread, [reading, source, *inputs], [source, *outputs], [running])


def _build_scatter(source: gr.Textbox, accuracy: gr.HTML) -> tuple[gr.HTML, Dependency, Card]:
    with gr.Column(scale=8, min_width=300):
        heading("Predicted against measured", SCATTER)
        plot = network_list(READING, elem_id="scatter")
    with gr.Column(scale=4, min_width=260):
        heading("Check it", MEASURE)
        images = segmented(
            views.measure_choices(), views.image_choices()[0][1], "Images", elem_id="measure-on"
        )
        own = gr.File(
            label=OWN_IMAGES,
            file_types=[".zip", ".npz", ".parquet"],
            elem_id="own-images",
            elem_classes=["upload", "of-images"],
            height=64,
        )
        with gr.Row():
            start = gr.Button(
                "Measure it", variant="primary", size="md", elem_id="measure", elem_classes="waits"
            )
            cancel = gr.Button("Cancel", size="md", visible=False, elem_id="cancel")
        line = gr.HTML(elem_id="measure-line")
        zoo_line = gr.HTML(elem_id="zoo-line")
    controls = [line, start, cancel]

    def measure(text: str, name: str, path: str | None):
        yield from views.measure(from_text(text), name, path)

    running = gr.on([start.click], with_alerts_in_steps(measure), [source, images, own], [accuracy, plot, *controls],
                    api_visibility="private", show_progress="minimal", show_progress_on=queue_status(),
                    trigger_mode="once")  # fmt: skip
    stop_on_cancel(cancel, running, views.show_stopped, controls)
    return plot, running, Card(views.show_result, [], [accuracy, plot, zoo_line, images, *controls])


def _build_graph() -> Card:
    with gr.Column():
        heading("What it computes", GRAPH)
        reading = gr.Dropdown(label="Other ways to read it", visible=False, elem_id="reading")
        drawing = gr.HTML(READING, elem_id="graph")
    return Card(views.show_graph, [], [drawing, reading])


def _build_weights(source: gr.Textbox) -> Card:
    with gr.Column():
        heading("The weights, layer by layer", WEIGHTS)
        before = gr.HTML(READING, elem_id="layers-before")
        gr.HTML(f'<p class="legend">{html.WEIGHTS_LEGEND}</p>')
        with gr.Accordion("The weights as a table", open=False, elem_classes="quiet"):
            table = gr.Dataframe(headers=TABLE_HEADERS, interactive=False, elem_id="layer-table")
        with gr.Row(elem_classes="part"):
            with gr.Column(scale=5, min_width=280):
                heading("Same network, different weights", SYMMETRY)
                permute = gr.Button("Permute the hidden neurons", variant="primary", size="md",
                                    elem_id="permute-cnn", elem_classes="waits")  # fmt: skip
                rescale = gr.Button("Rescale them (ReLU keeps scales)", size="md", elem_id="rescale-cnn",
                                    elem_classes="waits")  # fmt: skip
                moved = gr.Button(
                    "Show which weights matter", size="md", elem_id="moved-cnn", elem_classes="waits"
                )
            with gr.Column(scale=7, min_width=280):
                line = gr.HTML(elem_id="disguise-line")
        after = gr.HTML(elem_id="layers-after")
    ways: dict[Symmetry, gr.Button] = {"permute": permute, "rescale": rescale}
    for how, button in ways.items():
        refresh_on([button.click], source, [Card(partial(views.show_symmetry, how), [], [after, line])])
    refresh_on([moved.click], source, [Card(views.show_attribution, [], [after, line])])
    return Card(views.show_weights, [], [before, after, line, table, moved])


def _build_batch() -> None:
    with gr.Column(scale=4, min_width=280):
        heading("Many networks at once", BATCH)
        files = gr.File(
            label=f"Files: safetensors, PyTorch, ONNX or npz, up to {MAX_MB} MB together",
            file_count="multiple",
            height=132,
            elem_id="batch-upload",
            elem_classes="upload",
        )
        line = gr.HTML(elem_id="batch-line")
        cancel = gr.Button("Cancel", size="md", visible=False, elem_id="batch-cancel")
        download = gr.DownloadButton("Download as CSV", size="md", visible=False, elem_id="batch-csv")
    with gr.Column(scale=8, min_width=300):
        place = gr.HTML(batch_html.NO_BATCH)
        table = gr.Dataframe(headers=batch_html.BATCH_HEADERS, interactive=False, visible=False, max_height=420,
                             wrap=True, column_widths=BATCH_WIDTHS, elem_id="batch-table")  # fmt: skip
    outputs = [place, table, line, download, cancel]
    running = gr.on([files.upload], with_alerts_in_steps(views.show_batch), [files], outputs,
                    api_visibility="private", show_progress="minimal", show_progress_on=queue_status(),
                    trigger_mode="once")  # fmt: skip
    stop_on_cancel(cancel, running, views.show_batch_stopped, [line, cancel])


TAB = Tab(
    key="generalization",
    title="Accuracy",
    build=build_generalization_tab,
    lists=lambda spec: spec.family.classifies,
    reads=actions.reads,
    content="an image classifier",
    next_step="Predict its test accuracy",
    first=actions.first_classifier,
    address=("cnn-source",),
    stylesheet=Path(__file__).with_name("generalization.css"),
    script=Path(__file__).with_name("game.js"),
    warm_up=predict_zoo_in_background,
)
