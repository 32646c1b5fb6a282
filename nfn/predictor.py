"""`Predictor`, the base class: a module with a frozen config, saved as `config.json` and `model.safetensors`.

To add a predictor: a subclass in a file of its own, and its line in `CLASSES`.
"""

import importlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.overrides import TorchFunctionMode

from nfn.network import Network
from nfn.predictor_config import make_config

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
CLASSES = {
    "inr-classifier": ".classifier:InrClassifier",
    "inr-editor": ".editor:InrEditor",
    "generalization": ".generalization:GeneralizationPredictor",
    "accuracy": ".accuracy.predictor:AccuracyPredictor",
    "weight-reader": ".weight_reader:WeightReader",
    "winning-tickets": ".tickets:TicketPredictor",
}
"""Predictor name, as in `config.json`, to its module and class, which is imported when needed."""


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Config = TypeVar("Config", bound=Dataclass)
Result = TypeVar("Result", bound=Dataclass)


class Predictor(nn.Module, Generic[Config, Result]):
    """A model whose input is a network. `Config` and `Result` are frozen dataclasses.

    Subclasses take the config as their only argument, implement `fault` and `predict`, and are listed in `CLASSES` by
    their `name`, which stands in `config.json`. A zoo lists `title` and `task`; `title` may be a property.
    """

    name: ClassVar[str]
    config_class: ClassVar[type]
    task: ClassVar[str]
    title: str
    config: Config

    def __init__(self, config: Config):
        super().__init__()
        self.config = config

    def fault(self, network: Network) -> str | None:
        """Why a network cannot be read, as a sentence that says what it is and what was expected; None if it can."""
        raise NotImplementedError

    def predict(self, network: Network) -> Result:
        """The result for one network; ValueError, a sentence for the visitor, if it cannot be read (see `fault`)."""
        raise NotImplementedError

    def predict_batch(self, networks: Sequence[Network]) -> list[Result]:
        """The result for each network, as of `predict`; subclasses may run many at once."""
        return [self.predict(network) for network in networks]

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
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

    def save_pretrained(self, folder: Path | str) -> None:
        """Alias of `save`, as in transformers."""
        self.save(folder)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        token: str | bool | None = None,
        commit_message: str = "Push a predictor with Weightscope",
    ) -> str:
        """Upload to the model repository `owner/name` on the Hub, created if missing; return the commit's URL.

        An existing card is kept; `python -m zoo push` uploads predictors with their cards. Raises the errors of
        `huggingface_hub`.
        """
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        api.create_repo(repo_id, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            self.save(folder)
            return api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=commit_message)

    @classmethod
    def from_pretrained(
        cls,
        place: Path | str,
        *,
        revision: str | None = None,
        cache_dir: Path | str | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        device: str | torch.device = "cpu",
        subfolder: str = "",
    ) -> Self:
        """Load from a folder, or from a model repository `owner/name` on the Hub, at a branch, tag or commit.

        The arguments are those of `huggingface_hub.snapshot_download`; `subfolder` is the predictor's folder in
        `place`, such as `predictors/inr-classifier` in a zoo. `Predictor.from_pretrained` loads any predictor.

        A local folder takes precedence over a repository of the same name: for untrusted names use
        `zoo.remote.open_hub_zoo`.

        Raises:
            ValueError: `place` is neither a folder nor a repository's name, or has another predictor.
        """
        folder = Path(place)
        if not folder.is_dir():
            if not REPOSITORY.fullmatch(str(place)):
                raise ValueError(
                    f"{str(place)!r} is neither a folder nor owner/name of a model repository on the Hub."
                )
            from huggingface_hub import snapshot_download

            files = [str(PurePosixPath(subfolder, name)) for name in (CONFIG_FILE, WEIGHTS_FILE)]
            folder = Path(snapshot_download(
                str(place), revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only,
                allow_patterns=files,
            ))  # fmt: skip
        return cls.load(folder / subfolder, device)

    @classmethod
    def load(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        """Load the predictor saved in `folder`, in evaluation mode. Its files may be untrusted.

        Raises:
            ValueError: the config is damaged, or of another or an unknown predictor; or the weights are damaged.
            RuntimeError: a tensor's name or shape does not match the config.
        """
        folder = Path(folder)
        content = _read_config(folder)
        kind = content.pop("predictor", None)
        chosen = _class_of(kind, folder) if cls is Predictor else cls
        if kind != chosen.name:
            raise ValueError(
                f"{_short(folder)} describes a {str(kind)[:60]!r} predictor, not {chosen.name!r}."
            )
        try:
            config = make_config(chosen.config_class, content)
            _check_weights(chosen, config, folder)
        except (ValueError, SafetensorError) as error:
            raise ValueError(f"{folder.name} is damaged: {error}.") from error
        model = chosen(config)
        model.load_state_dict(load_file(folder / WEIGHTS_FILE), strict=True)
        return model.to(device).eval()  # pyright: ignore[reportReturnType]


def _short(folder: Path) -> str:
    return f"{folder.name}/{CONFIG_FILE}"


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / CONFIG_FILE).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{_short(folder)} is damaged: it is not JSON.") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{_short(folder)} is damaged: expected a JSON object, got {type(content).__name__}."
        )
    return content


def _check_weights(kind: type[Predictor], config: Any, folder: Path) -> None:
    """Check that the tensors in the file are those that the config asks for, before either takes memory."""
    with torch.device("meta"), _Unfilled(), safe_open(folder / WEIGHTS_FILE, "pt") as file:
        try:
            model = kind(config)
        except Exception as error:  # layers of odd sizes fail in many ways
            raise ValueError(f"no {kind.name} has the sizes in {CONFIG_FILE}") from error
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        model.load_state_dict({name: torch.empty(shape) for name, shape in shapes.items()}, strict=True)


class _Unfilled(TorchFunctionMode):
    """Leaves weights as they are: on the meta device, filling them imports torch.s compiler or sympy: 2 s."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func.__name__ in ("normal_", "uniform_", "mul_"):
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def _class_of(kind: Any, folder: Path) -> type[Predictor]:
    if not isinstance(kind, str) or kind not in CLASSES:
        names = ", ".join(CLASSES)
        raise ValueError(
            f"{_short(folder)} describes a {str(kind)[:60]!r} predictor; this version knows {names}."
        )
    module, name = CLASSES[kind].split(":")
    return getattr(importlib.import_module(module, __package__), name)
