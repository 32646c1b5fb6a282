"""Walking from one network to another: two of the zoo, classifiers and SIRENs, and what cannot be walked."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from app.networks.source import Source
from app.runtime.errors import RequestError
from app.tabs.checkpoint import interpolation, interpolation_html
from nfn.compare.align import Symmetry
from nfn.reader import read_network, write_network
from nfn.space import WeightSpace
from zoo.catalog import Zoo


def upload(zoo_id: str, folder, name: str) -> Source:
    write_network(Zoo().network(zoo_id), folder / name)
    return Source(path=str(folder / name))


def test_two_classifiers_interpolate_well_only_after_alignment(tmp_path, monkeypatch):
    monkeypatch.setattr(interpolation, "IMAGES", 200)
    first, second = (upload(f"fashion-mnist-cnns/test/{i}", tmp_path, f"{i}.safetensors") for i in (52, 98))
    walked = interpolation.interpolate(first, second)
    assert walked.images == "fashion_mnist" and walked.seen == 200 and len(walked.direct) == 11
    assert walked.direct[0] == walked.aligned[0] > 0.8 and walked.direct[-1] == walked.aligned[-1] > 0.8
    assert walked.aligned[5] > walked.direct[5] + 0.2
    shown = interpolation_html.results_along_path(walked)
    assert "Fashion-MNIST" in shown and "halfway" in shown and shown.count("<tr>") == 12, "also as a table"
    curves = interpolation_html.curves_along_path(walked)
    assert curves is not None
    figure = json.loads(curves.plot)
    assert [line["y"][5] for line in figure["data"]] == [
        round(x[5], 4) for x in (walked.direct, walked.aligned)
    ]
    aligned, averaged = interpolation.save_networks(walked, "<b>.pt", tmp_path)
    assert "<" not in aligned.name and read_network(averaged).kind == "classifier"


def test_two_sirens_are_drawn_along_the_way(tmp_path):
    first, second = (upload(f"mnist-sirens/test/{i}", tmp_path, f"{i}.safetensors") for i in (17, 3))
    walked = interpolation.interpolate(first, second)
    assert walked.is_pictures and walked.direct[0].shape == (1, 56, 56)
    assert torch.allclose(walked.direct[-1], walked.aligned[-1], atol=1e-4), (
        "the same network in another order"
    )
    assert walked.alignment.distance < 0.7 * walked.alignment.before
    assert interpolation_html.results_along_path(walked).count("<img") == 10
    assert interpolation_html.curves_along_path(walked) is None
    aligned, _ = interpolation.save_networks(walked, "x", tmp_path)
    assert load_file(aligned).keys() == load_file(second.path or "").keys()


def test_a_permuted_copy_is_the_same_all_the_way(tmp_path):
    first = upload("mnist-sirens/test/17", tmp_path, "a.safetensors")
    network = Zoo().network("mnist-sirens/test/17")
    space = WeightSpace.of_spec(network.spec)
    names = [name for pair in network.names for name in (pair.weight, pair.bias)]
    tensors = dict(
        zip((t.name for t in space.tensors), (network.tensors()[str(n)] for n in names), strict=True)
    )
    hidden = Symmetry.of_space(space).permute(tensors, space.random_permutations())
    save_file(
        {str(n): hidden[t.name].contiguous() for n, t in zip(names, space.tensors, strict=True)},
        tmp_path / "b.st",
    )
    walked = interpolation.interpolate(first, Source(path=str(tmp_path / "b.st")))
    assert walked.alignment.distance < 1e-6
    assert torch.allclose(walked.aligned[2], walked.aligned[0], atol=1e-4)
    assert not torch.allclose(walked.direct[2], walked.direct[0], atol=0.1)


def test_networks_of_other_architectures_are_refused_in_a_sentence(tmp_path):
    siren = upload("mnist-sirens/test/17", tmp_path, "a.safetensors")
    colour = upload("cifar10-sirens/test/0", tmp_path, "b.safetensors")
    cnn = upload("fashion-mnist-cnns/test/52", tmp_path, "c.safetensors")
    for other in (colour, cnn):
        with pytest.raises(RequestError, match="the same architecture"):
            interpolation.interpolate(siren, other)
