"""Caps on what is listed of a checkpoint: far above published models, low enough to hold in memory."""

from nfn.reader.limits import MIB

HEADER_BYTES = 4 * MIB
"""Of a safetensors or GGUF file without its values: about 35,000 tensors (Llama-3-405B: 130 KB a shard)."""
TENSORS = 50_000
"""In one file."""
ALL_TENSORS = 200_000
"""In all shards of one checkpoint together (DeepSeek-V3: 91,991)."""
INDEX_BYTES = 16 * MIB
"""Of the index of a sharded checkpoint (DeepSeek-V3: 9 MB)."""
SHARDS = 1_000
JSON_BYTES = 16 * MIB
"""Of the graph in a `.pt2` file, and of the settings in a `.keras` file."""
NODES = 100_000
"""Operations of a graph that are counted."""
METADATA = 256
"""Entries of metadata that are kept, each cut to `METADATA_CHARACTERS`."""
METADATA_CHARACTERS = 1_000
