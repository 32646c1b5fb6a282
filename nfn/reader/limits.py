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
