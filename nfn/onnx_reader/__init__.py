"""ONNX files: their graph as an `Architecture`, their weights as tensors; nothing in them is run.

    bytes --wire--> counted --parse--> Model --read--> Builder and nodes --> OnnxModel

The `onnx` package (protobuf) is loaded when the first file is read.
"""

from nfn.onnx_reader.errors import OnnxError
from nfn.onnx_reader.read import OnnxModel, read_onnx

__all__ = ["OnnxError", "OnnxModel", "read_onnx"]
