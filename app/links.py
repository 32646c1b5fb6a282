"""Links to a view of the app: `?zoo=owner/name@sha&network=...&tab=...&style=...`. No gradio.

Whoever sends a link may be hostile: what is not exactly as it should be is left out, with a sentence that says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from nfn.operators import STYLES
from zoo.catalog import WHOLE_ID
from zoo.remote import HUB_ID

TABS = {
    "inr": "INR",
    "generalization": "Generalization",
    "tickets": "Tickets",
    "checkpoint": "Checkpoint",
    "zoo": "Zoo",
    "how": "How it works",
}
"""How links name the tabs, and how the page does."""
DOORS = ("inr", "generalization", "tickets", "zoo")
"""The tabs in which something can be opened, from a link or from the Zoo tab."""
MAX_VALUE = 300
"""Characters of a parameter that are looked at."""


@dataclass(frozen=True)
class Link:
    """A view of the app; "" stands for what it shows by itself."""

    zoo: str = ""
    network: str = ""
    tab: str = ""
    style: str = ""

    def query(self) -> str:
        """The link's query string, with its question mark.

        >>> Link(network="mnist-sirens/test/17", tab="inr").query()
        '?network=mnist-sirens/test/17&tab=inr'
        """
        given = {key: value for key, value in vars(self).items() if value}
        return f"?{urlencode(given, safe='/@')}" if given else ""


def read_link(params: Mapping[str, object]) -> tuple[Link, list[str]]:
    """The view that a page's query string asks for, and a sentence per parameter that asks for nothing there is."""
    link, remarks = Link(), []
    for name, good in CHECKS.items():
        value = params.get(name, "")
        if isinstance(value, str) and (not value or (len(value) <= MAX_VALUE and good(value))):
            link = replace(link, **{name: value})
        else:
            remarks.append(f"This link's {name} names nothing that there is here; it was left out.")
    return link, remarks


CHECKS = {
    "zoo": lambda text: HUB_ID.fullmatch(text) is not None,
    "network": lambda text: WHOLE_ID.fullmatch(text) is not None,
    "tab": TABS.__contains__,
    "style": STYLES.__contains__,
}
