"""The Tickets tab: pick or upload an untrained network, see which few weights are worth training, and race them."""

from typing import Any

import gradio as gr
from gradio.events import Dependency

from app import panels, tickets
from app import ticket_panels as said
from app.actions import Source
from app.alerts import alerting_steps
from app.sources import from_text, to_text
from app.tabs import tickets_views as views
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
from app.widgets import copy_link, heading, mark, network_list, segmented, upload_box

INTRO = (
    "Each row is a network as it is before training: random numbers. Click one, or bring your own. Beside it stands "
    "what it reached when it was trained, which the predictor was not told."
)
TICKET = (
    "Most weights of a network can be left out before it is trained, if one only knew which. A few lucky ones, its "
    "<i>winning ticket</i>, learn almost as well alone. Here they are guessed within a second, from the weights and "
    "from where gradients would take them."
)
MASKS = "For digits, the pixels where ink can be are kept. Move the slider, and watch what goes last."
RACE = (
    "Four runs from the same starting weights on the same images in the same order. Only what may be used differs: the "
    "ticket, as many weights at random, as many of the largest, or all."
)
COMPARISON = "Large initial weights are an obvious guess. Is the ticket more than that?"
FILES = (
    "The mask has your own tensor names, 1 where a weight is kept. The lines beside apply it to your network, "
    "<code>net</code>."
)


def build_tickets_tab(demo: gr.Blocks) -> None:
    """The chosen network, as text (see `app.sources`), a card to choose it, and four that show what becomes of it."""
    first = Source(zoo_id=tickets.first_init())
    source = gr.Textbox(to_text(first), visible="hidden", label="The chosen network", elem_id="init-source")
    with gr.Row(elem_classes="cards"):
        chooser = gr.Column(scale=4, min_width=320, elem_classes="card")
        with gr.Column(scale=8, min_width=320, elem_classes="card"):
            heading("Its winning ticket", TICKET)
            pruned = gr.Slider(
                50, 99, 95, step=1, label="Share of the weights to leave out, in %", elem_id="sparsity"
            )
            summary = gr.HTML(panels.READING, elem_id="ticket")
            copy_link("tickets")
    with gr.Column(elem_classes="card"):
        heading("What is kept, layer by layer", MASKS)
        masks = gr.HTML(panels.READING, elem_id="masks")
    with gr.Row(elem_classes="card"):
        racing, race = _build_race(source, pruned)
    with gr.Column(elem_classes="card"):
        heading("Beside the largest weights", COMPARISON)
        beside = gr.HTML(panels.READING, elem_id="beside")
    with gr.Row(elem_classes="card"):
        write, files = _build_files()
    on(
        [write.click],
        lambda text, share: views.write_files(from_text(text), share),
        [source, pruned],
        [write, *files],
    )
    ticket = Card(views.show_ticket, [pruned], [summary, masks, beside, write, *files])
    update([pruned.change], source, [ticket])
    freshen(source)
    with chooser:
        _build_chooser(demo, source, racing, [ticket, race])


def _build_chooser(demo: gr.Blocks, source: gr.Textbox, racing: Dependency, cards: list[Card]) -> None:
    heading("Choose an untrained network", INTRO)
    choices = views.image_choices()
    images = segmented(choices, choices[0][1], "To be trained on", elem_id="inits-of")
    table = network_list(panels.READING, elem_id="inits")
    file, refused = box = upload_box("init-upload")

    def pick(event: gr.SelectData, *values: Any):
        chosen = views.picked(event)
        yield from in_turn([to_text(chosen), mark(chosen.zoo_id), None], chosen, cards, values)

    def upload(path: str | None, *values: Any):
        chosen = views.uploaded(path)
        yield from in_turn([to_text(chosen), mark(None)], chosen, cards, values)

    def come_in(text: str, name: str, *values: Any):
        chosen = from_text(opened(text))
        name = views.collection_of(chosen, name)
        yield from in_turn(
            [to_text(chosen), name, views.show_networks(name, chosen), None], chosen, cards, values
        )

    inputs, outputs = inputs_of(cards), outputs_of(cards)
    opener = door(demo, "Tickets")
    choose(
        [opener.change], come_in, [opener, images, *inputs], [source, images, table, file, *outputs], [racing]
    )
    on(
        [images.input],
        lambda name, text: views.show_networks(name, from_text(text)),
        [images, source],
        [table],
    )
    choose([table.select], pick, inputs, [source, table, file, *outputs], [racing], "#ticket")
    receive(box, [file.upload], upload, inputs, [source, table, *outputs], [racing], "#ticket")
    forget(refused, [table.select, source.change])


def _build_race(source: gr.Textbox, pruned: gr.Slider) -> tuple[Dependency, Card]:
    with gr.Column(scale=8, min_width=300):
        heading("Race", RACE)
        curves = gr.HTML(said.NO_RACE, elem_id="race")
    with gr.Column(scale=4, min_width=260):
        with gr.Row():
            start = gr.Button(
                "Race", variant="primary", size="md", elem_id="start-race", elem_classes="waits"
            )
            cancel = gr.Button("Cancel", size="md", visible=False, elem_id="cancel-race")
        seed = gr.Number(0, label="Order of the images and the random mask: seed", precision=0, minimum=0,
                         maximum=2**31 - 1, elem_id="race-seed")  # fmt: skip
        line = gr.HTML(elem_id="race-line")
    controls = [line, start, cancel]

    def run(text: str, share: float, number: float):
        yield from views.run_race(from_text(text), share, number)

    # One race at a time, in a queue of its own: who asks for a mask does not wait behind it.
    running = gr.on([start.click], alerting_steps(run), [source, pruned, seed], [curves, *controls],
                    api_visibility="private", show_progress="minimal", show_progress_on=queue_line(),
                    trigger_mode="once",
                    concurrency_limit=1, concurrency_id="race")  # fmt: skip
    running.failure(views.stopped, None, controls, api_visibility="private")
    cancel.click(views.stopped, None, controls, cancels=[running], api_visibility="private")
    return running, Card(lambda chosen: views.waiting(), [], [curves, *controls])


def _build_files() -> tuple[gr.Button, list[gr.DownloadButton]]:
    with gr.Column(scale=5, min_width=280):
        heading("Take it with you", FILES)
        write = gr.Button("Prepare the files", size="md", elem_id="write-ticket", elem_classes="waits")
        mask = gr.DownloadButton("Download the mask", size="md", visible=False, elem_id="ticket-mask")
        init = gr.DownloadButton(
            "Download the masked network", size="md", visible=False, elem_id="ticket-init"
        )
    with gr.Column(scale=7, min_width=280):
        gr.Code(
            views.snippet(), language="python", label="Apply the mask", interactive=False, elem_id="snippet"
        )
    return write, [mask, init]
