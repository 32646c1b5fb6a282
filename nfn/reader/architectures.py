"""Recognise the architectures that are no plain chain of layers, so that a refusal can say what came."""

import re
from collections.abc import Collection

from nfn.reader.errors import NetworkFileError, StructureError, quote

_RESIDUAL_BLOCK = re.compile(r"(?:^|\.)layer\d+\.\d+\.conv\d+\.weight$")
"""The names of torchvision's ResNets; where all widths are equal, nothing but the names tells the additions."""

_KNOWN = (
    (r"downsample|shortcut|skip|resid", "a residual network (ResNet)", "its blocks add their input to their output"),
    (r"in_proj|q_proj|qkv|attn|attention|cls_token|pos_embed|wte\.", "a transformer", "it computes attention"),
    (r"weight_(?:ih|hh)_l\d", "a recurrent network (RNN, LSTM or GRU)", "its layers feed themselves"),
    (r"(?:^|\.)up\d*\.|upconv|deconv", "a network that enlarges images (a U-Net)",
     "it holds transposed convolutions or branches"),
)  # fmt: skip


def refuse_residual(names: Collection[str]) -> None:
    """Raise StructureError where the names are those of residual blocks: their shapes may well form a chain."""
    block = next((name for name in names if _RESIDUAL_BLOCK.search(name)), None)
    if block is not None:
        raise _refusal(block, *_KNOWN[0][1:])


def recognise(names: Collection[str], error: StructureError) -> NetworkFileError:
    """A better sentence than `error` where the names give the architecture away, else `error`."""
    for pattern, what, why in _KNOWN:
        found = next((name for name in names if re.search(pattern, name.lower())), None)
        if found is not None:
            return _refusal(found, what, why)
    return error


def _refusal(name: str, what: str, why: str) -> StructureError:
    return StructureError(
        f"This looks like {what}: it holds {quote(name)}. Such a network cannot be read, because {why}, and only "
        f"a plain chain is understood: linear layers (an MLP or SIREN), or 2D convolutions, then global average "
        f"pooling and linear layers. Train a network of that shape to have it read."
    )
