"""The "How it works" tab: what the other tabs do, and an animation of why reading weights is hard."""

from pathlib import Path
from typing import Any

import gradio as gr

from app.page.cards import add_event
from app.page.tab import Page, Tab
from app.page.terms import WORDS
from app.page.widgets import heading
from app.runtime.errors import RequestError
from app.tabs.how import actions, html
from app.tabs.inr import actions as inr_actions

SCRIPT = Path(__file__).with_name("how.js").read_text(encoding="utf-8")

INTRO = (
    "A trained neural network is a file of numbers, its weights. The file does not say what the network does. Usually "
    "you run it on data to find out. Here, another network reads the numbers and tells you."
)
NEURONS = (
    "This is a real network of the zoo; 16 of its 64 hidden neurons are shown. Its input is a row and a column, its "
    "output the brightness of the picture there. The order of the hidden neurons (circles with letters) is arbitrary: "
    "shuffle them together with their lines, and the file changes, but the network stays the same."
)
SOLUTION = """
<p>A predictor that depends on the positions of the numbers would change its answer after every shuffle, although the
network computes the same. A network with two layers of 32 neurons can be stored in more than 10<sup>70</sup> ways.</p>
<p>There are two solutions. The paper combines each weight with sums over <b>its row, its column and all weights</b>,
and sums do not depend on the order. If the neurons are permuted, the features of the neurons are permuted in the same
way (<b>permutation equivariant</b>), and the final answer does not change (<b>invariant</b>).</p>
<p>The other solution is to <b>run the network</b> on a few inputs and read its outputs, which no shuffle changes. Each
predictor here uses whichever worked better for its task; its card in the Zoo says which, and by how much.</p>
"""


def build_how_tab(page: Page) -> None:
    """Three cards: the idea with an animation, how a reader copes with it, and a glossary."""
    with gr.Column(elem_classes="card"):
        heading("How it works", INTRO)
        heading("One network, many files", NEURONS)
        image = html.picture(inr_actions.draw(actions.network()), "the picture that the network draws: a 7")
        live = gr.HTML(
            html.live_picture(actions.drawn_weights(), image),
            js_on_load=SCRIPT,
            apply_default_css=False,
            elem_id="how-live",
        )
        outcome = gr.HTML(html.NOT_YET, elem_id="how-said")
    with gr.Row(elem_classes="cards"):
        with gr.Column(scale=6, min_width=300, elem_classes="card"):
            heading("How the weights can still be read", "")
            gr.HTML(SOLUTION, elem_classes="prose-card")
        with gr.Column(scale=6, min_width=300, elem_classes="card"):
            heading("Words", "")
            gr.HTML(html.glossary(WORDS))
    add_event([live.select], _shuffled, [], [outcome])


def _shuffled(event: gr.SelectData) -> Any:
    try:
        one, two = actions.parse_order(str(event.value))
    except actions.InvalidOrder as error:
        raise RequestError("The page has lost track of its neurons. Please reload it.") from error
    check = actions.shuffle(one, two)
    return html.outcome(check, inr_actions.draw(check.after), actions.drawn_weights().middle, one, two)


TAB = Tab(
    key="how",
    title="How it works",
    build=build_how_tab,
    stylesheet=Path(__file__).with_name("how.css"),
)
