"""The Checkpoint tab's deeds and words, and `/describe_network` of what no predictor reads."""

import json
from pathlib import Path

import gradio as gr
import pytest
import torch
from checkpoint_families import FAMILIES, lenet5, llama, write_sparse
from safetensors.torch import save_file
from typer.testing import CliRunner

from app.api import checkpoint_endpoints, describe
from app.networks.source import Source
from app.page import look
from app.page import source_text as sources
from app.page.refusal import refusal_html
from app.runtime.errors import RequestError
from app.tabs.checkpoint import actions as checkpoint_actions
from app.tabs.checkpoint import html as checkpoint_html
from app.tabs.checkpoint import tab
from app.ui import TABS
from zoo.__main__ import app
from zoo.errors import HubError

EXPORTED = Path(__file__).parent / "data" / "checkpoints" / "exported.pt2"
SMALL_LLAMA = llama(12, 64, 128, 4, 1, 16, 100)
MARKUP = "<img src=x onerror=window.__ran=1>"


def source(path: Path) -> Source:
    return Source(path=str(path))


def test_a_file_that_no_predictor_reads_is_still_described(tmp_path):
    description = describe.describe(source(write_sparse(tmp_path / "m.safetensors", SMALL_LLAMA)))
    assert (
        description.architecture == description.family == "Llama-like"
        and description.can == ()
        and description.refusal
    )
    assert description.parameters == sum(map(_count, SMALL_LLAMA.values())) and description.tree is not None
    (layers,) = [child for child in description.tree["children"][0]["children"] if child["name"] == "layers"]
    assert layers["children"][0]["name"] == "0 … 11" and layers["children"][0]["alike"] == 12


def _count(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def test_the_input_of_a_graph_is_shown_without_the_batch():
    description = describe.describe(source(EXPORTED))
    assert (
        description.inputs == (3, 8, 8)
        and description.architecture is None
        and "contains code" in description.refusal
    )


def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"hello world, this is text")
    with pytest.raises(RequestError, match="unknown"):
        describe.describe(source(tmp_path / "a.txt"))
    with pytest.raises(RequestError, match="no longer kept"):
        describe.describe(source(tmp_path / "gone.pt"))
    assert "glance" not in refusal(tmp_path / "a.txt")


def test_an_answer_stays_small_however_many_layers_there_are(tmp_path):
    shapes = {f"m.{i}.{'ab'[i % 2]}.weight": (i % 7 + 1, 2) for i in range(4_000)}
    description = describe.describe(source(write_sparse(tmp_path / "m.safetensors", shapes)))
    assert len(description.layers) <= describe.MAX_NODES and len(json.dumps(description.tree)) < 1_000_000
    shown = look.tree(checkpoint_actions.look_at(source(tmp_path / "m.safetensors")).look)
    assert len(shown) < 300_000 and look.LEFT_OUT in shown


def test_a_refusal_in_another_tab_says_what_the_file_is(tmp_path):
    path = write_sparse(tmp_path / "m.safetensors", FAMILIES["lora of peft"][0])
    shown = refusal(path)
    assert "LoRA of rank 16" in shown and "4096 × 4096" in shown


def test_names_from_a_file_are_escaped(tmp_path):
    path = write_sparse(
        tmp_path / "m.safetensors", {f"{MARKUP}.{MARKUP}": (2, 2), MARKUP: (3,)}, metadata={MARKUP: MARKUP}
    )
    looked = checkpoint_actions.look_at(source(path))
    for shown in (checkpoint_html.headline(looked), look.tree(looked.look), refusal(path)):
        assert "<img" not in shown


def test_branches_of_the_tree_close_where_they_end(tmp_path):
    looked = checkpoint_actions.look_at(source(write_sparse(tmp_path / "m.safetensors", SMALL_LLAMA)))
    shown = look.tree(looked.look)
    assert shown.count("<details") == shown.count("</details>") > 2


def test_each_next_step_has_its_button(tmp_path):
    expected = ((lenet5(), {"generalization"}), (FAMILIES["siren"][0], {"inr"}), (SMALL_LLAMA, set()))
    for shapes, tabs in expected:
        path = write_sparse(tmp_path / "m.safetensors", shapes)
        shown, *_ = tab._upload(TABS, str(path))
        headline, buttons = shown[1], shown[-3:]
        takers = [one.key for one in tab._takers(TABS)]
        assert {key for key, button in zip(takers, buttons, strict=True) if button.visible} == tabs
        assert ("Why no predictor" in headline) == (not tabs)


def refusal(path: Path) -> str:
    """What the INR tab says of a file that it did not take."""
    return refusal_html(TABS, "inr", str(path), ValueError("Not a picture."))


def saved(tmp_path: Path, name: str, **changed: torch.Tensor) -> str:
    torch.manual_seed(0)
    state = {f"{MARKUP}.weight": torch.randn(8, 40) ** 3, "b.weight": torch.randn(8, 8) ** 3} | changed
    save_file(state, tmp_path / name)
    return str(tmp_path / name)


def test_a_broken_upload_says_what_is_wrong_and_what_to_do(tmp_path):
    wrong = torch.full((8, 8), torch.nan)
    *_, last = tab._upload(TABS, saved(tmp_path, "a.safetensors", **{"b.weight": wrong}))
    assert "Broken" in last[3] and "64 NaN" in last[3] and "diverged" in last[3] and "<img" not in last[3]


def test_a_sound_upload_and_formats_without_values(tmp_path):
    *_, last = tab._upload(TABS, saved(tmp_path, "a.safetensors"))
    assert "No problems found" in last[3]
    save_file({"steps": torch.arange(3)}, tmp_path / "integers.safetensors")
    *_, last = tab._upload(TABS, str(tmp_path / "integers.safetensors"))
    assert "not read here" in last[3]


def test_progress_is_shown_before_the_report_and_the_report_before_the_spectra(tmp_path, monkeypatch):
    monkeypatch.setattr(tab, "STEP_SECONDS", -1)
    path = saved(tmp_path, "a.safetensors", c=torch.randn(16, 8, 3, 3), d=torch.randn(16, 16))
    _, *steps, last = [row[3] for row in tab._upload(TABS, path)]
    assert "of 7.2 kB of values read" in steps[0] and "No problems" not in steps[0]
    assert "No problems found" in steps[-1] and "2 of 2 spectra" in steps[-1] and "<progress" in steps[-1]
    assert "<progress" not in last and "Spectra of the weights" in last
    assert "of the zoo’s 680 convolution layers" in last and "of the zoo’s 700 linear layers" in last


def test_networks_of_the_zoo_are_compared_and_described_by_their_spectra():
    first, other = (f"mnist-inits/test/{i}" for i in (0, 1))
    same = checkpoint_endpoints.compare_networks(zoo_id=first, other_zoo_id=first)
    assert same["verdict"] == "the same" and {row["kind"] for row in same["rows"]} == {"equal"}
    assert checkpoint_endpoints.compare_networks(zoo_id=first, other_zoo_id=other)["verdict"] == "unrelated"
    rows = checkpoint_endpoints.weight_spectra(zoo_id="cifar10-cnns/test/17")["spectra"]
    assert [row["shape"] for row in rows] == [(16, 144), (16, 144), (10, 16)]
    for row in rows:
        assert 0 <= row["rank_percentile"] <= 100 and 0 < row["relative_rank"] < 2


def test_models_on_the_hub_are_compared_with_their_values(hub, tmp_path, monkeypatch):
    hub.create("models", "someone/model")
    hub.commit("models", "someone/model", {"model.safetensors": Path(saved(tmp_path, "m")).read_bytes()}, [])
    hub.create("models", "someone/tuned")
    tuned = Path(saved(tmp_path, "t", **{"b.weight": torch.zeros(8, 8)})).read_bytes()
    hub.commit("models", "someone/tuned", {"model.safetensors": tuned}, [])
    compare = checkpoint_endpoints.compare_networks
    assert compare(hub_id="someone/model", other_hub_id="someone/tuned@main")["verdict"] == "pruned"
    assert (
        compare(zoo_id="mnist-inits/test/0", other_hub_id="someone/model")["verdict"]
        == "unrelated architectures"
    )
    with pytest.raises(gr.Error, match="without file or zoo_id"):
        compare(zoo_id="mnist-inits/test/0", hub_id="someone/model", other_hub_id="someone/model")
    monkeypatch.setattr(checkpoint_actions, "FILE_BYTES", 100)
    with pytest.raises(gr.Error, match="hf download someone/model"):
        compare(hub_id="someone/model", other_hub_id="someone/model")
    result = CliRunner().invoke(app, ["compare", "someone/model", "someone/tuned", "--json"])
    assert json.loads(result.output)["verdict"] == "pruned"


def test_two_files_are_compared_with_evidence(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "get_upload_folder", lambda: str(tmp_path))
    first = sources.to_text(Source(path=saved(tmp_path, "a.safetensors")))
    other = saved(tmp_path, "b.safetensors", **{"b.weight": torch.zeros(8, 8)})
    shown, _, *_, refused = tab._compare(other, first)
    assert "A pruned copy" in shown and "<img" not in shown and refused == ""
    assert "Choose the first file" in tab._compare(other, "")[-1]


def test_models_on_the_hub_are_compared_on_the_page_by_their_ids(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "get_upload_folder", lambda: str(tmp_path))
    first = saved(tmp_path, "a.safetensors")
    hub.create("models", "someone/model")
    hub.commit("models", "someone/model", {"model.safetensors": Path(first).read_bytes()}, [])
    here = sources.to_text(Source(path=first))
    for one in (here, "someone/model"):
        shown, _, _, go, *_, refused = tab._compare_hub(" someone/model@main ", one)
        assert "The same network" in shown and "someone/model@main" in shown and refused == ""
        assert not go.visible, "only files can be interpolated"
    assert "The same network" in tab._compare(first, "someone/model")[0]
    refusals = {"": "Type the id", "nobody/nothing": "nobody/nothing", MARKUP: "not the id of a model",
                "nobody": ">&#x27;nobody&#x27; is not the id of a model"}  # fmt: skip
    for typed, why in refusals.items():
        assert why in tab._compare_hub(typed, here)[-1] and "<img" not in tab._compare_hub(typed, here)[-1]
    assert "Choose the first file" in tab._compare_hub("someone/model", "")[-1]
    assert "not the id of a model" in tab._compare_hub("someone/model", MARKUP)[-1]
    assert "Only two files" in tab._interpolate(first, "someone/model")[-1]
    monkeypatch.setattr(checkpoint_actions, "FILE_BYTES", 100)
    assert "hf download someone/model" in tab._compare_hub("someone/model", here)[-1]


def test_a_model_on_the_hub_is_looked_at_and_described_by_its_header(hub, tmp_path):
    hub.create("models", "someone/model")
    weights = write_sparse(tmp_path / "m", FAMILIES["resnet18"][0]).read_bytes()
    hub.commit("models", "someone/model", {"model.safetensors": weights}, [])
    (shown,) = tab._on_hub(TABS, "someone/model")
    assert "ResNet-18" in shown[1] and "headers of a model on the Hub" in shown[3]
    assert shown[0] == "someone/model", "what a second one is compared with"
    description = describe.describe_hub("someone/model")
    assert (
        description.architecture == "ResNet-18"
        and description.classes == 1000
        and description.refusal == describe.ON_HUB
    )
    with pytest.raises(HubError, match="not the id of a model"):
        describe.describe_hub("http://169.254.169.254/latest")


def test_health_of_a_zoo_network_is_described():
    description = describe.describe(Source(zoo_id="mnist-inits/test/0"))
    assert len(description.health) == 1 and description.health[0].startswith(
        "still at its initialization: 3 of 3 weights"
    )
