"""Links to a view of the app: `?zoo=owner/name@sha&network=...&tab=...&style=...`. No gradio.

Links may be hostile: an invalid parameter is ignored, and a sentence says so.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from nfn.operators import STYLES
from zoo.catalog import WHOLE_ID
from zoo.remote import HUB_ID

MAX_VALUE = 300
"""Maximum length of a parameter."""


@dataclass(frozen=True)
class Link:
    """A view of the app; "" stands for the default."""

    zoo: str = ""
    network: str = ""
    tab: str = ""
    style: str = ""

    def query(self) -> str:
        """The query string, with its question mark.

        >>> Link(network="mnist-sirens/test/17", tab="inr").query()
        '?network=mnist-sirens/test/17&tab=inr'
        """
        params = {key: value for key, value in vars(self).items() if value}
        return f"?{urlencode(params, safe='/@')}" if params else ""


def read_link(params: Mapping[str, object], tabs: Collection[str]) -> tuple[Link, list[str]]:
    """Parse a page's query string; return the view, and a sentence for each parameter that is ignored.

    `tabs` are the keys of the page's tabs.
    """
    link, remarks = Link(), []
    for name, is_valid in {**CHECKS, "tab": tabs.__contains__}.items():
        value = params.get(name, "")
        if isinstance(value, str) and (not value or (len(value) <= MAX_VALUE and is_valid(value))):
            link = replace(link, **{name: value})
        else:
            remarks.append(f"The {name} in this link does not exist here, so it was ignored.")
    return link, remarks


CHECKS = {
    "zoo": lambda text: HUB_ID.fullmatch(text) is not None,
    "network": lambda text: WHOLE_ID.fullmatch(text) is not None,
    "style": STYLES.__contains__,
}
