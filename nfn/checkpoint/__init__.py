"""Open any checkpoint as a list of tensors, for any network; no code is run, and values stay on disk.

`open_checkpoint` (a file, or the index of a sharded one) and `open_bytes` give a `Checkpoint`. The way of a file:
`formats` (what it is) -> `safetensors_header`, `sharded`, `torch_file`, `onnx_file`, `exported`, `gguf`, `keras` with
`hdf5` (its tensors) -> `Checkpoint`. `nfn.reader` goes further and makes one network of a file; it needs networks that
it knows.
"""

from nfn.checkpoint.formats import open_bytes, open_checkpoint
from nfn.checkpoint.listing import Checkpoint, Port, TensorInfo

__all__ = ["Checkpoint", "Port", "TensorInfo", "open_bytes", "open_checkpoint"]
