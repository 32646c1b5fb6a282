"""HDF5: files of Keras and h5py are listed, with their values; hostile ones are refused in a sentence."""

import gzip
import json
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from nfn.checkpoint import Checkpoint, hdf5, open_bytes
from nfn.health import examine, spectra
from nfn.look import look
from nfn.look.words import as_dict
from nfn.reader import NetworkFileError

FOLDER = Path(__file__).parent / "data" / "checkpoints"
ROOT = 96
"""Where the header of the root group is in a file of h5py."""


def stored(name: str) -> bytes:
    return gzip.decompress((FOLDER / f"{name}.gz").read_bytes())


def values(checkpoint: Checkpoint, name: str) -> np.ndarray:
    assert checkpoint.blocks is not None
    return np.concatenate([block for block in checkpoint.blocks(name)])


@pytest.mark.parametrize(
    ("file", "form", "kernel"),
    [
        ("keras.keras", "Keras (.keras)", "layers/dense/vars/0"),
        ("keras.weights.h5", "HDF5 (Keras)", "layers/dense/vars/0"),
        ("keras.h5", "HDF5 (Keras)", "model_weights/fc/digits/fc/kernel"),
    ],
)
def test_files_of_keras_are_listed_with_their_values(file, form, kernel):
    opened = open_bytes(stored(file))
    assert (
        opened.format == form and len(opened.tensors) == 8 and opened.nbytes == 4 * 37 and not opened.broken
    )
    assert opened.parameters == 33 and sum(t.is_buffer for t in opened.tensors.values()) == 2
    assert opened.shapes[kernel] == (2, 3) and "optimizer" in opened.notes[0]
    assert values(opened, kernel).sum() == pytest.approx(2.129838)
    assert examine(opened).read == 8
    if file != "keras.weights.h5":
        assert opened.declared_name == "digits" and opened.inputs[0].shape == (None, 8, 8, 1)
        assert opened.operators["Conv2D"] == 1 and "InputLayer" not in opened.operators


def test_the_names_of_layers_are_metadata():
    assert open_bytes(stored("keras.weights.h5")).metadata["layers/conv2d/vars@name"] == "conv"
    assert open_bytes(stored("keras.h5")).metadata["keras_version"] == "3.15.1"


def test_layers_are_in_the_order_of_their_numbers():
    data = stored("keras.weights.h5").replace(b"batch_normalization\0", b"bn_10".ljust(20, b"\0"))
    names = open_bytes(data.replace(b"dense\0\0\0", b"bn_2\0\0\0\0")).tensors
    assert list(dict.fromkeys(name.split("/")[1] for name in names)) == ["bn_2", "bn_10", "conv2d"]


def test_every_dtype_and_storage_of_h5py_is_listed():
    opened = open_bytes(stored("kinds.h5"))
    assert opened.format == "HDF5" and opened.metadata == {
        "u": "ünï",
        "fix": "fixed",
        "b/bf@dtype": "bfloat16",
    }
    for name, dtype in {
        "f2": "float16",
        "f8": "float64",
        "i1": "int8",
        "i8": "int64",
        "u4": "uint32",
        "?": "bool",
    }.items():
        assert opened.tensors[f"t/{name}"].dtype == dtype
        assert values(opened, f"t/{name}").tolist() == np.arange(6).reshape(2, 3).astype(name).tolist()
    assert values(opened, "b/bf").tolist() == [0, 1, 2, 3] and opened.shapes["hard"] == (2, 3)
    assert opened.tensors["t/>f4"].dtype == "big-endian float32"
    for name in ("z/gz", "z/chunk"):
        assert values(opened, name).tolist() == list(range(100))
    assert opened.tensors["z/unwritten"].dtype == "unwritten float32"
    assert opened.shapes["z/empty"] == (0, 3) and opened.tensors["z/null"].nbytes == 0
    assert not {"soft", "e/ext", "t/f4"} & set(opened.tensors), (
        "links, and a dataset with two names is listed once"
    )


def test_chunks_are_put_together():
    opened = open_bytes(stored("chunks.h5"))
    assert values(opened, "shuffled").tolist() == np.arange(60).reshape(6, 10).tolist(), (
        "the edges of the grid are cut"
    )
    assert values(opened, "deep").tolist() == list(range(100)), "a tree of two levels"
    assert values(opened, "noise").tolist() == np.random.default_rng(0).standard_normal(32).tolist(), (
        "gzip left out"
    )
    assert not values(opened, "zeros").any() and opened.shapes["zeros"] == (1000, 100)
    for name in ("lzf", "checked", "half"):  # other filters, and a chunk that was never written
        assert opened.tensors[name].dtype == "chunked float32"
        with pytest.raises(NetworkFileError, match="chunked float32"):
            values(opened, name)
    assert examine(opened).skipped == 3


def test_the_newer_layout_is_read_with_all_members_of_its_groups():
    opened = open_bytes(stored("latest.h5"))
    layers = {name: found for name, found in opened.tensors.items() if name.startswith("layers/")}
    assert list(layers) == [f"layers/{i}/w" for i in range(60)]
    assert [float(values(opened, name)[0]) for name in layers] == list(range(60))
    assert values(opened, "few/kernel").sum() == 1770 and values(opened, "few/bias").tolist() == list(
        range(10)
    )
    assert opened.tensors["few/chunked"].dtype == "chunked float32" and opened.metadata == {
        "keras_version": "3"
    }
    assert open_bytes(stored("ordered.h5")).shapes == {"a/w": (6, 10), "b/w": (6, 10)}


SHAPE, CHUNK = struct.pack("<QQ", 1000, 100), struct.pack("<III", 1000, 100, 4)


def resized(rows: int) -> bytes:
    """`chunks.h5` with so many rows in `zeros`, and in its one chunk of 400,000 zeros in 408 bytes."""
    data = stored("chunks.h5")
    assert data.count(CHUNK) == 1
    return data.replace(SHAPE, struct.pack("<QQ", rows, 100)).replace(
        CHUNK, struct.pack("<III", rows, 100, 4)
    )


@pytest.mark.parametrize(("rows", "size"), [(64_000, "25,600,000"), (10, "4,000")])
def test_a_chunk_that_unpacks_to_more_or_less_than_it_should_is_refused(rows, size):
    with pytest.raises(NetworkFileError, match=f"does not have its {size} bytes"):
        values(open_bytes(resized(rows)), "zeros")


def test_a_damaged_chunk_is_a_finding_and_has_no_spectrum():
    opened = open_bytes(resized(20))
    report = examine(opened)
    assert report.verdict == "broken" and report.findings[0].tensors == ("zeros",) and report.read == 3
    assert list(spectra(opened)) == []


def test_above_64_mib_nothing_is_put_together():
    assert open_bytes(resized(2**20)).tensors["zeros"].dtype == "chunked float32"


def test_a_file_whose_chunks_unpack_to_far_more_than_it_has_is_refused(monkeypatch):
    monkeypatch.setattr(hdf5, "FILE_BYTES", 100_000)
    with pytest.raises(NetworkFileError, match="unpack to 401,"):
        open_bytes(stored("chunks.h5"))


def test_a_grid_of_many_chunks_is_not_walked():
    vector = struct.pack("<BBBB4xQ", 1, 1, 1, 0, 100)
    assert stored("chunks.h5").count(vector) == 1
    with pytest.raises(NetworkFileError, match="more than 2,000,000 parts"):
        open_bytes(stored("chunks.h5").replace(vector, vector[:8] + struct.pack("<Q", 2**23)))


def test_a_cut_file_is_listed_and_says_what_is_lost():
    data = stored("keras.h5")
    cut = open_bytes(data[: len(data) // 2])
    assert "cut short" in cut.broken[0] and "cannot be listed" in cut.broken[0]
    assert 0 < len(cut.tensors) < 8
    assert examine(cut).verdict == "broken"


def test_settings_that_keras_never_writes_are_refused():
    with pytest.raises(NetworkFileError, match="settings of this Keras model"):
        open_bytes(stored("keras.h5").replace(b'{"class_name": "Seq', b'{"class_name"= "Seq'))


def patched(start: int, code: str, *numbers: int) -> bytes:
    data = bytearray(stored("keras.weights.h5"))
    struct.pack_into("<" + code, data, start, *numbers)
    return bytes(data)


TREE = stored("keras.weights.h5").index(b"TREE")
SYMBOLS = stored("keras.weights.h5").index(b"SNOD")
KERNEL = struct.pack("<BBBB4xQQ", 1, 2, 1, 0, 2, 3)
"""The dataspace of a kernel."""


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (hdf5.MAGIC, "damaged"),
        (hdf5.MAGIC + bytes(100), "no datasets|damaged"),
        (patched(8, "B", 4), "libver='latest'"),
        (patched(8, "B", 3), "not of 8 bytes"),
        (patched(ROOT, "I", 0x5244484F), "header of version"),
        (patched(13, "B", 4), "not of 8 bytes"),
        (patched(64, "Q", 2**63), "refers to byte"),
        (patched(TREE + 4, "B", 1), "not one of a group"),
        (patched(TREE + 5, "BHQQQQ", 1, 1, 0, 0, 0, TREE), "contains itself"),
        (patched(TREE + 6, "H", 65_535), "refers to byte|no SNOD"),
        (patched(SYMBOLS + 6, "H", 65_535), "damaged"),
        (patched(ROOT + 16, "HHIQQ", 16, 16, 0, ROOT + 16, 24), "more than 20,000 parts"),
        (stored("keras.weights.h5").replace(KERNEL, KERNEL[:16] + b"\xff" * 8), "impossible shape"),
        (stored("keras.weights.h5").replace(KERNEL, b"\x01\xff" + KERNEL[2:]), "255 dimensions"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused_in_a_sentence(data, why, monkeypatch):
    monkeypatch.setattr(hdf5, "STEPS", 20_000)
    with pytest.raises(NetworkFileError, match=why) as caught:
        open_bytes(data)
    assert str(caught.value).isprintable()


def test_a_group_inside_itself_is_listed_once():
    name, _ = struct.unpack_from("<QQ", stored("keras.weights.h5"), SYMBOLS + 8)
    looped = open_bytes(patched(SYMBOLS + 8, "QQ", name, ROOT))
    assert all("layers" not in tensor for tensor in looped.tensors)


def test_a_shape_beyond_the_file_is_missing_not_allocated():
    huge = open_bytes(
        stored("keras.weights.h5").replace(KERNEL, KERNEL[:8] + struct.pack("<QQ", 2**39, 2**39))
    )
    assert huge.missing == {"layers/dense/vars/0"} and examine(huge).read == 7


def test_datasets_that_share_their_bytes_are_refused():
    """Else 50,000 of them, each as large as the file, would be checked one after the other."""
    data = bytearray(stored("keras.weights.h5").replace(KERNEL, KERNEL[:8] + struct.pack("<QQ", 1, 4_000)))
    layouts = [i for i in range(8, len(data) - 18) if data[i : i + 2] == b"\x03\x01" and data[i - 8] == 8]
    assert len(layouts) >= 8
    for start in layouts:
        struct.pack_into("<Q", data, start + 2, 0)
    for kernel in (b"\x02\0\0\0\0\0\0\0", b"\x03\0\0\0\0\0\0\0"):
        vector = struct.pack("<BBBB4x", 1, 1, 1, 0) + kernel
        data = data.replace(vector, vector[:8] + struct.pack("<Q", 4_000))
    with pytest.raises(NetworkFileError, match="share their bytes"):
        open_bytes(bytes(data))


def test_whatever_changes_in_a_file_it_is_listed_or_refused_in_a_sentence():
    """400 files with some bytes changed, cut or put in; 6,000 were tried by hand."""
    names = (
        "keras.keras",
        "keras.weights.h5",
        "keras.h5",
        "kinds.h5",
        "chunks.h5",
        "latest.h5",
        "ordered.h5",
    )
    seeds = [stored(name) for name in names]
    rng = random.Random(0)
    for _ in range(400):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 2, 4))):
            place = rng.randrange(min(len(data), rng.choice((2_000, len(data)))))
            new = rng.choice(
                (rng.randbytes(1), struct.pack("<Q", rng.choice((ROOT, TREE, 2**40, 2**64 - 1))))
            )
            data[place : place + rng.choice((0, len(new)))] = new
        try:
            seen = open_bytes(bytes(data))
            json.dumps(as_dict(look(seen)))
            assert seen.nbytes >= 0
            examine(seen)
        except NetworkFileError as error:
            assert str(error).isprintable()
