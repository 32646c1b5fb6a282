"""The one exception of the reader, and how names from a file are shown in it."""

EXPORT_ADVICE = (
    'Export it with safetensors.torch.save_file(model.state_dict(), "net.safetensors") and use that file.'
)
"""What to do next, for every file that is not a state_dict of dense floating-point tensors."""

ONNX_EXPORT = 'torch.onnx.export(model.eval(), (torch.zeros(1, 3, 32, 32),), "net.onnx", external_data=False)'
"""How PyTorch writes a network with its graph and its weights in one file; the sizes are of one input."""

GRAPH_ADVICE = f"A file with its graph can be read: {ONNX_EXPORT}."
"""What to do next where the tensors alone do not say what the network computes."""

KERAS_ADVICE = (
    'Export it with model.export("net.onnx", format="onnx"), or its weights alone with '
    'numpy.savez("net.npz", **{w.path: w.numpy() for w in model.weights}), and use that file.'
)
"""What to do with a file of Keras: HDF5 is not read, whose library parses in C what nobody has checked."""

SHOWN_CHARACTERS = 60


class NetworkFileError(ValueError):
    """A file is not a network that can be read; the message is meant for the person who chose the file."""


class StructureError(NetworkFileError):
    """The tensors are sound, but not those of a plain chain of layers."""


def quote(name: object) -> str:
    """A name from a file in quotes, control and right-to-left characters escaped, cut to some length."""
    plain = isinstance(name, (str, bytes, int, float)) or name is None
    text = str(name if plain else type(name).__name__)[: SHOWN_CHARACTERS + 1]
    shown = repr(text)
    if len(shown) <= SHOWN_CHARACTERS + 2:
        return shown
    return shown[: SHOWN_CHARACTERS - 1].rstrip("\\") + "…" + shown[-1]


def quote_some(names: list[str], most: int = 3) -> str:
    """A few names in quotes, and how many more there are."""
    shown = ", ".join(quote(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
