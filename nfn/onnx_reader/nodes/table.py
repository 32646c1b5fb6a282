"""Which op each of ONNX's operators is: https://onnx.ai/onnx/operators.

A new one is a function that takes a `Call` and gives a `Value`, and a line in the table of its file.
"""

from nfn.onnx_reader.nodes import activations, arithmetic, layers, shapes
from nfn.onnx_reader.values import Handler

HANDLERS: dict[str, Handler] = {
    **activations.HANDLERS,
    **arithmetic.HANDLERS,
    **layers.HANDLERS,
    **shapes.HANDLERS,
}

_QUANTISED = "its numbers are quantised; expected the network in float32, before quantisation"
_NORMALISED = "it normalises each input by its own mean and variance, which is not known here; batch norm is"
_RECURRENT = "it is recurrent; only networks that go forward once are known"

REFUSED: dict[str, str] = {
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear",
                     "ConvInteger", "MatMulInteger"), _QUANTISED),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization", "InstanceNormalization", "RMSNormalization", "LRN",
                     "LpNormalization", "MeanVarianceNormalization"), _NORMALISED),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURRENT),
    "ConvTranspose": "it is a transposed convolution; only convolutions are known",
    "Resize": "it scales a picture up or down; only pooling and strides are known",
    "Upsample": "it scales a picture up; only pooling and strides are known",
    "Attention": "attention is not known",
}  # fmt: skip
"""What is said of operators that people have, and that no architecture here can say."""
