"""The Generalization tab: pick or upload a small CNN, read its test accuracy from its weights, then measure it."""

from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
from gradio.events import Dependency

from app import generalization, panels
from app import generalization_panels as said
from app.actions import Source
from app.alerts import alerting_steps
from app.generalization import Disguise
from app.sources import from_text, to_text
from app.tabs import generalization_views as views
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
from app.widgets import MAX_MB, copy_link, heading, mark, network_list, part_box, segmented, upload_box

ACTIVATIONS = [("Find it", "auto"), *((title, name) for name, title in said.ACTIVATION_TITLES.items())]
IMAGES = [("Find it", "auto"), *((title, name) for name, title in said.IMAGE_TITLES.items())]
PIXELS = [
    ("Find it", "auto"),
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
    "Each row is a small network that was trained to tell images apart, some well and some badly. Click one, or "
    "bring your own."
)
ACCURACY = (
    "How many images it has never seen will it name rightly? You need no test data to know: another network says so, "
    "from the weights alone and a few training pictures."
)
CONVENTION = (
    "Few files say how their layers are connected, or what black and white were for the network. What neither the file "
    "nor you say is found by trying: the reading that answers some labelled training pictures best."
)
SCATTER = "Every dot is a network of the zoo. The closer to the diagonal, the better it was read."
MEASURE = "Now let it name 1,000 real test images, and see."
GRAPH = (
    "Every operation from the picture to the class scores, with its shape. Not what you trained? Say above how your "
    "upload is to be read."
)
WEIGHTS = "All that the file holds: every number of the network, as a colour."
BATCH_WIDTHS: list[str | int] = ["126px", "88px", "56px", "56px", "90px", "90px", "224px"]
BATCH = (
    "Drop up to 200 files, or one .safetensors of stacked networks (each tensor with the networks along its first "
    "axis). A file that cannot be read gets a remark, and stops no other."
)


def build_generalization_tab(demo: gr.Blocks) -> None:
    """The chosen network, as text (see `app.sources`), a card to choose it, three that show it, and one for many."""
    first = Source(zoo_id=generalization.first_classifier())
    source = gr.Textbox(to_text(first), visible="hidden", label="The chosen network", elem_id="cnn-source")
    with gr.Row(elem_classes="cards"):
        chooser = gr.Column(scale=5, min_width=320, elem_classes="card")
        with gr.Column(scale=7, min_width=320, elem_classes="card"):
            heading("Test accuracy it will have", ACCURACY)
            accuracy = gr.HTML(panels.READING, elem_id="accuracy")
            copy_link("generalization")
    with gr.Row(elem_classes="card"):
        plot, measuring, result = _build_scatter(source, accuracy)
    with gr.Row(elem_classes="card"):
        graph = _build_graph()
    with gr.Row(elem_classes="card"):
        weights = _build_weights(source)
    with gr.Row(elem_classes="card"):
        _build_batch()
    freshen(source)
    with chooser:
        _build_chooser(demo, source, plot, [result, graph, weights], measuring, graph)


def _build_chooser(
    demo: gr.Blocks, source: gr.Textbox, plot: gr.HTML, cards: list[Card], running: Dependency, graph: Card
) -> None:
    """A network that is chosen stops what is `running` for the one before, which would show up beside it."""
    heading("Choose a network", INTRO)
    choices = views.image_choices()
    images = segmented(choices, choices[0][1], "Trained on", elem_id="trained-on")
    table = network_list(panels.READING, elem_id="networks")
    file, refused = box = upload_box("cnn-upload")
    with gr.Accordion("How my upload is to be read", open=False, elem_classes="quiet"):
        gr.HTML(f'<p class="line">{CONVENTION}</p>')
        learned = segmented(IMAGES, "auto", "Trained on", elem_id="learned-from")
        with gr.Row():
            activation = gr.Dropdown(ACTIVATIONS, value="auto", label="Activation", elem_id="activation")
            black = gr.Dropdown(PIXELS, value="auto", label="Pixels, black to white", elem_id="pixels")
        part = part_box("cnn-part")
        again = gr.Button("Read my upload this way", size="sm")

    def pick(event: gr.SelectData, *values: Any):
        chosen = views.picked(event)
        yield from in_turn([to_text(chosen), mark(chosen.zoo_id), None], chosen, cards, values)

    def upload(path: str | None, part: str, learned: str, activation: str, black: str, *values: Any):
        chosen = views.uploaded(path, part, learned, activation, black)
        yield from in_turn([to_text(chosen), mark(None)], chosen, cards, values)

    def come_in(text: str, name: str, *values: Any):
        chosen = from_text(opened(text))
        name = name if chosen.zoo else views.images_of(chosen) or name
        yield from in_turn(
            [to_text(chosen), name, views.show_networks(name, chosen), None], chosen, cards, values
        )

    def reread(words: str, text: str, *values: Any):
        chosen = replace(from_text(text), reading=words)
        yield from in_turn([to_text(chosen)], chosen, cards, values)

    inputs, outputs = inputs_of(cards), outputs_of(cards)
    opener = door(demo, "Generalization")
    choose(
        [opener.change],
        come_in,
        [opener, images, *inputs],
        [source, images, table, file, *outputs],
        [running],
    )
    on([images.change], lambda name, text: views.show_networks(name, from_text(text)),
       [images, source], [table])  # fmt: skip
    choose([table.select, plot.select], pick, inputs, [source, table, file, *outputs], [running], "#accuracy")
    receive(box, [file.upload, again.click], upload, [part, learned, activation, black, *inputs],
            [source, table, *outputs], [running], "#accuracy")  # fmt: skip
    reading = graph.outputs[1]
    choose([reading.input], reread, [reading, source, *inputs], [source, *outputs], [running])
    forget(refused, [table.select, plot.select, source.change])


def _build_scatter(source: gr.Textbox, accuracy: gr.HTML) -> tuple[gr.HTML, Dependency, Card]:
    with gr.Column(scale=8, min_width=300):
        heading("Predicted against measured", SCATTER)
        plot = network_list(panels.READING, elem_id="scatter")
    with gr.Column(scale=4, min_width=260):
        heading("Is it true?", MEASURE)
        images = segmented(
            views.measure_choices(), views.image_choices()[0][1], "Images", elem_id="measure-on"
        )
        with gr.Row():
            start = gr.Button(
                "Measure it", variant="primary", size="md", elem_id="measure", elem_classes="waits"
            )
            cancel = gr.Button("Cancel", size="md", visible=False, elem_id="cancel")
        line = gr.HTML(elem_id="measure-line")
        zoo_line = gr.HTML(elem_id="zoo-line")
    controls = [line, start, cancel]

    def measure(text: str, name: str):
        yield from views.measure(from_text(text), name)

    running = gr.on([start.click], alerting_steps(measure), [source, images], [accuracy, plot, *controls],
                    api_visibility="private", show_progress="minimal", show_progress_on=queue_line(),
                    trigger_mode="once")  # fmt: skip
    running.failure(views.stopped, None, controls, api_visibility="private")
    cancel.click(views.stopped, None, controls, cancels=[running], api_visibility="private")
    return plot, running, Card(views.show_result, [], [accuracy, plot, zoo_line, images, *controls])


def _build_graph() -> Card:
    with gr.Column():
        heading("What it computes", GRAPH)
        reading = gr.Dropdown(
            label="Another way to read it, if you know better", visible=False, elem_id="reading"
        )
        drawing = gr.HTML(panels.READING, elem_id="graph")
    return Card(views.show_graph, [], [drawing, reading])


def _build_weights(source: gr.Textbox) -> Card:
    with gr.Column():
        heading("The weights, layer by layer", WEIGHTS)
        before = gr.HTML(panels.READING, elem_id="layers-before")
        gr.HTML(f'<p class="legend">{said.WEIGHTS_LEGEND}</p>')
        with gr.Accordion("The weights as a table", open=False, elem_classes="quiet"):
            table = gr.Dataframe(headers=panels.TABLE_HEADERS, interactive=False, elem_id="layer-table")
        with gr.Row(elem_classes="part"):
            with gr.Column(scale=5, min_width=280):
                heading("One network, many disguises", panels.SYMMETRY)
                permute = gr.Button("Permute the hidden neurons", variant="primary", size="md",
                                    elem_id="permute-cnn", elem_classes="waits")  # fmt: skip
                rescale = gr.Button("Rescale them (ReLU keeps scales)", size="md", elem_id="rescale-cnn",
                                    elem_classes="waits")  # fmt: skip
            with gr.Column(scale=7, min_width=280):
                line = gr.HTML(elem_id="disguise-line")
        after = gr.HTML(elem_id="layers-after")
    ways: dict[Disguise, gr.Button] = {"permute": permute, "rescale": rescale}
    for how, button in ways.items():
        update([button.click], source, [Card(partial(views.show_disguise, how), [], [after, line])])
    return Card(views.show_weights, [], [before, after, line, table])


def _build_batch() -> None:
    with gr.Column(scale=4, min_width=280):
        heading("Many at once", BATCH)
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
        place = gr.HTML(said.NO_BATCH)
        table = gr.Dataframe(headers=said.BATCH_HEADERS, interactive=False, visible=False, max_height=420, wrap=True,
                             column_widths=BATCH_WIDTHS, elem_id="batch-table")  # fmt: skip
    outputs = [place, table, line, download, cancel]
    running = gr.on([files.upload], alerting_steps(views.show_batch), [files], outputs,
                    api_visibility="private", show_progress="minimal", show_progress_on=queue_line(),
                    trigger_mode="once")  # fmt: skip
    running.failure(views.batch_stopped, None, [line, cancel], api_visibility="private")
    cancel.click(views.batch_stopped, None, [line, cancel], cancels=[running], api_visibility="private")
