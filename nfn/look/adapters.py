"""LoRA (arXiv:2106.09685) and variants, by the names of PEFT, diffusers and kohya: rank and targets."""

import re
from collections import Counter
from dataclasses import dataclass

from nfn.look.families import Architecture, Shape, Shapes

_DOWN = re.compile(
    r"(?P<stem>.+)\.(?:lora_A(?:\.\w+)?\.weight|lora_down\.weight|lora\.down\.weight|lora_linear_layer\.down\.weight)"
)
_UP_OF = {
    "lora_A": "lora_B",
    "lora_down": "lora_up",
    "lora.down": "lora.up",
    "lora_linear_layer.down": "lora_linear_layer.up",
}
_KNOWN = ("q_proj", "k_proj", "v_proj", "o_proj", "out_proj", "gate_proj", "up_proj", "down_proj", "to_q", "to_k",
          "to_v", "to_out_0", "to_out", "ff_net_0_proj", "ff_net_2", "proj_in", "proj_out", "qkv_proj", "c_attn",
          "c_proj", "c_fc", "query", "key", "value", "dense", "fc1", "fc2")  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """The names of the two factors of one module's update `up @ down`."""

    target: str
    down: str
    up: str
    rank: int


def lora_pairs(shapes: Shapes) -> list[Pair]:
    """The pairs of factors with equal ranks, in the file's order."""
    pairs = []
    for name, shape in shapes.items():
        match = _DOWN.fullmatch(name[:1000])
        if match:
            word = next(word for word in _UP_OF if f".{word}." in name)
            up = name[::-1].replace(word[::-1], _UP_OF[word][::-1], 1)[::-1]
            if shapes.get(up, ())[1:2] == shape[:1]:
                pairs.append(Pair(match["stem"], name, up, shape[0]))
    return pairs


def find_lora(shapes: Shapes) -> Architecture | None:
    """An adapter whose tensors are nearly all LoRA factors, each with its other half."""
    pairs = lora_pairs(shapes)
    named = {part for pair in pairs for part in (pair.down, pair.up)}
    rest = [
        name
        for name in shapes
        if name not in named and not name.endswith((".alpha", ".lora_magnitude_vector"))
    ]
    halves = any(f".{word}." in name for name in rest for word in (*_UP_OF, *_UP_OF.values()))
    if not pairs or halves or 5 * len(rest) > len(shapes):
        return None
    ranks = Counter(pair.rank for pair in pairs)
    targets = Counter(_target(pair.target) for pair in pairs)
    whose = (
        "PEFT"
        if ".lora_A." in pairs[0].down
        else "kohya's scripts"
        if "_down." in pairs[0].down
        else "diffusers"
    )
    dora = " with magnitudes (DoRA)" if any(name.endswith("lora_magnitude_vector") for name in shapes) else ""
    rank = str(next(iter(ranks))) if len(ranks) == 1 else f"{min(ranks)} to {max(ranks)}"
    listed = ", ".join(f"{name} ({count})" for name, count in targets.most_common(8))
    facts = (("rank", rank), ("modules", f"{len(pairs):,}"), ("targets", listed), *_base(pairs, shapes))
    evidence = f"{len(pairs):,} pairs of factors whose ranks agree, named as {whose} does."
    return Architecture(
        f"LoRA of rank {rank}{dora}", evidence, facts, "the inputs of the model that it is made for"
    )


def _target(stem: str) -> str:
    """`q_proj` of "base_model.model.layers.0.self_attn.q_proj", `to_q` of kohya's "lora_unet_..._attn1_to_q"."""
    last = (
        stem.rpartition(".")[2] if not stem.rpartition(".")[2].isdecimal() else ".".join(stem.split(".")[-2:])
    )
    matches = [word for word in _KNOWN if last == word or last.endswith(f"_{word}")]
    return max(matches, key=len) if matches else last[:40]


def _base(pairs: list[Pair], shapes: Shapes) -> tuple[tuple[str, str], ...]:
    """Facts about the base model of the adapter."""
    sides: Counter[Shape] = Counter((shapes[pair.up][0], *shapes[pair.down][1:2]) for pair in pairs)
    widest = ", ".join(f"{out} × {into}" for out, into in sorted(sides, reverse=True)[:3])
    return (("weights it changes", f"{widest} (out × in)"),)
