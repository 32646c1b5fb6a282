"""Picture files of anybody: the right way up, on white, and what is none is refused in words."""

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from nfn.picture_fit import SIZES, fit_picture
from nfn.reader import read_network
from nfn.siren import native_shape, render_network
from zoo.__main__ import app
from zoo.errors import ZooError
from zoo.picture_sizes import compare_sizes
from zoo.pictures import read_picture, shrink


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Red on the left, blue on the right."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2, 0] = pixels[:, size[0] // 2 :, 2] = 255
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_keeps_its_aspect_ratio(form, tmp_path):
    picture().save(tmp_path / "file", form)
    read = read_picture(tmp_path / "file", 16)
    assert read.shape == (3, 8, 16) and read[0, :, 1].mean() > 0.9 and read[2, :, -2].mean() > 0.9
    picture(size=(200, 2)).save(tmp_path / "long", form)
    assert read_picture(tmp_path / "long", 16).shape == (3, 8, 16)  # 16 pixels of its middle; 8 is the least


def test_gray_pictures_have_one_channel_and_deep_ones_are_taken(tmp_path):
    for mode in ("L", "1", "LA", "I;16"):
        source = Image.fromarray((np.arange(900, dtype=np.uint16) * 70).reshape(30, 30))
        (source if mode == "I;16" else picture().convert("L").convert(mode)).save(tmp_path / "gray.png")
        assert read_picture(tmp_path / "gray.png", 16).shape == (1, 16 if mode == "I;16" else 8, 16)


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by a quarter
    picture(size=(40, 40)).save(tmp_path / "turned.jpg", exif=exif)
    read = read_picture(tmp_path / "turned.jpg", 16)
    assert read[0, 1].mean() > 0.9 and read[2, -2].mean() > 0.9


def test_transparency_becomes_white(tmp_path):
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert torch.equal(read_picture(tmp_path / "clear.png", 8), torch.ones(1, 8, 8))


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a few hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def saved(form: str) -> bytes:
    buffer = io.BytesIO()
    picture().save(buffer, form)
    return buffer.getvalue()


BAD = {
    "nothing": b"", "text": b"hello", "a bomb": bomb(), "cut short": saved("PNG")[:60],
    "half a JPEG": saved("JPEG")[:300], "a GIF": saved("GIF"), "a TIFF": saved("TIFF"), "a script": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_not_a_picture_is_refused(name, tmp_path):
    (tmp_path / "file.png").write_bytes(BAD[name])
    with pytest.raises(ZooError, match=r"cannot be read as a picture|at most 50,000,000"):
        read_picture(tmp_path / "file.png", 16)


@pytest.mark.parametrize("side", [0, 7, 257, -1])
def test_sides_out_of_range_are_refused(side, tmp_path):
    picture().save(tmp_path / "file.png")
    with pytest.raises(ZooError, match="choose from 8 to 256"):
        read_picture(tmp_path / "file.png", side)


def test_bytes_are_those_of_the_smallest_files_that_reach_the_psnr_of_the_fit():
    image = shrink(Image.effect_mandelbrot((96, 64), (-2, -1.5, 1, 1.5), 60).convert("RGB"), 96)
    *_, fit = fit_picture(image, SIZES["small"], 100)
    sizes, strict = compare_sizes(image, fit), compare_sizes(image, replace(fit, psnr=fit.psnr + 6))
    assert sizes.float32 == 2 * sizes.float16 == 4 * SIZES["small"].spec(1).get_num_params()
    assert 0 < (sizes.jpeg or 0) < (strict.jpeg or 0) < sizes.png and abs(sizes.float16_psnr - fit.psnr) < 1
    assert "no JPEG reaches it, no WebP" in compare_sizes(image, replace(fit, psnr=90.0)).sentence
    assert "times as large as the" in sizes.sentence
    tiny = replace(sizes, float16=100)
    assert "the smallest" in tiny.sentence


@pytest.mark.parametrize("name", ["nothing.png", "folder"])
def test_the_command_names_a_picture_that_is_missing(name, tmp_path):
    (tmp_path / "folder").mkdir()
    done = CliRunner().invoke(app, ["fit", str(tmp_path / name), "--out", str(tmp_path / "net.safetensors")])
    assert done.exit_code == 1 and f"There is no picture file {tmp_path / name}: name a PNG" in str(
        done.exception
    )


def test_the_command_fits_a_picture_and_replaces_only_with_overwrite(tmp_path):
    picture().save(tmp_path / "p.png")
    out = tmp_path / "net.safetensors"
    command = ["fit", str(tmp_path / "p.png"), "--size", "small", "--pixels", "40", "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and "dB PSNR at 40 × 20 pixels" in done.output
    assert "4.9 KB as float32. As float16 2.4 KB" in done.output and "The network is" in done.output
    network = read_network(out)
    assert native_shape(network) == (20, 40) and not network.undeclared
    shown, asked = render_network(network, 20, 40)[0], read_picture(tmp_path / "p.png", 40)
    assert float((shown - asked).square().mean()) < 0.05
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 1 and "add --overwrite" in str(again.exception or again.output)
    assert CliRunner().invoke(app, [*command, "--overwrite"]).exit_code == 0
