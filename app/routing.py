"""Which tabs read a network: those that have a predictor with no fault to find in it. No gradio."""

from app.zoos import predictor
from nfn.network import Network
from nfn.predictor import Predictor
from zoo.tickets import PREDICTORS as TICKET_PREDICTORS

READ_BY = {
    "INR": ("inr-classifier",),
    "Generalization": ("generalization", "accuracy"),
    "Tickets": TICKET_PREDICTORS,
}
"""The predictors of each tab."""
DRAWN_IN = "Generalization"
"""The tab that takes any other classifier: nothing is predicted of it there, yet it is drawn, permuted and run."""


def tabs_for(network: Network) -> list[str]:
    """The tabs that read a network."""
    tabs = [tab for tab, names in READ_BY.items() if any(_reads(name, network) for name in names)]
    return [DRAWN_IN] if not tabs and network.kind == "classifier" else tabs


def _reads(name: str, network: Network) -> bool:
    return predictor(name, Predictor).fault(network) is None


def elsewhere(network: Network) -> str:
    """A sentence to put behind a refusal: which tabs do read such a network; "" where none does."""
    tabs = tabs_for(network)
    if not tabs:
        return ""
    where = f"{' and '.join(tabs)} tab{'s' if len(tabs) > 1 else ''}"
    return f" Such networks are read in the {where}: upload it there."
