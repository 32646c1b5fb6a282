"""Safetensors headers that lie about lengths, tensors and names: refused soon, in short and printable words."""

import pytest
from hostile_files import BAD_HEADERS
from reader_files import (
    float_entries,
    write_safetensors,
)
from refusals import refusal

from nfn.reader.errors import quote
from nfn.reader.limits import TENSORS


@pytest.mark.parametrize("length", [0, 5, 10**4, 2**20 + 1, 10**8, 2**63, 2**64 - 1])
def test_wrong_header_lengths_are_refused(tmp_path, length):
    header, body = float_entries({"a.weight": (1, 2)})
    message = refusal(write_safetensors(tmp_path / "net.safetensors", header, body, length))
    assert "safetensors file" in message


@pytest.mark.parametrize(("header", "words"), BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_bad_headers_are_refused(tmp_path, header, words):
    message = refusal(write_safetensors(tmp_path / "net.safetensors", header, bytes(8)))
    assert words in message, message


def test_too_many_tensors_are_refused(tmp_path):
    header, body = float_entries({f"{i}.weight": (1, 1) for i in range(TENSORS + 1)})
    assert "2,001 tensors" in refusal(write_safetensors(tmp_path / "net.safetensors", header, body))
    text = b"{" + b",".join(b'"%d":0' % i for i in range(10**5)) + b"}"
    assert "100,000 tensors" in refusal(write_safetensors(tmp_path / "net.safetensors", text))


def test_a_very_long_name_is_refused_quickly(tmp_path):
    header, body = float_entries({"weight" * 100_000: (1, 2)})
    message = refusal(write_safetensors(tmp_path / "net.safetensors", header, body))
    assert "600,000 characters" in message and len(message) < 400


@pytest.mark.parametrize(
    "name", ["x" * 10_000, "a\nb\tc\x00", "\u202e\u2066evil", "<script>alert(1)</script>" * 9]
)
def test_names_in_messages_are_short_and_printable(tmp_path, name):
    header, body = float_entries({name: (1, 2, 3)})
    message = refusal(write_safetensors(tmp_path / "net.safetensors", header, body))
    assert len(message) < 400
    assert len(quote(name)) < 70 and quote(name).isprintable()
