"""What goes wrong with a zoo: one exception, whose text is a sentence for the person who asked."""


class ZooError(ValueError):
    """A zoo, a collection or a name in it is not as it should be; the text says what to do next."""


class HubError(ZooError):
    """The Hub, the way to it or the disk for what comes from it is not as it should be. The embedded zoo needs none."""


def shorten(text: str, width: int = 60) -> str:
    """Someone else's text as a quoted piece that fits into an error message."""
    return repr(text if len(text) <= width else text[:width] + "…")
