"""In-memory tensors as a `Checkpoint`."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from nfn.checkpoint.listing import Checkpoint, TensorInfo
from nfn.checkpoint.values import blocks


def of_tensors(form: str, tensors: Mapping[str, torch.Tensor]) -> Checkpoint:
    """A checkpoint of float32 tensors, as if read from a file of the format `form`."""
    infos = {name: TensorInfo(name, "float32", tuple(t.shape), t.numel() * 4) for name, t in tensors.items()}

    def read(name: str) -> Iterator[np.ndarray]:
        return blocks(tensors[name].detach().cpu().float().numpy(), "float32")

    return Checkpoint(form, infos, blocks=read)
