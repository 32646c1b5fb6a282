"""Read networks from files that anyone may have made, and write them back.

`read_network` and `write_network` are the whole interface; every refusal is a `NetworkFileError`.
"""

from nfn.reader.errors import NetworkFileError
from nfn.reader.read import read_network
from nfn.reader.write import write_network

__all__ = ["NetworkFileError", "read_network", "write_network"]
