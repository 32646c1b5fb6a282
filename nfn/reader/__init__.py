"""Read networks from untrusted files, and write them back.

`read_network` and `write_network` are the interface; every rejected file raises `NetworkFileError`. The steps are:
`sniff` (format) -> `safetensors_file`, `torch_zip`, `legacy_file`, `npz_file` or `pickle_plan` (tensors by path) ->
`contents` -> `networks` (selects one) -> `clean` -> `stored.StoredFile` -> `read` (layers in order, or a graph).
"""

from nfn.reader.errors import NetworkFileError
from nfn.reader.read import read_network
from nfn.reader.write import write_network

__all__ = ["NetworkFileError", "read_network", "write_network"]
