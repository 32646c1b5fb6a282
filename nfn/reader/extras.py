"""Separate tensors that are not part of a network, such as EMA copies or metrics, by their names.

A kind of tensors is left in place if no weight would remain without it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nfn.reader.errors import quote_some
from nfn.reader.tensors import StoredTensor

_COPY = re.compile(
    r"(?:\w+_)?(?:ema|swa)(?:_\w+)?|shadow(?:_\w+)?|averaged?_(?:model|net|weights)"
    r"|(?:\w+_)?(?:target|tgt|teacher)(?:_\w+)?|old_\w+|momentum_encoder|(?:\w+_)?encoder_k"
    r"|grads?|gradients|masks?|fisher"
)
_METRIC = re.compile(
    r"(?:(?:train|val|valid|validation|test|best|top_?\d)_?)*"
    r"(?:acc|accuracy|auroc|auc|f1|f1_?score|precision|recall|psnr|ssim|iou|miou|jaccard|mse|mae|metrics?)"
    r"(?:_?(?:train|val|valid|test|metrics?|top_?\d|\d+))*"
    r"|(?:\w+_)?conf(?:usion)?_?mat(?:rix)?(?:_\w+)?|\w+_metrics?"
)
_LOSS = re.compile(
    r"(?:\w+_)?(?:criterion|criteria|loss|losses|loss_?fn|loss_?func(?:tion)?|perceptual)(?:_\w+)?"
    r"|(?:class|label|pos|sample)_?weights?|lpips"
)
_STATISTICS = re.compile(r"_?(?:\w+_)?(?:mean|std|stddev)")
_COUNTER = re.compile(
    r"steps?|global_step|epochs?|iterations?|n_averaged|initted|num_updates|decay|count|counter|num_steps"
    r"|num_batches_tracked|\w+_(?:counter|steps?)"
)
_SCALE = re.compile(r"log_?std|temperature|logit_scale")
_GRID = re.compile(r"(?:\w+_)?(?:coords?|coordinates|m?grid|mesh_?grid|xy|pixel_positions)(?:_\w+)?")
_AUXILIARY = re.compile(r"aux(?:iliary)?(?:_?(?:head|logits|classifier|fc|net)\w*|\d*)|auxlogits")
_STATISTICS_OF_NORM = ("running_mean", "moving_mean")
_KEYS, _KEY_CHARACTERS = 20, 60
"""Limits on the parts of a name that patterns are matched with, to bound matching time."""
_WEIGHT_WORDS = re.compile(r"(?i)(?:weight|kernel|bias)\w*$")


@dataclass(frozen=True)
class _Kind:
    """One kind of extra tensors: its label, and a predicate."""

    label: str
    matches: Callable[[list[str], StoredTensor, Mapping[str, StoredTensor]], bool]


def _in_module(pattern: re.Pattern[str]) -> Callable[..., bool]:
    return lambda keys, *_: any(pattern.fullmatch(key) for key in keys)


def _named(pattern: re.Pattern[str]) -> Callable[..., bool]:
    return lambda keys, *_: bool(pattern.fullmatch(keys[-1]))


def _is_statistic(keys: list[str], tensor: StoredTensor, siblings: Mapping[str, StoredTensor]) -> bool:
    """Mean or standard deviation of the inputs: at most one value per channel, and not part of a batch norm."""
    if not _STATISTICS.fullmatch(keys[-1]) or keys[-1] in _STATISTICS_OF_NORM or "var" in siblings:
        return False
    return sum(size != 1 for size in tensor.shape) <= 1


def _is_counter(keys: list[str], tensor: StoredTensor, _: Mapping[str, StoredTensor]) -> bool:
    if _WEIGHT_WORDS.search(keys[-1]):
        return False
    return tensor.is_integer or tensor.dtype == "bool" or bool(_COUNTER.fullmatch(keys[-1]))


KINDS = (
    _Kind("a copy of the network", _in_module(_COPY)),
    _Kind("an auxiliary head", _in_module(_AUXILIARY)),
    _Kind("measurements", _in_module(_METRIC)),
    _Kind("a loss function", _in_module(_LOSS)),
    _Kind("scales of the outputs", _named(_SCALE)),
    _Kind("means and deviations of the inputs", _is_statistic),
    _Kind("coordinates", _named(_GRID)),
    _Kind("counters", _is_counter),
)


def is_copy(name: str) -> bool:
    """Whether a dotted name is in a copy of the network, such as an EMA, a target network or gradients."""
    return any(_COPY.fullmatch(key) for key in keys_of(name))


def keys_of(name: str) -> list[str]:
    """The parts of a tensor's name in lower case, limited in number and length; the last part is always kept."""
    keys = re.split(r"[./]", name.lower())
    if len(keys) > _KEYS:
        keys = [*keys[: _KEYS - 1], keys[-1]]
    return [key[:_KEY_CHARACTERS] for key in keys]


def split_extras(
    tensors: Mapping[str, StoredTensor],
) -> tuple[dict[str, StoredTensor], dict[str, dict[str, StoredTensor]]]:
    """The network's tensors, and the extra ones by the label of their kind."""
    kept, extras = dict(tensors), {}
    for kind in KINDS:
        matches = {name: tensor for name, tensor in kept.items() if _is_of_kind(kind, name, tensor, kept)}
        left = [name for name in kept if name not in matches]
        if matches and any(len(kept[name].shape) > 1 or kept[name].problem for name in left):
            extras[kind.label] = matches
            kept = {name: kept[name] for name in left}
    return kept, extras


def _is_of_kind(kind: _Kind, name: str, tensor: StoredTensor, all_of: Mapping[str, StoredTensor]) -> bool:
    keys = keys_of(name)
    stem = name[: max(name.rfind("."), name.rfind("/")) + 1]
    siblings = {
        part: all_of[stem + part] for part in ("var", "weight", "kernel", "bias") if stem + part in all_of
    }
    masks_a_weight = keys[-1] == "mask" and "weight" in siblings and siblings["weight"].shape == tensor.shape
    return not masks_a_weight and kind.matches(keys, tensor, siblings)


def notes_on(extras: Mapping[str, Mapping[str, StoredTensor]]) -> tuple[str, ...]:
    """One sentence on the extra tensors; batch norm's counters are not mentioned."""
    named = {
        label: [name for name in tensors if not name.endswith("num_batches_tracked")]
        for label, tensors in extras.items()
    }
    parts = [f"{label} ({quote_some(names)})" for label, names in named.items() if names]
    return (f"Left out, as not part of the network: {'; '.join(parts)}.",) if parts else ()
