"""What every predictor shares: a frozen config, saved as `config.json` beside `model.safetensors`, loaded strictly."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nfn.network import Network

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


class Predictor(nn.Module):
    """A model that reads networks. Subclasses set `name` and `config_class`, take the config alone, and say
    in `fault` which networks they cannot read."""

    name: ClassVar[str]
    config_class: ClassVar[type]

    def __init__(self, config: Any):
        super().__init__()
        self.config = config

    def fault(self, network: Network) -> str | None:
        """Why a network cannot be read, as a sentence that says what it is and what was wanted; None where it can."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def save(self, folder: Path | str) -> None:
        """Write `config.json` and `model.safetensors`, in half precision."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        halves = {k: v.half() if v.is_floating_point() else v for k, v in self.state_dict().items()}
        save_file({k: v.contiguous() for k, v in halves.items()}, folder / f"{WEIGHTS_FILE}.part")
        os.replace(folder / f"{WEIGHTS_FILE}.part", folder / WEIGHTS_FILE)
        text = json.dumps({"predictor": self.name, **asdict(self.config)}, indent=2)
        (folder / CONFIG_FILE).write_text(text + "\n")

    @classmethod
    def from_pretrained(cls, place: Path | str, revision: str | None = None) -> Self:
        """`load` from a folder, or from a model repository `owner/name` on the Hub, at a branch, tag or commit.

        The Hub's client comes in here only, so that this works without a zoo, with the client's cache and token. A
        folder of that name wins: for names that strangers type, see `zoo.remote.open_hub_zoo`.
        """
        folder = Path(place)
        if not folder.is_dir():
            from huggingface_hub import snapshot_download

            files = [CONFIG_FILE, WEIGHTS_FILE]
            folder = Path(snapshot_download(str(place), revision=revision, allow_patterns=files))
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        """The predictor saved in `folder`, in evaluation mode; any name or shape that does not match raises."""
        folder = Path(folder)
        config = json.loads((folder / CONFIG_FILE).read_text())
        kind = config.pop("predictor", None)
        if kind != cls.name:
            raise ValueError(f"{folder / CONFIG_FILE} describes a {kind!r} predictor, not {cls.name!r}.")
        model = cls(cls.config_class(**config))
        model.load_state_dict(load_file(folder / WEIGHTS_FILE), strict=True)
        return model.to(device).eval()
