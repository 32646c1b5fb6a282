"""Archives that hide, repeat, compress or misplace their members: refused before anything is unpacked."""

import struct
import zipfile

import pytest
from reader_files import (
    to_pickle,
    write_checkpoint,
    write_members,
)
from refusals import peak_memory, refusal, valid_checkpoint

from nfn.reader.limits import TENSORS


def test_a_zip_bomb_is_refused_from_its_directory(tmp_path):
    members = {"net/data.pkl": to_pickle({}), "net/version": b"3", "net/data/0": bytes(10**8)}
    path = write_members(tmp_path / "net.pt", members, zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(path)
    assert peak_memory(lambda: refusal(path)) < 10**6


def test_archives_of_too_many_members_are_refused(tmp_path):
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 60_000, 60_000, 46 * 60_000, 0, 0)
    (tmp_path / "net.pt").write_bytes(b"PK\x03\x04" + bytes(46 * 60_000) + end)
    assert "60,000 members" in refusal(tmp_path / "net.pt")
    members = {"net/data.pkl": to_pickle({}), **{f"net/data/{i}": b"" for i in range(2 * TENSORS)}}
    assert "members" in refusal(write_members(tmp_path / "many.pt", members))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../../x", "outside"),
        ("net/../x", "outside"),
        ("/etc/passwd", "outside"),
        ("C:/x", "outside"),
        ("net\\x", "outside"),
        ("net/data/\u202e", "outside"),
        ("other/data/1", "several top folders"),
        ("loose", "several top folders"),
        ("net/run.py", "never writes"),
    ],
)
def test_members_in_odd_places_are_refused(tmp_path, name, words):
    members = {"net/data.pkl": to_pickle({}), name: b"x"}
    assert words in refusal(write_members(tmp_path / "net.pt", members))
    assert [p.name for p in tmp_path.iterdir()] == ["net.pt"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicates_and_links_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "twice.pt", "w") as archive:
        for _ in range(2):
            archive.writestr("net/data.pkl", to_pickle({}))
    assert "'net/data.pkl' twice" in refusal(tmp_path / "twice.pt")
    link = zipfile.ZipInfo("net/data/0")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.pt", "w") as archive:
        archive.writestr("net/data.pkl", to_pickle({}))
        archive.writestr(link, "/etc/passwd")
    assert "symbolic link" in refusal(tmp_path / "link.pt")


def test_encrypted_members_are_refused(tmp_path):
    data = bytearray(valid_checkpoint(tmp_path / "net.pt"))
    entry = data.index(b"PK\x01\x02")
    data[entry + 8] |= 1
    (tmp_path / "net.pt").write_bytes(data)
    assert "encrypted" in refusal(tmp_path / "net.pt")


def test_a_wrong_checksum_is_refused(tmp_path):
    data = bytearray(valid_checkpoint(tmp_path / "net.pt"))
    with zipfile.ZipFile(tmp_path / "net.pt") as archive:
        offset = archive.getinfo("net/data/0").header_offset
    data[data.index(b"PK\x07\x08", offset) - 1] ^= 1
    (tmp_path / "net.pt").write_bytes(data)
    assert "checksum of 'net/data/0' is wrong" in refusal(tmp_path / "net.pt")


def test_polyglots_are_refused(tmp_path):
    data = valid_checkpoint(tmp_path / "net.pt")
    other = write_members(tmp_path / "other.zip", {"a.txt": b"hello"}).read_bytes()
    for polyglot in (data + b"junk", data + bytes(1), data + other, other + data, b"PK\x03\x04" + data):
        (tmp_path / "net.pt").write_bytes(polyglot)
        refusal(tmp_path / "net.pt")
    (tmp_path / "net.pt").write_bytes(data + b"junk")
    assert "appended" in refusal(tmp_path / "net.pt")
    (tmp_path / "net.pt").write_bytes(other + data)
    assert "not where it should be" in refusal(tmp_path / "net.pt")


def test_a_hidden_member_between_members_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("net/data.pkl", to_pickle({}))
        archive.writestr("net/data/0", b"hidden")
        archive.writestr("net/version", b"3")
        del archive.NameToInfo["net/data/0"]
        archive.filelist = [info for info in archive.filelist if info.filename != "net/data/0"]
    assert "belong to nothing" in refusal(tmp_path / "net.pt")


def test_a_nested_zip_is_only_bytes(tmp_path):
    inner = write_members(tmp_path / "inner.zip", {"a": b"x"}).read_bytes()
    path = write_checkpoint(tmp_path / "net.pt", to_pickle({"a.weight": 1}), {"0": inner})
    assert "No weights found" in refusal(path)


def test_big_endian_checkpoints_are_refused(tmp_path):
    members = {"net/data.pkl": to_pickle({}), "net/byteorder": b"big"}
    assert "byte order" in refusal(write_members(tmp_path / "net.pt", members))
