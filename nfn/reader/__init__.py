"""Read networks from files that anyone may have made, and write them back.

`read_network` and `write_network` are the whole interface; every refusal is a `NetworkFileError`. The way of a file:
`sniff` (its format) -> `safetensors_file`, `torch_zip`, `legacy_file`, `npz_file`, `pickle_plan` (its tensors, by path)
-> `contents` -> `networks` (the one that is meant) -> `clean` -> `stored.StoredFile` -> `read` (layers in order, or a
graph).
"""

from nfn.reader.errors import NetworkFileError
from nfn.reader.read import read_network
from nfn.reader.write import write_network

__all__ = ["NetworkFileError", "read_network", "write_network"]
