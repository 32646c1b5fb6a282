"""The Generalization tab: pick or upload a small CNN, read its test accuracy from its weights, then measure it."""

from typing import Any

import gradio as gr
from gradio.events import Dependency

from app import generalization, panels
from app import generalization_panels as said
from app.actions import Source
from app.alerts import alerting_steps
from app.sources import from_text, to_text
from app.tabs import generalization_views as views
from app.tabs.cards import Card, inputs_of, on, outputs_of, show, update
from app.tabs.doors import door, opened
from app.widgets import heading, network_list, segmented

ACTIVATIONS = [("Find it", "auto"), ("ReLU", "relu"), ("tanh", "tanh")]
PIXELS = [("As the file says", "auto"), ("−1 to 1", "-1,1"), ("0 to 1", "0,1")]

INTRO = (
    "Each row is a small network that was trained to tell images apart, some well and some badly. Click one, or "
    "bring your own."
)
ACCURACY = (
    "How many images it has never seen will it name rightly? You need no data to know: another network says so from "
    "its weights."
)
CONVENTION = (
    "Few files say what is between their layers, or what black and white were for the network. Where neither the file "
    "nor you say it, the activation is found, and pixels go from −1 to 1."
)
SCATTER = "Every dot is a network of the zoo. The closer to the diagonal, the better it was read."
MEASURE = "Now let it name 1,000 real test images, and see."
WEIGHTS = "All that the file holds: every number of the network, as a colour."
SYMMETRY = (
    "Hidden neurons have no order. Swap them and every table of weights changes, yet the network does the same. "
    "Whoever reads weights must not be fooled by that."
)
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
            accuracy = gr.HTML(elem_id="accuracy")
    with gr.Row(elem_classes="card"):
        plot, measuring, result = _build_scatter(source, accuracy)
    with gr.Row(elem_classes="card"):
        weights = _build_weights(source)
    with gr.Row(elem_classes="card"):
        _build_batch()
    with chooser:
        _build_chooser(demo, source, plot, measuring, [result, weights])


def _build_chooser(
    demo: gr.Blocks, source: gr.Textbox, plot: gr.HTML, measuring: Dependency, cards: list[Card]
) -> None:
    heading("Choose a network", INTRO)
    choices = views.image_choices()
    images = segmented(choices, choices[0][1], "Trained on", elem_id="trained-on")
    table = network_list(elem_id="networks")
    file = gr.File(label="Or upload your own: .safetensors or .pt, up to 20 MB", elem_id="cnn-upload",
                   elem_classes="upload", height=104)  # fmt: skip
    with gr.Accordion("How my upload is to be read", open=False, elem_classes="quiet"):
        gr.HTML(f'<p class="line">{CONVENTION}</p>')
        activation = segmented(ACTIVATIONS, "auto", "Activation", elem_id="activation")
        black = segmented(PIXELS, "auto", "Pixels, black to white", elem_id="pixels")
        again = gr.Button("Read my upload this way", size="sm")

    def pick(event: gr.SelectData, *values: Any):
        chosen = views.picked(event)
        return to_text(chosen), gr.HTML(chosen=chosen.zoo_id), None, *show(chosen, cards, values)

    def upload(path: str | None, activation: str, black: str, *values: Any):
        chosen = views.uploaded(path, activation, black)
        return to_text(chosen), gr.HTML(chosen=None), *show(chosen, cards, values)

    def come_in(text: str, name: str, *values: Any):
        chosen = from_text(opened(text))
        name = name if chosen.zoo else views.images_of(chosen) or name
        return to_text(chosen), name, views.show_networks(name, chosen), None, *show(chosen, cards, values)

    inputs, outputs = inputs_of(cards), outputs_of(cards)
    opener = door(demo, "Generalization")
    on(
        [opener.change],
        come_in,
        [opener, images, *inputs],
        [source, images, table, file, *outputs],
        [measuring],
    )
    on([images.change], lambda name, text: views.show_networks(name, from_text(text)),
       [images, source], [table])  # fmt: skip
    on([table.select, plot.select], pick, inputs, [source, table, file, *outputs], [measuring])
    uploaded = on([file.upload, again.click], upload, [file, activation, black, *inputs],
                  [source, table, *outputs], [measuring])  # fmt: skip
    # A file that was refused does not stay listed as if it were shown; the network of before stays.
    uploaded.failure(lambda: None, None, file, api_visibility="private")


def _build_scatter(source: gr.Textbox, accuracy: gr.HTML) -> tuple[gr.HTML, Dependency, Card]:
    with gr.Column(scale=8, min_width=300):
        heading("Predicted against measured", SCATTER)
        plot = network_list(elem_id="scatter")
    with gr.Column(scale=4, min_width=260):
        heading("Is it true?", MEASURE)
        images = segmented(views.image_choices(), views.image_choices()[0][1], "Images", elem_id="measure-on")
        with gr.Row():
            start = gr.Button("Measure it", variant="primary", size="md", elem_id="measure")
            cancel = gr.Button("Cancel", size="md", visible=False, elem_id="cancel")
        line = gr.HTML(elem_id="measure-line")
        zoo_line = gr.HTML(elem_id="zoo-line")
    controls = [line, start, cancel]

    def measure(text: str, name: str):
        yield from views.measure(from_text(text), name)

    running = gr.on([start.click], alerting_steps(measure), [source, images], [accuracy, plot, *controls],
                    api_visibility="private", show_progress="hidden", trigger_mode="once")  # fmt: skip
    running.failure(views.stopped, None, controls, api_visibility="private")
    cancel.click(views.stopped, None, controls, cancels=[running], api_visibility="private")
    return plot, running, Card(views.show_result, [], [accuracy, plot, zoo_line, images, *controls])


def _build_weights(source: gr.Textbox) -> Card:
    with gr.Column():
        heading("The weights, layer by layer", WEIGHTS)
        before = gr.HTML(elem_id="layers-before")
        gr.HTML(f'<p class="legend">{said.WEIGHTS_LEGEND}</p>')
        with gr.Accordion("The weights as a table", open=False, elem_classes="quiet"):
            table = gr.Dataframe(headers=panels.TABLE_HEADERS, interactive=False, elem_id="layer-table")
        with gr.Row(elem_classes="part"):
            with gr.Column(scale=5, min_width=280):
                heading("One network, many disguises", SYMMETRY)
                permute = gr.Button(
                    "Permute the hidden neurons", variant="primary", size="md", elem_id="permute-cnn"
                )
            with gr.Column(scale=7, min_width=280):
                line = gr.HTML(elem_id="disguise-line")
        after = gr.HTML(elem_id="layers-after")
    update([permute.click], source, [Card(views.show_disguise, [], [after, line])])
    return Card(views.show_weights, [], [before, after, line, table])


def _build_batch() -> None:
    with gr.Column(scale=4, min_width=280):
        heading("Many at once", BATCH)
        files = gr.File(label="Files: .safetensors or .pt, up to 20 MB each", file_count="multiple", height=132,
                        elem_id="batch-upload", elem_classes="upload")  # fmt: skip
        line = gr.HTML(elem_id="batch-line")
        download = gr.DownloadButton("Download as CSV", size="md", visible=False, elem_id="batch-csv")
    with gr.Column(scale=8, min_width=300):
        place = gr.HTML(said.NO_BATCH)
        table = gr.Dataframe(headers=said.BATCH_HEADERS, interactive=False, visible=False, max_height=420,
                             elem_id="batch-table")  # fmt: skip
    on([files.upload], views.show_batch, [files], [place, table, line, download])
