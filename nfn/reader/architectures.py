"""Recognise architectures that are not a plain chain of layers, for better error messages."""

import re
from collections.abc import Collection

from nfn.reader.errors import NetworkFileError, StructureError, quote

_RESIDUAL_BLOCK = re.compile(r"(?:^|\.)layer\d+\.\d+\.conv\d+\.weight$")
"""The names of torchvision's ResNets, whose shapes may form a chain if all widths are equal."""

_KNOWN = (
    (r"downsample|shortcut|skip|resid", "a residual network (ResNet)", "its blocks add their input to their output"),
    (r"in_proj|q_proj|qkv|attn|attention|cls_token|pos_embed|wte\.", "a transformer", "it computes attention"),
    (r"weight_(?:ih|hh)_l\d", "a recurrent network (RNN, LSTM or GRU)", "its layers feed themselves"),
    (r"(?:^|\.)up\d*\.|upconv|deconv", "a network that enlarges images (a U-Net)",
     "it holds transposed convolutions or branches"),
)  # fmt: skip


def refuse_residual(names: Collection[str]) -> None:
    """Raise StructureError if the names are those of residual blocks, whose shapes may form a chain."""
    block = next((name for name in names if _RESIDUAL_BLOCK.search(name)), None)
    if block is not None:
        raise _refusal(block, *_KNOWN[0][1:])


def recognise(names: Collection[str], error: StructureError) -> NetworkFileError:
    """An error that names the architecture if tensor names tell it, else `error`."""
    for pattern, what, why in _KNOWN:
        match = next((name for name in names if re.search(pattern, name.lower())), None)
        if match is not None:
            return _refusal(match, what, why)
    return error


def _refusal(name: str, what: str, why: str) -> StructureError:
    return StructureError(
        f"This looks like {what}: it holds {quote(name)}. Such a network cannot be read from its tensors alone, "
        f"because {why}."
    )
