"""The Checkpoint tab's deeds and words, and `/describe_network` of what no predictor reads."""

import json
from pathlib import Path

import pytest
import torch
from checkpoint_families import FAMILIES, lenet5, llama, write_sparse
from safetensors.torch import save_file

from app import describe, look_panels, looking, sources
from app.actions import RequestError, Source
from app.tabs import checkpoint as tab
from zoo.errors import HubError

EXPORTED = Path(__file__).parent / "data" / "checkpoints" / "exported.pt2"
SMALL_LLAMA = llama(12, 64, 128, 4, 1, 16, 100)
MARKUP = "<img src=x onerror=window.__ran=1>"


def source(path: Path) -> Source:
    return Source(path=str(path))


def test_a_file_that_no_predictor_reads_is_described_all_the_same(tmp_path):
    told = describe.describe(source(write_sparse(tmp_path / "m.safetensors", SMALL_LLAMA)))
    assert told.architecture == told.family == "Llama-like" and told.can == () and told.refusal
    assert told.parameters == sum(map(_count, SMALL_LLAMA.values())) and told.tree is not None
    (layers,) = [child for child in told.tree["children"][0]["children"] if child["name"] == "layers"]
    assert layers["children"][0]["name"] == "0 … 11" and layers["children"][0]["alike"] == 12


def _count(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def test_a_graph_says_its_input_without_the_batch():
    told = describe.describe(source(EXPORTED))
    assert told.inputs == (3, 8, 8) and told.architecture is None and "holds code" in told.refusal


def test_what_is_no_checkpoint_is_still_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"hello world, this is text")
    with pytest.raises(RequestError, match="unknown"):
        describe.describe(source(tmp_path / "a.txt"))
    with pytest.raises(RequestError, match="no longer kept"):
        describe.describe(source(tmp_path / "gone.pt"))
    assert look_panels.glance(str(tmp_path / "a.txt")) == "" == look_panels.glance(None)


def test_an_answer_stays_small_however_many_layers_there_are(tmp_path):
    shapes = {f"m.{i}.{'ab'[i % 2]}.weight": (i % 7 + 1, 2) for i in range(4_000)}
    told = describe.describe(source(write_sparse(tmp_path / "m.safetensors", shapes)))
    assert len(told.layers) <= describe.MAX_NODES and len(json.dumps(told.tree)) < 1_000_000
    shown = look_panels.tree(looking.look_at(source(tmp_path / "m.safetensors")).look)
    assert len(shown) < 300_000 and look_panels.LEFT_OUT in shown


def test_a_refusal_elsewhere_says_what_the_file_is(tmp_path):
    path = write_sparse(tmp_path / "m.safetensors", FAMILIES["lora of peft"][0])
    shown = look_panels.glance(str(path))
    assert "LoRA of rank 16" in shown and "4096 × 4096" in shown


def test_names_from_a_file_are_no_markup(tmp_path):
    path = write_sparse(
        tmp_path / "m.safetensors", {f"{MARKUP}.{MARKUP}": (2, 2), MARKUP: (3,)}, metadata={MARKUP: MARKUP}
    )
    looked = looking.look_at(source(path))
    for shown in (look_panels.headline(looked), look_panels.tree(looked.look), look_panels.glance(str(path))):
        assert "<img" not in shown


def test_branches_close_where_they_end(tmp_path):
    looked = looking.look_at(source(write_sparse(tmp_path / "m.safetensors", SMALL_LLAMA)))
    shown = look_panels.tree(looked.look)
    assert shown.count("<details") == shown.count("</details>") > 2


def test_each_next_step_has_its_button(tmp_path):
    expected = ((lenet5(), {"generalization"}), (FAMILIES["siren"][0], {"inr"}), (SMALL_LLAMA, set()))
    for shapes, tabs in expected:
        path = write_sparse(tmp_path / "m.safetensors", shapes)
        shown, _ = tab._upload(str(path))
        headline, buttons, refused = shown[1], shown[-4:-1], shown[-1]
        assert {name for name, button in zip(tab.NEXT, buttons, strict=True) if button.visible} == tabs
        assert ("Why no predictor" in headline) == (not tabs) and refused == ""


def saved(tmp_path: Path, name: str, **changed: torch.Tensor) -> str:
    torch.manual_seed(0)
    state = {f"{MARKUP}.weight": torch.randn(8, 40) ** 3, "b.weight": torch.randn(8, 8) ** 3} | changed
    save_file(state, tmp_path / name)
    return str(tmp_path / name)


def test_a_broken_upload_says_what_is_wrong_and_what_to_do(tmp_path):
    wrong = torch.full((8, 8), torch.nan)
    _, last = tab._upload(saved(tmp_path, "a.safetensors", **{"b.weight": wrong}))
    assert "Broken" in last[3] and "64 NaN" in last[3] and "diverged" in last[3] and "<img" not in last[3]


def test_a_sound_upload_and_formats_without_values(tmp_path):
    _, last = tab._upload(saved(tmp_path, "a.safetensors"))
    assert "Nothing wrong was found" in last[3]
    (tmp_path / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    *_, last = tab._upload(str(tmp_path / "net.h5"))
    assert "not read here" in last[3]


@pytest.mark.filterwarnings("ignore:Choose the first file")
def test_two_files_are_compared_with_evidence(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "get_upload_folder", lambda: str(tmp_path))
    first = sources.to_text(Source(path=saved(tmp_path, "a.safetensors")))
    other = saved(tmp_path, "b.safetensors", **{"b.weight": torch.zeros(8, 8)})
    shown, _, *_, refused = tab._compare(other, first)
    assert "A pruned copy" in shown and "<img" not in shown and refused == ""
    assert "Choose the first file" in tab._compare(other, "")[-1]


def test_a_model_on_the_hub_is_looked_at_and_described_by_its_header(hub, tmp_path):
    hub.create("models", "someone/model")
    weights = write_sparse(tmp_path / "m", FAMILIES["resnet18"][0]).read_bytes()
    hub.commit("models", "someone/model", {"model.safetensors": weights}, [])
    (shown,) = tab._on_hub("someone/model")
    assert (
        "ResNet-18" in shown[1] and "Only" not in shown[1] and "only headers" in shown[3] and shown[0] == ""
    )
    told = describe.describe_hub("someone/model")
    assert told.architecture == "ResNet-18" and told.classes == 1000 and told.refusal == describe.ON_HUB
    with pytest.raises(HubError, match="no id of a model"):
        describe.describe_hub("http://169.254.169.254/latest")


def test_health_of_a_network_of_the_zoo_is_described_as_well():
    told = describe.describe(Source(zoo_id="mnist-inits/test/0"))
    assert len(told.health) == 1 and told.health[0].startswith("still at its initialization: 3 of 3 weights")
