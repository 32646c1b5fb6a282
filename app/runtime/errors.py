"""Errors caused by a visitor's request. No gradio."""

from nfn.network import Network


class RequestError(ValueError):
    """A request that cannot be fulfilled; the text is a sentence for the visitor."""


class UnsuitableNetwork(RequestError):
    """A network that was read, but that this request does not apply to; other tabs may take it."""

    def __init__(self, fault: str, network: Network):
        super().__init__(fault)
        self.network = network
