"""All limits of the reader, far above any network that the predictors support."""

MIB = 1 << 20

FILE_BYTES = 100 * MIB
TENSORS = 2_000
NAME_CHARACTERS = 1_000
RANK = 8
ELEMENTS = 30_000_000
"""Total values of all weights and biases; as float32 they take little more memory than the largest file."""
REPARAMETRIZED = 16_000_000
"""Total values of reparametrized weights, which are in memory twice until the network is read."""

LAYERS = 64
LAYER_WIDTH = 100_000

SAFETENSORS_HEADER_BYTES = MIB

ZIP_MEMBERS = 2 * TENSORS
ZIP_ENTRY_BYTES = 262
"""The directory of a zip archive, per member: a mebibyte in all for the most members."""
PICKLE_BYTES = 4 * MIB
PICKLE_OPCODES = 200_000
PARTS = 200_000
"""Containers and values of a pickle that are visited; a shared one counts at every reference."""
FACTS = 10_000
"""Numbers and strings of a pickle that are kept."""
DEPTH = 32
"""Nested containers or modules."""

METADATA_ENTRIES = 64
METADATA_CHARACTERS = 1_000
CLASSES_CHARACTERS = 50_000
"""The names of all classes (ImageNet-1k: 22,000)."""
OMEGA = 10_000.0
PIXEL = 10_000.0
PIXEL_STD = 1e-6

FOLDED = 1_000_000
"""Values of a network up to which batch norm is folded; larger ones keep it, which takes half the memory."""

ONNX_FIELDS = 300_000
"""Protobuf fields of an ONNX file; PyTorch writes about 30 per node."""
ONNX_VARINTS = 4_000_000
"""Numbers encoded as varints; weights are stored as raw bytes."""
ONNX_NODES = 10_000
"""Nodes, and tensors (ResNet-152: 517 nodes without its constants)."""
ONNX_INTEGERS = 100_000
"""Values of an integer tensor, which is a shape or a list of indices, never a weight."""
ONNX_COMPUTED = ELEMENTS
"""Total values of results of constant folding."""
