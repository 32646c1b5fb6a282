"""The Lucky weights tab: pick or upload an untrained network, find its winning ticket, and train it in a race."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from app.networks.source import Source
from app.networks.zoos import zoo_at
from app.page.alerts import with_alerts_in_steps
from app.page.cards import (
    Card,
    UploadTarget,
    add_event,
    inputs_of,
    listen_for_choice,
    listen_for_inbox,
    listen_for_upload,
    outputs_of,
    queue_status,
    refresh_on,
    show_cards_in_turn,
    stop_on_cancel,
    unfade_on_answer,
)
from app.page.html import READING
from app.page.refusal import build_refusal_card
from app.page.source_text import from_text, to_text
from app.page.tab import Page, Tab
from app.page.terms import term
from app.page.widgets import (
    copy_link_button,
    heading,
    network_list,
    segmented,
    selection_update,
    slider,
    upload_box,
)
from app.tabs.tickets import actions, html, views

INTRO = (
    "Each row is an untrained network: random numbers. Click one, or upload your own. The table shows the test "
    "accuracy after training, which the predictor does not see."
)
TICKET = (
    f"A few of a network's weights, its {term('winning ticket', 'Winning ticket')}, can be trained almost as well as "
    "all of them. Here they are predicted before the training."
)
MASKS = "Each dot is a weight that is kept. Move the slider to see which weights go last."
RACE = (
    "Four training runs with the same initial weights and the same batches, each with other weights: the ticket, the "
    "same number of random weights, the same number of largest weights, or all."
)
COMPARISON = (
    "Keeping the largest initial weights is the obvious alternative. How does the ticket differ from it?"
)
FILES = (
    "The mask has the tensor names of your file, with 1 where a weight is kept. The code applies it to your network, "
    "<code>net</code>."
)


def build_tickets_tab(page: Page) -> None:
    """Build the chosen network as text (see `app.page.source_text`), a card to choose it and four that show it."""
    first = Source(zoo_id=actions.first_init())
    source = gr.Textbox(to_text(first), visible="hidden", label="The chosen network", elem_id="init-source")
    with gr.Row(elem_classes="cards"):
        chooser = gr.Column(scale=4, min_width=320, elem_classes="card")
        refused = build_refusal_card(page, "init-upload-refused")
        with gr.Column(scale=8, min_width=320, elem_classes="card answer"):
            heading("Its winning ticket", TICKET)
            with gr.Row():
                pruned = slider(50, 99, 95, step=1, label="Weights to remove, in %", min_width=260, scale=3,
                                elem_id="sparsity")  # fmt: skip
                reader = segmented(views.reader_choices(first), "best", "Read from", min_width=260, scale=2,
                                   elem_id="ticket-reader")  # fmt: skip
            summary = gr.HTML(READING, elem_id="ticket")
            other = gr.HTML(elem_id="other")
            copy_link_button("tickets")
    with gr.Row(elem_classes="card answer", elem_id="race-card"):
        racing, race = _build_race(source, pruned, reader)
    with gr.Column(elem_classes="card answer"):
        heading("What is kept, layer by layer", MASKS)
        masks = gr.HTML(READING, elem_id="masks")
    with gr.Column(elem_classes="card answer"):
        heading("Compared with the largest weights", COMPARISON)
        beside = gr.HTML(READING, elem_id="beside")
    with gr.Row(elem_classes="card answer"):
        write, files = _build_files()
    add_event(
        [write.click],
        lambda text, *choices: views.write_files(from_text(text), *choices),
        [source, pruned, reader],
        [write, *files],
    )
    ticket = Card(views.show_ticket, [pruned, reader], [summary, masks, beside, write, *files])
    readers = Card(views.show_readers, [], [reader])
    other_ticket = Card(views.show_other, [pruned, reader], [other])
    refresh_on([pruned.change, reader.input], source, [ticket, other_ticket])
    unfade_on_answer(source)
    with chooser:
        _build_chooser(page, source, refused, racing, [ticket, readers, race, other_ticket])


def _build_chooser(
    page: Page, source: gr.Textbox, refused: gr.HTML, racing: Dependency, cards: list[Card]
) -> None:
    heading("Choose an untrained network", INTRO)
    choices = views.image_choices()
    images = segmented(choices, choices[0][1], "Training images", elem_id="inits-of")
    table = network_list(READING, elem_id="inits")
    file = upload_box("init-upload")

    def pick(event: gr.SelectData, *values: Any):
        chosen = views.picked_source(event)
        yield from show_cards_in_turn(
            [to_text(chosen), selection_update(chosen.zoo_id)], chosen, cards, values
        )

    def switch(name: str, *values: Any):
        chosen = Source(zoo_id=zoo_at().rows(name, limit=1)[0]["id"])
        yield from show_cards_in_turn(
            [to_text(chosen), views.show_networks(name, chosen)], chosen, cards, values
        )

    def upload(path: str | None, *values: Any):
        chosen = views.uploaded_source(path)
        yield from show_cards_in_turn([to_text(chosen), selection_update(None)], chosen, cards, values)

    def open_from_inbox(chosen: Source, name: str, *values: Any):
        name = views.collection_of(chosen, name)
        yield from show_cards_in_turn(
            [to_text(chosen), name, views.show_networks(name, chosen)], chosen, cards, values
        )

    inputs, outputs = inputs_of(cards), outputs_of(cards)
    place = UploadTarget(page, "tickets", file, refused)
    listen_for_inbox(place, open_from_inbox, [images, *inputs], [source, images, table, *outputs], [racing])
    listen_for_choice(place, [images.input], switch, [images, *inputs], [source, table, *outputs], [racing])
    listen_for_choice(place, [table.select], pick, inputs, [source, table, *outputs], [racing], "#ticket")
    listen_for_upload(
        place,
        [file.upload],
        upload,
        inputs,
        [source, table, *outputs],
        [racing],
        "#ticket",
    )


def _build_race(source: gr.Textbox, pruned: gr.Slider, reader: gr.Radio) -> tuple[Dependency, Card]:
    with gr.Column(scale=8, min_width=300):
        heading("Race", RACE)
        curves = gr.Plot(visible=False, show_label=False, container=False, elem_id="race-plot")
        table = gr.HTML(html.NO_RACE, elem_id="race")
    with gr.Column(scale=4, min_width=260):
        with gr.Row():
            start = gr.Button(
                "Race", variant="primary", size="md", elem_id="start-race", elem_classes="waits"
            )
            cancel = gr.Button("Cancel", size="md", visible=False, elem_id="cancel-race")
        seed = gr.Number(0, label="Seed of the image order and the random mask", precision=0, minimum=0,
                         maximum=2**31 - 1, elem_id="race-seed")  # fmt: skip
        line = gr.HTML(elem_id="race-line")
    controls = [line, start, cancel]

    def run(text: str, share: float, choice: str, number: float):
        yield from views.run_race(from_text(text), share, choice, number)

    # One race at a time, in a queue of its own, so that masks do not wait for it.
    running = gr.on([start.click], with_alerts_in_steps(run), [source, pruned, reader, seed],
                    [curves, table, *controls], api_visibility="private", show_progress="minimal",
                    show_progress_on=queue_status(), trigger_mode="once", concurrency_limit=1, concurrency_id="race",
                    js="(...values) => { weightscope.markRace(false); return values; }")  # fmt: skip
    gr.on(
        [pruned.change, reader.input], None, js="() => weightscope.markRace(true)", api_visibility="private"
    )
    source.change(None, js="() => weightscope.markRace(false)", api_visibility="private")
    stop_on_cancel(cancel, running, views.show_stopped, controls)
    return running, Card(lambda chosen: views.before_race(), [], [curves, table, *controls])


def _build_files() -> tuple[gr.Button, list[gr.DownloadButton]]:
    with gr.Column(scale=5, min_width=280):
        heading("Download", FILES)
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


TAB = Tab(
    key="tickets",
    title="Lucky weights",
    build=build_tickets_tab,
    lists=lambda spec: spec.kind == "init",
    reads=actions.reads,
    content="an image classifier",
    next_step="Find its winning ticket",
    first=actions.first_init,
    address=("init-source",),
    stylesheet=Path(__file__).with_name("tickets.css"),
)
