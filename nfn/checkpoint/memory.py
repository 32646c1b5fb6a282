"""Tensors in memory as a checkpoint, for what is said of files to be said of networks too."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from nfn.checkpoint.listing import Checkpoint, TensorInfo
from nfn.checkpoint.values import blocks


def of_tensors(form: str, tensors: Mapping[str, torch.Tensor]) -> Checkpoint:
    """The checkpoint that float32 tensors would be in the format `form`."""
    infos = {name: TensorInfo(name, "float32", tuple(t.shape), t.numel() * 4) for name, t in tensors.items()}

    def read(name: str) -> Iterator[np.ndarray]:
        return blocks(tensors[name].detach().cpu().float().numpy(), "float32")

    return Checkpoint(form, infos, blocks=read)
