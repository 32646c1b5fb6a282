"""The exceptions of a zoo, whose text is written for the user."""

from collections.abc import Iterable

MAX_TEXT = 600


class ZooError(ValueError):
    """A problem with a zoo, a collection or a name in it; the text says what to do next.

    The text is one printable line, even if it quotes untrusted text.
    """

    def __init__(self, text: str):
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: MAX_TEXT + 1])
        super().__init__(line if len(line) <= MAX_TEXT else f"{line[:MAX_TEXT]}…")


class HubError(ZooError):
    """A problem with the Hub, the connection to it, or the disk for downloads. The embedded zoo needs none of these."""


def shorten(text: str, width: int = 60) -> str:
    """Quote untrusted text, shortened to fit into an error message."""
    return repr(text if len(text) <= width else text[:width] + "…")


def did_you_mean(names: Iterable[str]) -> str:
    """The end of an error message, " Did you mean a or b?"; "" if there are no names to suggest."""
    options = " or ".join(names)
    return f" Did you mean {options}?" if options else ""
