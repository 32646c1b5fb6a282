"""Small files that are expensive to answer: refused from their shapes, stopped at a deadline or when nobody waits."""

import time
from pathlib import Path

import pytest
import torch
from asking import INIT, SEVEN, answers_still, ask, result, sentence, upload
from foreign import FOREIGN_METADATA
from safetensors.torch import save
from test_hostile_visitors import resident
from torch.utils.flop_counter import FlopCounterMode

from app.networks.zoos import predictor
from app.runtime import cost
from app.runtime.cost import Cost, check_cost, stride_2_architecture, time_limit, training_cost
from app.runtime.errors import RequestError
from app.tabs.tickets import actions as tickets_actions
from app.tabs.tickets.actions import ticket_predictor
from nfn import sparse_training
from nfn.editor import InrEditor
from nfn.features import WeightSpaceFeatures
from nfn.siren import render
from nfn.spec import ArraySpec, NetworkSpec
from zoo.catalog import EMBEDDED, Zoo

NARROW = [(6, 3, 3, 3), (5, 6, 3, 3), (4, 5, 3, 3), (7, 4), (10, 7)]


def spec_of(shapes) -> NetworkSpec:
    return NetworkSpec(tuple(map(ArraySpec, shapes)), tuple(ArraySpec(shape[:1]) for shape in shapes))


def features_of(shapes) -> WeightSpaceFeatures:
    return WeightSpaceFeatures.from_zipped(
        [(torch.randn(1, 1, *shape) * 0.05, torch.zeros(1, 1, shape[0])) for shape in shapes]
    )


def state_of(shapes) -> dict[str, torch.Tensor]:
    """A checkpoint of a network with weights of these shapes, untrained."""
    return {
        f"{i}.{name}": torch.randn(*size) * 0.05
        for i, shape in enumerate(shapes)
        for name, size in (("weight", shape), ("bias", shape[:1]))
    }


@pytest.mark.parametrize(
    ("shapes", "image"), [(NARROW, (3, 16, 16)), ([(20, 784), (15, 20), (10, 15)], (1, 28, 28))]
)
def test_the_cost_of_training_is_what_it_takes(shapes, image):
    """Counted by torch, multiplications and additions apart, and by the values between the layers."""
    features, pictures = features_of(shapes), torch.randn(4, *image)
    with FlopCounterMode(display=False) as counted:
        sparse_training.logits(features, pictures)
    estimated = training_cost(spec_of(shapes), image, batch=4, steps=1)
    assert estimated.multiplications / 3 == pytest.approx(counted.get_total_flops() / 2, rel=0.1)
    values = stride_2_architecture(spec_of(shapes), image).values
    assert estimated.values == 4 * sum(torch.Size(shape).numel() for shape in values) > pictures.numel()


def test_a_narrow_network_costs_little_and_a_wide_one_too_much():
    check_cost(training_cost(spec_of(NARROW), (3, 16, 16), 64, 256))
    with pytest.raises(RequestError, match=r"needs 1\.\de\+12 multiplications; the limit here is 2e\+11"):
        check_cost(training_cost(spec_of(WIDE), (3, 16, 16), 64, 256))
    with pytest.raises(RequestError, match="hold 10,000,000 values at once"):
        check_cost(Cost(0, 10**7))


WIDE = [(25_000, 3, 3, 3), (1, 25_000, 3, 3), (4, 1, 3, 3), (7, 4), (10, 7)]


@pytest.mark.parametrize("shapes", [WIDE, [(1, 3, 3, 3), (9000, 1, 3, 3), (11, 9000, 3, 3), (7, 11), (10, 7)],
                                    [(300, 3, 3, 3), (300, 300, 3, 3), (50, 300, 3, 3), (7, 50), (10, 7)]])  # fmt: skip
def test_wide_initializations_are_refused_at_once_or_scored_soon(http, shapes):
    """The first computed for nine minutes, and all tickets behind it waited."""
    data = save(state_of(shapes))
    assert len(data) < 4 * 2**20
    start = time.process_time()
    answer = ask(http, "winning_ticket", upload(http, data))
    assert (
        "event: complete" in answer
        or "multiplications" in sentence(answer)
        or "values at once" in sentence(answer)
    )
    assert time.process_time() - start < 30
    assert result(ask(http, "winning_ticket", None, INIT))


def test_the_networks_of_the_zoo_are_far_below_the_limits():
    for name in ("mnist-inits", "cifar10-inits"):
        network = Zoo(EMBEDDED).network(f"{name}/test/0")
        config = tickets_actions.predictor_for(network, ticket_predictor)[1].config
        estimated = training_cost(network.spec, config.stored_shape, config.batch, max(config.moments))
        assert (
            estimated.multiplications < cost.MAX_MULTIPLICATIONS / 10
            and estimated.values < cost.MAX_ACTIVATIONS / 4
        )


@pytest.mark.parametrize(("width", "metadata"), [(90_000, FOREIGN_METADATA), (8_000, None)])
def test_wide_pictures_take_little_memory(http, monkeypatch, width, metadata):
    """One is drawn in its declared convention, the other also while its convention is searched."""
    data = save(state_of([(width, 2), (1, width)]), metadata)
    memory = peak_while(lambda: ask(http, "classify_inr", upload(http, data)))
    assert memory < 200
    monkeypatch.setattr(cost, "SECONDS", 0.5)
    assert sentence(ask(http, "edit_inr", upload(http, data))), "too large, or stopped when its time is over"


def peak_while(deed) -> int:
    """MiB that this process grew by at most, which is the app's."""
    before = resident()
    Path("/proc/self/clear_refs").write_text("5")
    deed()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024 - before


@pytest.mark.parametrize("gradients", [True, False])
def test_a_picture_in_parts_is_the_picture(monkeypatch, gradients):
    features = features_of([(40, 2), (30, 40), (3, 30)])
    with torch.set_grad_enabled(gradients):
        whole = render(features, 9, 7)
        monkeypatch.setattr("nfn.siren.MAX_ACTIVATIONS", 130)
        torch.testing.assert_close(render(features, 9, 7), whole)


# --- deadlines, and those who leave ---


def test_a_computation_ends_at_its_deadline():
    network = Zoo(EMBEDDED).network("mnist-inits/test/40")
    model = tickets_actions.predictor_for(network, ticket_predictor)[1]
    with time_limit(lambda: False, seconds=0.0), pytest.raises(RequestError, match="longer than 0 seconds"):
        model.predict(network)
    siren = Zoo(EMBEDDED).network(SEVEN)
    with time_limit(lambda: True), pytest.raises(RequestError, match="nobody was waiting"):
        predictor("inr-editor", InrEditor).edit(siren, "dilate", 1.0)
    assert model.predict(network), "outside, nothing ends it"


def test_a_deadline_is_said_to_the_visitor(http, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cost, "SECONDS", 0.0)
        assert "was stopped" in sentence(ask(http, "winning_ticket", None, "mnist-inits/test/41"))
    assert result(ask(http, "winning_ticket", None, "mnist-inits/test/41")), "and not remembered"


def test_the_work_of_those_who_left_is_stopped(http, monkeypatch):
    steps, real = [], sparse_training.SparseTraining.step

    def slow(training, *given):
        steps.append(time.monotonic())
        time.sleep(0.05)
        return real(training, *given)

    with monkeypatch.context() as patch:
        patch.setattr(sparse_training.SparseTraining, "step", slow)
        data = [None, "mnist-inits/test/42", 0.95, "auto", "training"]
        asked = http.post("gradio_api/call/winning_ticket", json={"data": data})
        with http.stream("GET", f"gradio_api/call/winning_ticket/{asked.json()['event_id']}"):
            end = time.monotonic() + 30
            while not steps and time.monotonic() < end:
                time.sleep(0.02)
        left, seen = time.monotonic(), -1
        while len(steps) != seen and time.monotonic() < left + 30:
            seen = len(steps)
            time.sleep(1)
    assert 0 < len(steps) < 256, "a ticket takes 256 steps"
    assert answers_still(http)
    assert result(ask(http, "winning_ticket", None, "mnist-inits/test/42"))
