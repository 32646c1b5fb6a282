"""The "How it works" tab: what the others do in plain words, and a live picture of why reading weights is hard."""

from pathlib import Path
from typing import Any

import gradio as gr

from app import actions, how, how_panels
from app.tabs.cards import on
from app.widgets import heading

SCRIPT = (Path(__file__).parents[1] / "how.js").read_text(encoding="utf-8")

INTRO = (
    "A trained neural network is a file of numbers, its weights. Nothing in the file says what it does. The usual way "
    "to find out is to run it, on data that you need to have. Here another network reads the numbers, and tells you."
)
CATCH = (
    "This is a real network of the zoo, 16 of its 64 hidden neurons. It is asked for a row and a column, and answers "
    "how bright the picture is there. The hidden neurons (circles with letters) have no order of their own: shuffle "
    "them, let every line go with its neuron, and the file is another one, the network is not."
)
SO = """
<p>A reader that went by the places of the numbers would give another answer after every shuffle, though nothing that
matters has changed. A network with two layers of 32 neurons can be written down in more than 10<sup>70</sup> ways.</p>
<p>There are two ways out. The paper’s: take every number together with <b>its row, its column and all the rest</b>, by
sums, which do not depend on an order. Move the neurons, and what is computed about them moves along, which the paper
calls <b>permutation equivariant</b>; the final answer stays, which is called <b>invariant</b>.</p>
<p>The other: <b>ask the network</b> a few questions, and read its answers, which no shuffle changes. Each reader here
goes the way that measured best for what it does; its card in the Zoo says which, and by how much.</p>
"""
WORDS = {
    "SIREN, or INR": "A small network that is a picture: asked for a place, it answers with the colour there. "
    "INR is short for implicit neural representation.",
    "CNN": "A network that tells images apart, by small patterns (kernels) that it looks for everywhere.",
    "Test accuracy": "How many images in a hundred, none of them seen in training, a network names rightly.",
    "Interval": "Where the true number lies in nine cases of ten, as was checked on networks kept aside.",
    "Unlike the zoo": "The network resembles none that the reader learned from. It says so, and gives no number to "
    "rely on.",
    "PSNR": "How close two pictures are, in decibels. Above 30, the difference is hard to see.",
    "Winning ticket": "A small part of an untrained network that learns nearly as well as all of it.",
    "Predictor": "A network that reads other networks. The Zoo has them, with a card each: what it was trained on, how "
    "well it does, and where it fails.",
}


def build_how_tab(demo: gr.Blocks) -> None:
    """Three cards: the idea with its live picture, the reader's way out, and what the words mean."""
    with gr.Column(elem_classes="card"):
        heading("How it works", INTRO)
        heading("One network, many files", CATCH)
        image = how_panels.picture(actions.draw(how.network()), "the picture that the network draws: a 7")
        live = gr.HTML(
            how_panels.live_picture(how.drawn_weights(), image),
            js_on_load=SCRIPT,
            apply_default_css=False,
            elem_id="how-live",
        )
        said = gr.HTML(how_panels.NOT_YET, elem_id="how-said")
    with gr.Row(elem_classes="cards"):
        with gr.Column(scale=6, min_width=300, elem_classes="card"):
            heading("How it can be read all the same", "")
            gr.HTML(SO, elem_classes="prose-card")
        with gr.Column(scale=6, min_width=300, elem_classes="card"):
            heading("Words", "")
            gr.HTML(how_panels.glossary(WORDS))
    on([live.select], _shuffled, [], [said])


def _shuffled(event: gr.SelectData) -> Any:
    try:
        one, two = how.parse_order(str(event.value))
    except how.BadOrder as error:
        raise actions.RequestError("The page has lost track of its neurons. Please reload it.") from error
    check = how.shuffle(one, two)
    return how_panels.outcome(check, actions.draw(check.after), how.drawn_weights().middle, one, two)
