"""Which tab reads a network that was brought to another one. No gradio."""

from collections.abc import Callable

from nfn.network import Kind, Network
from nfn.spec import NetworkSpec
from zoo.errors import ZooError
from zoo.tickets import predictor_for

NATIVE_SIZES = {1: 28, 3: 32}
"""Pixels a side of a SIREN's picture at zoom 1, by number of output channels."""


def is_picture(kind: Kind, spec: NetworkSpec) -> bool:
    """Whether networks of this kind and architecture are SIRENs from a pixel's coordinates to gray or colour."""
    inputs, outputs = spec.get_io()
    return kind == "siren" and inputs == 2 and outputs in NATIVE_SIZES


def elsewhere(network: Network) -> str:
    """A sentence to put behind a refusal: which tab does read such a network; "" where none does."""
    tab = next((name for name, reads in _READERS.items() if reads(network)), None)
    return "" if tab is None else f" Such networks are read in the {tab} tab: upload it there."


def _taken(check: Callable[[Network], object]) -> Callable[[Network], bool]:
    def reads(network: Network) -> bool:
        try:
            check(network)
        except ZooError:
            return False
        return True

    return reads


_READERS: dict[str, Callable[[Network], bool]] = {
    "INR": lambda network: network.chain is not None and is_picture(network.kind, network.spec),
    "Tickets": lambda network: (
        network.kind == "init" and network.chain is not None and _taken(predictor_for)(network)
    ),
    "Generalization": lambda network: network.kind == "classifier",
}
