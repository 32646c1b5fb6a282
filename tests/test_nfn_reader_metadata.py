"""What a file says of its convention and kind is believed, kept and overruled, and named where it makes no sense."""

import pytest
import torch
from reader_files import make_cnn, make_siren
from safetensors import safe_open
from safetensors.torch import save_file
from state_dicts import SIREN_WIDTHS, save

from nfn.network import SirenConvention
from nfn.reader import NetworkFileError, read_network, write_network


def test_metadata_comes_back_as_it_came_with_the_convention_beside_it(tmp_path):
    metadata = {"omega_0": "20", "author": "someone", "output_range": "[0,1]"}
    save_file(make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "net.safetensors", metadata=metadata)
    write_network(read_network(tmp_path / "net.safetensors"), tmp_path / "copy.safetensors")
    with safe_open(tmp_path / "copy.safetensors", "pt") as file:
        written = file.metadata()
    convention = {"first_omega": "20.0", "hidden_omega": "20.0", "output_range": "[0.0, 1.0]"}
    assert written == {**metadata, "kind": "siren", "coordinates": "row_col", **convention}


def test_a_choice_that_overrides_the_metadata_replaces_it_when_written(tmp_path):
    save_file(
        make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "net.safetensors", metadata={"omega_0": "20"}
    )
    network = read_network(tmp_path / "net.safetensors", convention=SirenConvention(first_omega=10.0))
    write_network(network, tmp_path / "copy.safetensors")
    again = read_network(tmp_path / "copy.safetensors")
    assert again.siren == SirenConvention(first_omega=10.0)
    assert "omega_0" not in again.metadata


@pytest.mark.parametrize(
    ("metadata", "convention"),
    [
        ({}, SirenConvention()),
        ({"omega_0": "20"}, SirenConvention(20.0, 20.0)),
        ({"w0": "1.5e1", "w0_initial": "30"}, SirenConvention(30.0, 15.0)),
        ({"first_omega": "60", "hidden_omega": "10"}, SirenConvention(60.0, 10.0)),
        ({"output_range": "[0,1]"}, SirenConvention(low=0.0, high=1.0)),
        ({"output_range": "(-0.5, 0.5)"}, SirenConvention(low=-0.5, high=0.5)),
        ({"coordinates": "(x, y)"}, SirenConvention(coordinates="col_row")),
        ({"coordinates": "(row, col) on [-1, 1]^2"}, SirenConvention()),
        ({"coordinates": "col_row"}, SirenConvention(coordinates="col_row")),
        ({"Omega-0": " 20 "}, SirenConvention(20.0, 20.0)),
    ],
)
def test_metadata_declares_the_convention(tmp_path, metadata, convention):
    save_file(make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "net.safetensors", metadata=metadata)
    assert read_network(tmp_path / "net.safetensors").siren == convention


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("omega_0", "inf"),
        ("omega_0", "nan"),
        ("omega_0", "-30"),
        ("omega_0", "0"),
        ("omega_0", "1e99"),
        ("omega_0", "thirty"),
        ("output_range", "[1, 0]"),
        ("output_range", "[0, inf]"),
        ("output_range", "255"),
        ("coordinates", "polar"),
        ("coordinates", ""),
    ],
)
def test_invalid_metadata_is_named_unless_the_caller_overrides_it(tmp_path, key, value):
    save_file(make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "net.safetensors", metadata={key: value})
    with pytest.raises(NetworkFileError, match=f"'{key}'.*expected"):
        read_network(tmp_path / "net.safetensors")
    assert read_network(tmp_path / "net.safetensors", convention=SirenConvention()).siren == SirenConvention()


def test_numbers_beside_a_state_dict_declare_the_convention(tmp_path):
    state = make_siren(*SIREN_WIDTHS).state_dict()
    torch.save({"state_dict": state, "w0": 20.0, "output_range": (0, 1)}, tmp_path / "a.pt")
    torch.save({"model": state, "config": {"omega_0": 15}, "epoch": 3}, tmp_path / "b.pt")
    assert read_network(tmp_path / "a.pt").siren == SirenConvention(20.0, 20.0, 0.0, 1.0)
    assert read_network(tmp_path / "b.pt").siren == SirenConvention(15.0, 15.0)
    assert read_network(tmp_path / "b.pt").metadata["epoch"] == "3"


@pytest.mark.parametrize(
    ("widths", "kind"),
    [
        ((2, 8, 1), "siren"),
        ((2, 8, 3), "siren"),
        ((2, 1), "siren"),
        ((2, 8, 2), "classifier"),
        ((1, 1), "classifier"),
    ],
)
def test_the_kind_follows_from_the_shape(tmp_path, widths, kind):
    path = save(make_siren(*widths).state_dict(), tmp_path / "net.pt")
    assert read_network(path).kind == kind
    assert read_network(path, kind="classifier").kind == "classifier"


@pytest.mark.parametrize("named", ["classifier", "init"])
def test_the_metadata_may_name_the_kind(tmp_path, named):
    save_file(make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "net.safetensors", metadata={"kind": named})
    assert read_network(tmp_path / "net.safetensors").kind == "classifier"
    assert read_network(tmp_path / "net.safetensors", kind="siren").kind == "siren"


def test_a_network_that_is_not_a_siren_gets_a_description_of_sirens(tmp_path):
    path = save(make_siren(3, 8, 1).state_dict(), tmp_path / "net.pt")
    with pytest.raises(NetworkFileError, match=r"3 inputs.*2 inputs .*1 or 3 outputs"):
        read_network(path, kind="siren")
    with pytest.raises(NetworkFileError, match="convolutions"):
        read_network(save(make_cnn().state_dict(), tmp_path / "cnn.pt"), kind="siren")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "gan"}, "'gan'"),
        ({"convention": SirenConvention(first_omega=float("nan"))}, "omega nan"),
        ({"convention": SirenConvention(low=1.0, high=1.0)}, "low and high to differ"),
    ],
)
def test_a_wrong_argument_raises_value_error(tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_network(tmp_path / "unread.pt", **arguments)
    assert not isinstance(caught.value, NetworkFileError)
