"""Every cap of the reader; all are far above any network that the predictors know."""

MIB = 1 << 20

FILE_BYTES = 100 * MIB
TENSORS = 2_000
NAME_CHARACTERS = 1_000
RANK = 8
ELEMENTS = 30_000_000
"""Values in all weights and biases together; as float32 they take little more than the largest file."""
PARTED = 16_000_000
"""Values of weights that are stored in parts and put together: they are there twice until the network is read."""

LAYERS = 64
LAYER_WIDTH = 100_000

SAFETENSORS_HEADER_BYTES = MIB

ZIP_MEMBERS = 2 * TENSORS
ZIP_DIRECTORY_BYTES = MIB
PICKLE_BYTES = 4 * MIB
PICKLE_OPCODES = 200_000
PARTS = 200_000
"""Containers and values of a pickle that are looked at; the same one counts anew at each place."""
FACTS = 10_000
"""Numbers and texts of a pickle that are kept."""
DEPTH = 32
"""Containers or modules inside each other."""

METADATA_ENTRIES = 64
METADATA_CHARACTERS = 1_000
OMEGA = 10_000.0
PIXEL = 10_000.0
PIXEL_STD = 1e-6

ORDER_STEPS = 5_000
"""Partial chains tried when the layers' order has to be found from their shapes."""

FOLDED = 1_000_000
"""Values of a network whose batch norm is folded: larger ones are kept as they are, which takes half the memory."""

ONNX_FIELDS = 300_000
"""Entries of an ONNX file that are looked at or skipped: PyTorch writes about 30 for each node."""
ONNX_VARINTS = 4_000_000
"""Numbers that are written one by one; weights are written as they are in memory."""
ONNX_NODES = 10_000
"""Nodes, and tensors (ResNet-152: 517 nodes without its constants)."""
ONNX_INTEGERS = 100_000
"""Numbers in a tensor of integers, which is a shape or a list of places, never a weight."""
ONNX_COMPUTED = ELEMENTS
"""Values in all results that are computed from constants alone."""
