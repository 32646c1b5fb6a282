"""Limits on the listing of a checkpoint: far above published models, and small enough for memory."""

from nfn.reader.limits import MIB

HEADER_BYTES = 4 * MIB
"""A safetensors or GGUF header: about 35,000 tensors (Llama-3-405B: 130 KB per shard)."""
TENSORS = 50_000
"""Tensors in one file."""
ALL_TENSORS = 200_000
"""Tensors in all shards of one checkpoint (DeepSeek-V3: 91,991)."""
INDEX_BYTES = 16 * MIB
"""The index of a sharded checkpoint (DeepSeek-V3: 9 MB)."""
SHARDS = 1_000
JSON_BYTES = 16 * MIB
"""The graph in a `.pt2` file, and the settings in a `.keras` file."""
NODES = 100_000
"""Graph operations that are counted."""
METADATA = 256
"""Metadata entries that are kept, each truncated to `METADATA_CHARACTERS`."""
METADATA_CHARACTERS = 1_000
