"""What goes wrong because of what a visitor asked for. No gradio."""


class RequestError(ValueError):
    """What a visitor asked for cannot be done; the text is a sentence for them."""
