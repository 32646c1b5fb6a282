"""What goes wrong with a zoo: one exception, whose text is a sentence for the person who asked."""

from collections.abc import Iterable

MAX_TEXT = 600


class ZooError(ValueError):
    """A zoo, a collection or a name in it is not as it should be; the text says what to do next.

    It is one printable line, whatever of strangers' is quoted in it.
    """

    def __init__(self, text: str):
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: MAX_TEXT + 1])
        super().__init__(line if len(line) <= MAX_TEXT else f"{line[:MAX_TEXT]}…")


class HubError(ZooError):
    """The Hub, the way to it or the disk for what comes from it is not as it should be. The embedded zoo needs none."""


def shorten(text: str, width: int = 60) -> str:
    """Someone else's text as a quoted piece that fits into an error message."""
    return repr(text if len(text) <= width else text[:width] + "…")


def did_you_mean(names: Iterable[str]) -> str:
    """A question to end an error message with, " Did you mean a or b?"; "" where there are no names to offer."""
    found = " or ".join(names)
    return f" Did you mean {found}?" if found else ""
