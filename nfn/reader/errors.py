"""The exceptions of the reader, and quoting of names from a file in their messages."""

STATE_DICT_EXPORT = 'safetensors.torch.save_file(model.state_dict(), "net.safetensors")'
"""Code that saves the weights of a PyTorch network."""

EXPORT_ADVICE = f"Export it with {STATE_DICT_EXPORT} and use that file."
"""Advice for files that are not a state_dict of dense floating-point tensors."""

ONNX_EXPORT = 'torch.onnx.export(model.eval(), (torch.zeros(1, 3, 32, 32),), "net.onnx", external_data=False)'
"""Code that saves a PyTorch network with its graph and weights in one file; the shape is of one input."""

GRAPH_ADVICE = f"A file with its graph can be read: {ONNX_EXPORT}."
"""Advice for files whose tensors do not determine what the network computes."""

KERAS_ADVICE = (
    'Export it with model.export("net.onnx", format="onnx"), or its weights alone with '
    'numpy.savez("net.npz", **{w.path: w.numpy() for w in model.weights}), and use that file.'
)
"""Advice for Keras files, which are listed (`nfn.checkpoint.keras`) but not read as networks."""

SHOWN_CHARACTERS = 60


class NetworkFileError(ValueError):
    """A file is not a network that can be read; the message is for the person who chose the file."""


class StructureError(NetworkFileError):
    """The tensors are valid, but not those of a plain chain of layers."""


def quote(name: object) -> str:
    """Quote a name from a file: control and right-to-left characters are escaped, and long names truncated."""
    plain = isinstance(name, (str, bytes, int, float)) or name is None
    text = str(name if plain else type(name).__name__)[: SHOWN_CHARACTERS + 1]
    quoted = repr(text)
    if len(quoted) <= SHOWN_CHARACTERS + 2:
        return quoted
    return quoted[: SHOWN_CHARACTERS - 1].rstrip("\\") + "…" + quoted[-1]


def quote_some(names: list[str], most: int = 3) -> str:
    """The first few names in quotes, and the number of others."""
    quoted = ", ".join(quote(name) for name in names[:most])
    return quoted if len(names) <= most else f"{quoted} and {len(names) - most} more"
