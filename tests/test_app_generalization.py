"""What the generalization tab does, on networks of the zoo and on one trained by code that knows nothing of it."""

import csv
import io
import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from foreign_cnn import TinyNet, accuracy, read_gray, train
from safetensors.torch import save_file
from torch import nn

from app.networks.source import Source
from app.networks.zoos import zoo_at
from app.runtime.errors import RequestError
from app.tabs.generalization import actions as generalization_actions
from app.tabs.generalization import batch, measuring
from app.tabs.generalization import html as tab_html
from app.tabs.generalization.batch import BatchRow
from app.tabs.generalization.symmetry import check_symmetry
from app.tabs.generalization.zoo_points import zoo_points
from app.tabs.inr.symmetry import count_moved
from nfn.network import ClassifierConvention, LayerNames, Network
from nfn.permutation import permute, random_permutations
from nfn.reader import write_network
from nfn.reader.read import PIXELS_ASSUMED
from nfn.wiring.fit import Fit, Setting
from nfn.wiring.identify import Identified
from nfn.wiring.pictures import ZERO_ONE
from nfn.wiring.propose import AsDeclared, Declared
from zoo import classifiers, small_cnns
from zoo.bundled import FOLDER
from zoo.measure import wilson

PIXELS = {"[-1, 1]": lambda x: 2 * x - 1, "[0, 1]": lambda x: x}


@pytest.fixture(scope="module")
def articles():
    """The bundled Fashion-MNIST images `(1000, 1, 28, 28)` in [0, 1] and their labels, read by foreign code."""
    return read_gray(FOLDER / "fashion_mnist.parquet")


@pytest.fixture(scope="module")
def nets(articles, tmp_path_factory):
    """Networks trained on those images, by activation and pixels, each with its file, which says neither."""
    made, folder = {}, tmp_path_factory.mktemp("nets")
    for activation in ("relu", "tanh"):
        for pixels, change in PIXELS.items():
            torch.manual_seed(0)
            net = TinyNet(activation)
            train(net, change(articles[0]), articles[1], steps=40, lr=6e-3)
            path = folder / f"{activation} {pixels}.pt"
            torch.save(net.state_dict(), path)  # keeps the order of the layers, which these names do not tell
            made[activation, pixels] = SimpleNamespace(net=net, path=str(path))
    return made


@pytest.fixture(scope="module")
def file(nets) -> str:
    """One of those files, in the usual pixels."""
    return nets["relu", "[-1, 1]"].path


@pytest.fixture(scope="module")
def zoo_id() -> str:
    return generalization_actions.first_classifier()


def measure_accuracy(source, images):
    yield from measuring.measure(measuring.stored_images(source, images))


def last(steps):
    *_, end = steps
    return end


def test_a_network_of_the_zoo(zoo_id):
    done = generalization_actions.predict(Source(zoo_id=zoo_id))
    result = done.result
    assert 0 <= result.low <= result.test_accuracy <= result.high <= 1
    assert done.result.predictor == "generalization"
    assert done.measured == zoo_at().row(zoo_id)["test_accuracy"]


def test_a_network_is_predicted_once(file, monkeypatch):
    first = generalization_actions.predict(Source(path=file))
    monkeypatch.delattr(classifiers, "predict_accuracy")
    assert generalization_actions.predict(Source(path=file)) is first


def test_the_percentile_is_the_share_of_finished_networks_below(zoo_id):
    done = generalization_actions.predict(Source(zoo_id=zoo_id))
    points = zoo_points(done.result.images)
    finished = [point.measured for point in points if point.row["final"]]
    below = sum(measured < done.result.test_accuracy for measured in finished)
    assert done.percentile == pytest.approx(100 * below / len(finished))


def test_no_percentile_where_the_zoo_has_no_such_networks(zoo_id):
    result = generalization_actions.predict(Source(zoo_id=zoo_id)).result
    assert generalization_actions.percentile(replace(result, images="svhn")) is None


def test_the_points_of_the_zoo_are_its_networks_and_what_each_is_predicted_alone(zoo_id):
    points = {point.zoo_id: point for point in zoo_points()}
    assert len(points) == sum(info.count for info in generalization_actions.classifier_collections())
    point, result = points[zoo_id], generalization_actions.predict(Source(zoo_id=zoo_id)).result
    assert (point.measured, point.typical) == (point.row["test_accuracy"], result.typical)
    for name, value in (("predicted", result.test_accuracy), ("low", result.low), ("high", result.high)):
        assert getattr(point, name) == pytest.approx(value, abs=1e-4)
    sets = {point.images for point in points.values()}
    assert sum(len(zoo_points(images)) for images in sets) == len(points)


def test_an_upload_is_predicted_without_being_measured(file):
    done = generalization_actions.predict(generalization_actions.open_upload(file))
    assert 0 <= done.result.low <= done.result.test_accuracy <= done.result.high <= 1
    assert done.measured is None


def test_the_facts_of_an_upload_state_the_pixels_once(file):
    source = generalization_actions.open_upload(file)
    classifier, result = (
        generalization_actions.classifier_of(source),
        generalization_actions.predict(source).result,
    )
    assert PIXELS_ASSUMED in classifier.network.notes
    facts = tab_html.network_facts(source, classifier, result, None)
    assert "from -1 to 1; activation relu" in facts and PIXELS_ASSUMED not in facts


def test_the_zoo_is_predicted_well_enough_to_be_of_use():
    points = zoo_points()
    errors = sorted(abs(point.predicted - point.measured) for point in points)
    assert errors[len(errors) // 2] < 0.05


@pytest.mark.parametrize("seed", [0, 1])
def test_a_permuted_copy_gets_the_same_prediction(zoo_id, file, seed):
    for source in (Source(zoo_id=zoo_id), Source(path=file)):
        check = check_symmetry(source, seed)
        assert check.difference < 1e-4 and check.total / 2 < check.moved <= check.total


def test_a_rescaled_copy_of_relu_units_gets_the_same_prediction():
    rows = generalization_actions.zoo_at().rows("cifar10-cnns", 40)
    relu, tanh = (next(row["id"] for row in rows if row["activation"] == name) for name in ("relu", "tanh"))
    check = check_symmetry(Source(zoo_id=relu), 0, "rescale")
    assert check.difference < 1e-3 and check.moved > check.total / 2
    assert "were rescaled" in tab_html.symmetry_line(check) and "prediction stayed" in tab_html.symmetry_line(
        check
    )
    with pytest.raises(RequestError, match="only for ReLU units"):
        check_symmetry(Source(zoo_id=tanh), 0, "rescale")


def test_a_permuted_file_gets_the_same_prediction(file, tmp_path):
    network = generalization_actions.open_classifier(Source(path=file))
    order = random_permutations(network.spec, torch.Generator().manual_seed(3))
    copy = network.with_features(permute(network.features, order))
    write_network(copy, tmp_path / "copy.safetensors")
    first = generalization_actions.predict(Source(path=file)).result
    second = generalization_actions.predict(Source(path=str(tmp_path / "copy.safetensors"))).result
    assert second.test_accuracy == pytest.approx(first.test_accuracy, abs=1e-4)


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_measured_accuracy_is_that_of_plain_torch(nets, articles, activation, pixels):
    one = nets[activation, pixels]
    source = generalization_actions.read_as(Source(path=one.path), activation=activation, pixels=pixels)
    steps = list(measure_accuracy(source, "fashion_mnist"))
    assert [step.seen for step in steps] == list(range(100, 1001, 100))
    assert all(step.total == 1000 and step.low <= step.accuracy <= step.high for step in steps)
    wanted = accuracy(one.net, PIXELS[pixels](articles[0]), articles[1])
    assert steps[-1].accuracy == pytest.approx(wanted, abs=0.002)  # images on the edge between two classes
    assert wanted > 0.2, "the test would pass on an untrained network"


def test_networks_equal_up_to_their_pixel_range_get_one_prediction(nets, tmp_path):
    """A network of pixels in [0, 1] and the one that computes the same from [-1, 1] get one prediction."""
    path = nets["tanh", "[0, 1]"].path
    known = generalization_actions.read_as(Source(path=path), activation="tanh", pixels="0,1")
    assert known.convention == ClassifierConvention("tanh", 0.0, 1.0)
    network = generalization_actions.open_classifier(known)
    same = replace(
        network.with_features(network.normalized), convention=ClassifierConvention("tanh", 0.5, 0.5)
    )
    write_network(same, tmp_path / "same.safetensors")
    first, second = (
        generalization_actions.predict(s).result
        for s in (known, Source(path=str(tmp_path / "same.safetensors")))
    )
    assert first.test_accuracy == pytest.approx(second.test_accuracy, abs=1e-4)
    assert first.activation == "tanh"


def test_auto_keeps_what_the_file_declares(nets, tmp_path):
    net = nets["tanh", "[0, 1]"].net
    save_file(
        net.state_dict(), tmp_path / "says.safetensors", {"activation": "tanh", "pixel_range": "[0, 1]"}
    )
    source = Source(path=str(tmp_path / "says.safetensors"))
    assert generalization_actions.read_as(source) is source
    assert generalization_actions.read_as(source, activation="relu").convention == ClassifierConvention(
        "relu", 0.0, 1.0
    )
    assert generalization_actions.read_as(source, pixels="-1,1").convention == ClassifierConvention(
        "tanh", 0.5, 0.5
    )


@pytest.mark.parametrize(("activation", "pixels"), [
    ("maxout", "auto"), (7, "auto"), (["relu"], "auto"), ("auto", "black"), ("auto", "1,0"), ("auto", 5),
    ("auto", "nan,1"), ("auto", None),
])  # fmt: skip
def test_impossible_conventions_are_refused(file, activation, pixels):
    with pytest.raises(RequestError, match=r"choose one of auto|such as 0,1"):
        generalization_actions.read_as(Source(path=file), activation=activation, pixels=pixels)


def test_conventions_of_zoo_networks_cannot_be_given(zoo_id):
    with pytest.raises(RequestError, match="leave images, activation, pixels and reading at auto"):
        generalization_actions.read_as(Source(zoo_id=zoo_id), activation="relu")


@pytest.mark.parametrize("images", ["mnist", "fashion_mnist", "cifar10"])
def test_any_network_runs_on_any_of_the_sets(file, images):
    end = last(measure_accuracy(Source(path=file), images))
    assert end.seen == 1000 and 0 < end.accuracy < 1


def test_the_measured_accuracy_agrees_with_what_the_zoo_measured_on_all_test_images(zoo_id):
    end = last(measure_accuracy(Source(zoo_id=zoo_id), "cifar10"))
    low, high = wilson(end.correct, end.total, coverage=0.9999)
    assert low < zoo_at().row(zoo_id)["test_accuracy"] < high


def test_wilson():
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson(10, 10)[1] == 1


def test_unknown_images_and_networks_too_deep_for_them(file, tmp_path):
    with pytest.raises(RequestError, match="choose one of mnist"):
        next(measure_accuracy(Source(path=file), "svhn"))
    source = Source(path=saved(tmp_path, small_cnn(depth=5)))
    deep = generalization_actions.read_as(source, activation="relu", images="cifar10")
    with pytest.raises(RequestError, match="cannot be measured"):
        next(measure_accuracy(deep, "mnist"))


def small_cnn(
    channels: int = 1, classes: int = 10, width: int = 8, depth: int = 3, head: tuple = ()
) -> nn.Module:
    convolutions = [nn.Conv2d(channels if i == 0 else width, width, 3, 2) for i in range(depth)]
    widths = (width, *head, classes)
    linear = [nn.Linear(n, m) for n, m in itertools.pairwise(widths)]
    return nn.Sequential(*convolutions, *linear)


def saved(folder, net: nn.Module) -> str:
    save_file(net.state_dict(), folder / "net.safetensors")
    return str(folder / "net.safetensors")


@pytest.mark.parametrize(("net", "words"), [
    (nn.Sequential(nn.Linear(2, 16), nn.Linear(16, 1)), "not an image classifier"),
    (nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3), nn.Conv2d(8, 16, 1), nn.Linear(16, 10)), "onnx.export"),
])  # fmt: skip
def test_non_classifiers_and_unclear_wirings_are_refused_with_clear_errors(tmp_path, net, words):
    path = saved(tmp_path, net)
    with pytest.raises(RequestError, match=words):
        generalization_actions.open_upload(path)
    (row,) = batch.predict_files([path])
    assert row.predicted is None and row.error


@pytest.mark.parametrize(
    ("build", "known"),
    [
        (lambda: small_cnn(width=40), {"images": "fashion_mnist", "activation": "relu"}),
        (lambda: small_cnn(depth=1), {}),
        (lambda: small_cnn(channels=3, depth=2), {"images": "cifar10", "activation": "tanh"}),
        (lambda: small_cnn(width=3, head=(20,)), {"images": "mnist"}),
        (lambda: nn.Sequential(nn.Linear(784, 16), nn.Linear(16, 10)), {}),
    ],
    ids=["wide", "shallow", "colour", "narrow with a hidden layer", "without convolutions"],
)
def test_untrained_networks_of_any_architecture_are_not_typical(tmp_path, build, known):
    """Whether all is searched for, or some of it is given."""
    torch.manual_seed(0)
    source = generalization_actions.read_as(Source(path=saved(tmp_path, build())), **known)
    result = generalization_actions.predict(source).result
    assert not result.typical and result.reason.endswith(".")
    assert generalization_actions.classifier_of(source).graph is not None, "it is drawn all the same"


def test_an_untrained_network_gets_no_number_in_a_batch_either(tmp_path):
    torch.manual_seed(0)
    (row,) = batch.predict_files([saved(tmp_path, nn.Sequential(nn.Linear(784, 16), nn.Linear(16, 10)))])
    assert row.error or not row.typical


def test_a_network_of_other_classes_is_opened_and_gets_no_number(tmp_path):
    source = Source(path=saved(tmp_path, small_cnn(classes=7)))
    result = generalization_actions.predict(source).result
    assert math.isnan(result.test_accuracy) and "ten classes" in result.reason
    with pytest.raises(RequestError, match="cannot be measured"):
        next(measure_accuracy(source, "mnist"))


def test_expired_uploads_give_a_clear_error(tmp_path):
    gone = str(tmp_path / "gone.safetensors")
    with pytest.raises(RequestError, match="no longer kept"):
        generalization_actions.open_classifier(Source(path=gone))
    assert "no longer kept" in batch.predict_files([gone])[0].error
    with pytest.raises(RequestError, match="Upload a file"):
        generalization_actions.open_upload(None)


@pytest.fixture(scope="module")
def stack(nets, tmp_path_factory) -> str:
    """Two of the networks in one file, and a third that diverged."""
    states = [one.net.state_dict() for one in unlike(nets)]
    states.append({name: torch.full_like(tensor, torch.nan) for name, tensor in states[0].items()})
    path = tmp_path_factory.mktemp("stack") / "stack.pt"
    torch.save({name: torch.stack([state[name] for state in states]) for name in states[0]}, path)
    return str(path)


def unlike(nets) -> list[SimpleNamespace]:
    """Two networks that differ in activation and pixels."""
    return [nets["relu", "[-1, 1]"], nets["tanh", "[0, 1]"]]


def test_a_batch_gives_the_same_predictions_as_single_files_despite_a_bad_one(nets, stack, tmp_path):
    (tmp_path / "page.pt").write_bytes(b"<!doctype html>")
    good = [one.path for one in unlike(nets)]
    rows = batch.predict_files([good[0], str(tmp_path / "page.pt"), good[1], stack])
    assert [row.name for row in rows[:2]] == ["relu [-1, 1].pt", "page.pt"]
    assert [row.name for row in rows[-3:]] == [f"stack.pt[{i}]" for i in range(3)]
    assert "HTML" in rows[1].error and "NaN" in rows[-1].error and rows[-1].predicted is None
    for row, in_stack, path in zip([rows[0], rows[2]], rows[3:5], good, strict=True):
        alone = generalization_actions.predict(Source(path=path)).result
        assert row.predicted == pytest.approx(alone.test_accuracy, abs=1e-4) and not row.error
        assert (row.typical, row.images, row.activation) == (alone.typical, alone.images, alone.activation)
        assert in_stack.predicted is not None and not in_stack.error


def test_a_stack_is_not_one_network(stack):
    with pytest.raises(RequestError, match="a stack of 3 networks: upload it as a batch"):
        generalization_actions.open_upload(stack)


def test_batches_are_limited(file, monkeypatch):
    with pytest.raises(RequestError, match="at least one"):
        batch.predict_files([])
    with pytest.raises(RequestError, match="at most 200"):
        batch.predict_files([file] * 201)
    monkeypatch.setattr(batch, "MAX_NETWORKS", 1)
    first, second = batch.predict_files([file, file])
    assert first.predicted is not None and "send this file on its own" in second.error


def test_the_table_as_csv_starts_no_formula():
    names = ["net.pt", "=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\tx", 'a,"b"\nc']
    text = batch.to_csv([BatchRow(name, error="=x") for name in names])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ["net.pt", *(f"'{name}" for name in names[1:6]), names[6]]
    assert {row["error"] for row in rows} == {"'=x"} and {row["predicted"] for row in rows} == {""}
    (row,) = csv.DictReader(
        io.StringIO(batch.to_csv([BatchRow("a", 0.5, 0.25, 0.75, True, "cifar10", "relu")]))
    )
    assert (row["predicted"], row["low"], row["typical"]) == ("0.500000", "0.250000", "True")


def test_a_failed_search_gives_a_clear_error(monkeypatch, file):
    """Whatever cannot be found out is said by a ValueError, and that reaches the visitor."""

    def refuse(*_):
        raise ValueError("Too deep for me.")

    generalization_actions.classifier_of.cache_clear()
    generalization_actions.predict.cache_clear()
    monkeypatch.setattr(classifiers, "identify_classifier", refuse)
    monkeypatch.setattr(small_cnns, "identify_classifier", refuse)
    with pytest.raises(RequestError, match="Too deep"):
        generalization_actions.predict(Source(path=file))
    assert batch.predict_files([file])[0].error == "Too deep for me."


def test_alternatives_that_compute_the_same_are_predicted_once():
    setting = Setting("mnist", (1, 28, 28), ZERO_ONE, AsDeclared())
    best = Fit(setting, -1.0, 0.6, 0.5, 0.0, 300, True)
    near, far = replace(best, log_likelihood=-1.01, accuracy=0.59), replace(best, accuracy=0.5)
    elsewhere = replace(best, setting=replace(setting, images="fashion_mnist"))
    identified = Identified(Declared(None), {}, (best, near, best, far, elsewhere, replace(near)), True)  # pyright: ignore
    assert classifiers._likeliest_to_differ(identified) == [elsewhere, far, near]


def test_counting_moved_weights_counts_each_once():
    spec = generalization_actions.open_classifier(
        Source(zoo_id=generalization_actions.first_classifier())
    ).spec
    zeros = Network(zoo_at().collection("cifar10-cnns").features([0]) * 0.0, ClassifierConvention(),
                    tuple(LayerNames(f"{i}.weight", None) for i in range(len(spec))))  # fmt: skip
    ones = zeros.with_features(zeros.features.map(torch.ones_like))
    assert count_moved(zeros, zeros) == 0
    assert count_moved(zeros, ones) == spec.get_num_params()


def test_a_reading_can_be_chosen_among_those_that_were_tried(tmp_path):
    """Of an untrained network none stands out: each is offered, drawn as chosen, and gets no number all the same."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(),
                        nn.Linear(8 * 11 * 11, 10))  # fmt: skip
    torch.save(net.state_dict(), tmp_path / "net.pt")
    source = Source(path=str(tmp_path / "net.pt"))
    first, *others = generalization_actions.classifier_of(source).readings
    assert others and len({first, *others}) == 1 + len(others)
    chosen = generalization_actions.read_as(source, reading=others[0])
    assert generalization_actions.classifier_of(chosen).readings[0] == others[0] and set(
        generalization_actions.classifier_of(chosen).readings
    ) >= {first}
    classifier = generalization_actions.classifier_of(chosen)
    assert classifier.setting and classifier.setting.words == others[0] and classifier.fault
    with pytest.raises(RequestError, match="None of the readings"):
        generalization_actions.predict(generalization_actions.read_as(source, reading="upside down"))
    zoo_network = Source(zoo_id=generalization_actions.first_classifier())
    assert generalization_actions.classifier_of(zoo_network).readings == ()
    with pytest.raises(RequestError, match="at auto"):
        generalization_actions.read_as(zoo_network, reading=first)


@pytest.mark.parametrize("name", ["cifar10-cnns", "fashion-mnist-cnns"])
def test_weights_alone_give_a_second_answer_for_small_cnns(name):
    rows = [row for row in zoo_at().rows(name)][:60]
    predicted = [generalization_actions.predict(Source(zoo_id=row["id"])) for row in rows]
    errors = [
        abs(one.weights - row["test_accuracy"])
        for one, row in zip(predicted, rows, strict=True)
        if one.weights is not None
    ]
    assert len(errors) >= 55 and sum(errors) / len(errors) < 0.03
    result = predicted[0].result
    for weights, words in ((result.test_accuracy, "inside"), (result.high + 0.1, "outside")):
        page = tab_html.accuracy(replace(predicted[0], weights=weights), None, [], "")
        assert f"{words} the predicted interval" in page.split("Weights alone: ")[1]


def test_weights_alone_give_no_answer_for_networks_that_no_reader_takes():
    assert generalization_actions.predict(Source(zoo_id="cifar10-wild/test/0")).weights is None
    unlike = replace(generalization_actions.predict(Source(zoo_id="cifar10-cnns/test/5")), weights=None)
    assert "Weights alone" not in tab_html.accuracy(unlike, None, [], "")


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.4809, 0.2392)])
def test_the_input_normalisation_of_a_stack_is_found(mean, std, tmp_path):
    zoo, convention = zoo_at(), ClassifierConvention(None, mean, std)
    best = sorted(zoo.rows("cifar10-cnns"), key=lambda row: row["test_accuracy"])[-4:]
    chains = [convention.denormalize(zoo.network(row["id"]).features) for row in best]
    stacked = {
        f"{i}.{kind}": torch.stack([getattr(chain, tensors)[i][0, 0] for chain in chains])
        for i in range(4)
        for kind, tensors in (("weight", "weights"), ("bias", "biases"))
    }
    torch.save(stacked, tmp_path / "stack.pt")
    rows = batch.predict_files([str(tmp_path / "stack.pt")])
    assert len(rows) == 4 and all(row.typical for row in rows)
    for row, known in zip(rows, best, strict=True):
        assert row.predicted == pytest.approx(known["test_accuracy"], abs=0.05)
