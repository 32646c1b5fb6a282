"""Look: each family by hand-written names and shapes has its one right name, and near misses have none."""

import json
import math
from pathlib import Path

import pytest
from checkpoint_families import FAMILIES, llama, lora_kohya, lora_peft, resnet, sd_unet, without, write_sparse

from nfn.checkpoint import TensorInfo, open_checkpoint
from nfn.health import examine
from nfn.look import look, recognise
from nfn.look.recognise import FAMILIES as FINDERS
from nfn.look.tree import tree_of


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_gets_its_name_and_near_misses_none(name, tmp_path):
    shapes, expected = FAMILIES[name]
    seen = look(open_checkpoint(write_sparse(tmp_path / "model.safetensors", shapes)))
    assert (seen.architecture and seen.architecture.name) == expected
    assert seen.tensors == len(shapes)


TRAINED = Path(__file__).parent / "data" / "foreign_cnns"
ROWS = json.loads((TRAINED / "index.json").read_text())
NAMES = {"cifar_net.pth": "LeNet-5", "lenet5.pt": "LeNet-5", "model.pth": "MLP 784–128–64–10",
         "lenet_300_100.pt": "MLP 784–300–100–10", "mlp_tanh.pt": "MLP 784–32–10",
         "mlp_colour.safetensors": "MLP 3072–16–16–10", "mlp_gray.pt": "MLP 1024–24–24–10"}  # fmt: skip
FOLDED = {"classifier.onnx": 2 * (8 + 16 + 16 + 16)}
"""Parameters of batch norm that torch.onnx.export folded into convolutions."""


@pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])
def test_each_trained_file_has_its_parameters_its_name_and_nothing_wrong(row):
    """By plain torch, in many wrappers (`make_foreign_cnns.py`), which counted the parameters as well."""
    opened = open_checkpoint(TRAINED / row["file"])
    seen = look(opened)
    assert seen.parameters == row["parameters"] - FOLDED.get(row["file"], 0)
    assert (seen.architecture and seen.architecture.name) == NAMES.get(row["file"])
    assert examine(opened).findings == ()


BY_PARTS = ("stable diffusion's unet", "stable diffusion, whole")
"""Families that have so many variants that only some of their tensors are compared; their evidence says which."""


@pytest.mark.parametrize(
    "name", [name for name, (_, known) in FAMILIES.items() if known and name not in BY_PARTS]
)
def test_a_tensor_less_or_one_of_another_size_is_a_near_miss_of_each_family(name):
    shapes, _ = FAMILIES[name]
    weights = [one for one, shape in shapes.items() if len(shape) > 1]
    middle = weights[len(weights) // 2]
    assert recognise(without(shapes, middle)) is None
    assert recognise({**shapes, middle: tuple(size + 1 for size in shapes[middle])}) is None


@pytest.mark.parametrize("name", FAMILIES)
def test_no_two_families_claim_the_same_file(name):
    shapes, _ = FAMILIES[name]
    found = []
    for find in FINDERS[:-1]:  # the last one takes any row of linear layers, a SIREN too
        try:
            found.append(find(shapes))
        except (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError):
            continue
    assert len([one for one in found if one]) <= 1


def test_a_lora_says_its_rank_and_what_it_changes():
    found = recognise(lora_peft(16))
    assert found is not None
    facts = dict(found.facts)
    assert (
        facts["rank"] == "16"
        and facts["targets"] == "q_proj (4), v_proj (4)"
        and "4096 × 4096" in facts["weights it changes"]
    )
    kohya = recognise(lora_kohya())
    assert kohya is not None and dict(kohya.facts)["targets"] == "to_q (3), to_k (3)"


def test_facts_and_classes_come_with_the_name():
    found = recognise(llama(shared=8))
    assert found is not None and dict(found.facts)["attention"] == "8 query heads for each key and value"
    resnet34 = recognise(resnet((3, 4, 6, 3), classes=37))
    assert resnet34 is not None and resnet34.classes == 37 and "RGB" in resnet34.inputs
    xl = recognise(sd_unet(2048))
    assert xl is not None and "Stable Diffusion XL" in xl.name


def test_the_tree_folds_layers_that_are_alike(tmp_path):
    shapes = llama(layers=12)
    tree = look(open_checkpoint(write_sparse(tmp_path / "m.safetensors", shapes, "BF16"))).tree
    model = next(child for child in tree.children if child.name == "model")
    layers = next(child for child in model.children if child.name == "layers")
    (folded,) = layers.children
    assert folded.name == "0 … 11" and folded.alike == 12
    assert tree.values == sum(math.prod(shape) for shape in shapes.values())


def test_names_of_any_kind_make_a_tree():
    names = ["", ".", "a..b", "a", "a.b.c", "/", "x" * 900, ".".join("y" * 60), "a.b"]
    tree = tree_of([TensorInfo(name, "float32", (2,), 8) for name in names])
    assert tree.values == 2 * len(names)
