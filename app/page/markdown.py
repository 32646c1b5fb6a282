"""Untrusted cards (Markdown) as HTML: no raw HTML, no images, and links to web pages only."""

import re

from markdown_it import MarkdownIt

MAX_CARD = 20_000
"""Characters of a card that are shown: rendering time can grow with their square."""
FRONT_MATTER = re.compile(r"\A---\s*\n.*?\n---\s*(?:\n|\Z)", re.DOTALL)
WEB = re.compile(r"https?://[^\s\"'<>]+", re.IGNORECASE)


def card_html(text: str) -> str:
    """Render untrusted Markdown, without its front matter, as safe HTML."""
    body = FRONT_MATTER.sub("", text.replace("\0", "")[:MAX_CARD])
    more = "<p><em>The rest of this long card is left out.</em></p>" if len(text) > MAX_CARD else ""
    return f'<div class="zoo-prose">{_reader().render(body)}{more}</div>'


def _reader() -> MarkdownIt:
    """CommonMark with tables, text only; one per card, because renderers keep state."""
    reader = MarkdownIt("commonmark", {"html": False, "maxNesting": 12}).enable("table").disable("image")
    reader.validateLink = lambda url: WEB.fullmatch(url) is not None
    reader.add_render_rule("link_open", _open_link)
    return reader


def _open_link(renderer, tokens, index, options, env) -> str:
    tokens[index].attrs |= {"target": "_blank", "rel": "noopener noreferrer nofollow"}
    return renderer.renderToken(tokens, index, options, env)
