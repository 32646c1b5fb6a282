"""Which op each operation of PyTorch is, by its ATen name (`relu_` is looked up as `relu`).

How the operations are called is in PyTorch's `native_functions.yaml`. A new one is a function that takes a `Call` and
gives a `Value`, and a line in the table of its file.
"""

from nfn.architecture.tracing import activations, arithmetic, layers, shapes
from nfn.architecture.tracing.recorder import Handler

HANDLERS: dict[str, Handler] = {
    **activations.HANDLERS,
    **dict.fromkeys(("add", "sub", "rsub", "mul", "div", "neg"), arithmetic.combine),
    **layers.HANDLERS,
    **shapes.HANDLERS,
}
