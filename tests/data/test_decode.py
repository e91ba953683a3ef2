"""Every mode of an image: its pixels, or why it is not taken; nothing is bent without a word."""

import io
import itertools
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.data.test_images import archive, encoded, files, folder
from vecq_hw import data
from vecq_hw.data.decode import decode_image
from vecq_hw.errors import VecqError

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (4, 6), dtype=np.uint8)
RGB = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 1 << 16, (4, 6), dtype=np.uint16)
BITS = np.where(GRAY > 127, 255, 0).astype(np.uint8)


def stored(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(depth, colour, width, height, rows):
    """A PNG written by hand: bit depth, colour type (0 gray, 2 RGB, 4 gray and alpha), raw rows."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    lines = b"".join(b"\0" + row for row in rows)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines, 9))
        + chunk(b"IEND", b"")
    )


def tiff(samples, bits, photometric, kind=1, planar=False):
    """A TIFF of (H, W, C); photometric 0: white is 0, 1: black is 0, 2: RGB; kind 2: signed."""
    height, width, colours = samples.shape
    body = np.ascontiguousarray(samples.transpose(2, 0, 1) if planar else samples).tobytes()
    pieces = colours if planar else 1
    entries = {
        256: [width], 257: [height], 258: [bits] * colours, 259: [1], 262: [photometric],
        273: [], 277: [colours], 278: [height], 279: [len(body) // pieces] * pieces,
        284: [1 + planar], 339: [kind] * colours,
    }  # fmt: skip
    at = 8 + 2 + 12 * len(entries) + 4
    entries[273] = [at + index * (len(body) // pieces) for index in range(pieces)]
    beyond, table = body, b""
    for tag, values in entries.items():
        raw = struct.pack(f"<{len(values)}I", *values)
        if len(raw) > 4:
            beyond, raw = beyond + raw, struct.pack("<I", at + len(beyond))
        table += struct.pack("<HHI", tag, 4, len(values)) + raw
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4) + beyond


DEEP_RGB = RNG.integers(0, 1 << 16, (4, 6, 3), dtype=np.uint16)
PALETTE = Image.fromarray(RGB).quantize(5)
TRANSPARENT = Image.fromarray(GRAY % 5, "P")
TRANSPARENT.putpalette(list(range(15)))


@pytest.mark.parametrize(
    ("content", "pixels"),
    [
        (encoded(GRAY), GRAY),
        (encoded(RGB), RGB),
        (encoded(DEEP), DEEP),
        (encoded(DEEP, "TIFF"), DEEP),
        (stored(Image.fromarray(DEEP.astype(">u2")), "TIFF"), DEEP),
        (stored(Image.fromarray(DEEP), "TIFF", compression="tiff_lzw"), DEEP),
        (encoded(DEEP, "PPM"), DEEP),
        (png(16, 0, 6, 4, [row.astype(">u2").tobytes() for row in DEEP]), DEEP),
        (png(2, 0, 4, 1, [bytes([0b00011011])]), np.uint8([[0, 85, 170, 255]])),
        (stored(Image.fromarray(BITS).convert("1")), BITS),
        (stored(Image.fromarray(BITS).convert("1"), "TIFF"), BITS),
        (stored(PALETTE), np.asarray(PALETTE.convert("RGB"))),
        (stored(PALETTE, "GIF"), np.asarray(PALETTE.convert("RGB"))),
        (stored(Image.fromarray(RGB).convert("RGBA")), RGB),
        (stored(Image.fromarray(GRAY).convert("LA")), GRAY),
        (stored(TRANSPARENT, transparency=7), np.asarray(TRANSPARENT.convert("RGB"))),
        (encoded(RGB, "BMP"), RGB),
        (encoded(RGB, "PPM"), RGB),
        (encoded(RGB, "TIFF"), RGB),
        (tiff(RGB, 8, 2), RGB),
        (tiff(RGB, 8, 2, planar=True), RGB),
        (tiff(GRAY[..., None], 8, 0), 255 - GRAY),
        (tiff(DEEP[..., None], 16, 1), DEEP),
        (stored(Image.fromarray(RGB), "WEBP", lossless=True), RGB),
        (b"P5 2 1 65535\n" + bytes([0, 1, 255, 255]), np.uint16([[1, 65535]])),
        (b"P2 3 1 1000\n0 500 1000", np.uint16([[0, 32768, 65535]])),
    ],
    ids=itertools.count(),
)
def test_pixels_are_those_of_the_file(content, pixels):
    decoded = decode_image(content)
    wanted = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    assert decoded.dtype == wanted.dtype
    assert np.array_equal(decoded, wanted)


HALF = Image.fromarray(np.dstack([GRAY, BITS]), "LA")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (stored(HALF), "transparent pixels"),
        (stored(HALF.convert("RGBA")), "transparent pixels"),
        (stored(TRANSPARENT, transparency=3), "transparent pixels"),
        (stored(TRANSPARENT, "GIF", transparency=3), "transparent pixels"),
        (stored(Image.fromarray(GRAY), transparency=int(GRAY[0, 0])), "transparent pixels"),
        (stored(Image.fromarray(DEEP), transparency=7), "a transparent gray"),
        (stored(Image.fromarray(RGB).convert("CMYK"), "JPEG"), "mode 'CMYK'"),
        (stored(Image.fromarray(RGB).convert("LAB"), "TIFF"), "mode 'LAB'"),
        (encoded(DEEP.astype(np.int32), "TIFF"), "mode 'I'"),
        (encoded(DEEP.astype(np.float32), "TIFF"), "mode 'F'"),
        (png(16, 2, 2, 1, [bytes(range(12))]), "16 bits for each colour"),
        (png(16, 4, 2, 1, [bytes(range(8))]), "16 bits for each colour"),
        (tiff(DEEP_RGB, 16, 2), "16 bits for each colour"),
        (tiff(DEEP_RGB, 16, 2, planar=True), "16 bits for each colour"),
        (tiff(DEEP[..., None], 16, 0), "does not go from black at 0 to white at 65535"),
        (tiff(DEEP[..., None], 16, 1, kind=2), "does not go from black"),
        (tiff(GRAY[..., None], 8, 1, kind=2), "its pixels are signed"),
        (tiff(DEEP[..., None].astype(np.uint32), 32, 1), "mode 'I'"),
        (b"P6 1 1 65535\n" + bytes(range(6)), "16 bits for each colour"),
        (b"P3 1 1 1000\n1 2 3", "16 bits for each colour"),
        (
            stored(PALETTE, "GIF", save_all=True, append_images=[TRANSPARENT]),
            "it holds 2 pictures; one is wanted",
        ),
        (stored(Image.fromarray(GRAY), "EPS"), "cannot identify image file"),
        (png(1, 0, 13_000, 13_000, [bytes(1_625)] * 13_000), "decompression bomb"),
        (png(1, 0, 9_400, 9_400, [bytes(1_175)] * 9_400), "would unpack from"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_gray_and_no_rgb_is_refused_with_its_reason(content, says):
    with pytest.raises(VecqError, match=says) as caught:
        decode_image(content)
    assert "\n" not in str(caught.value)


def test_damaged_images_are_refused_or_still_images():
    rng = np.random.default_rng(1)
    kept = (encoded(RGB, kind) for kind in ("PNG", "BMP", "GIF", "JPEG", "TIFF", "WEBP", "PPM"))
    for content in kept:
        for _ in range(40):
            damaged = bytearray(content)
            for at in rng.integers(0, len(content), 3):
                damaged[at] = rng.integers(0, 256)
            try:
                assert len(decode_image(bytes(damaged))) in (1, 3)
            except VecqError as error:
                assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("form", [folder, archive])
def test_sixteen_bits_of_gray_in_folders_beside_eight(tmp_path, monkeypatch, form):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    contents = files((6, 5))
    deep = np.random.default_rng(3).integers(0, 1 << 16, (6, 5), dtype=np.uint16)
    contents |= {"train/cat/9.png": encoded(deep)}
    for _ in ("decoded", "cached"):
        loaded = data.load(form(tmp_path, contents))
        assert loaded.shape == (1, 6, 5)
        assert np.array_equal(loaded.x_train[3, 0], deep.astype(np.float32) / np.float32(65535))
        plain = np.asarray(Image.open(io.BytesIO(contents["train/cat/0.png"])), np.float32)
        assert np.array_equal(loaded.x_train[0, 0], plain / np.float32(255))


def test_gray_in_the_coat_of_colour_is_gray(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    gray = np.random.default_rng(4).integers(0, 256, (6, 5), dtype=np.uint8)
    contents = files((6, 5)) | {"train/cat/9.png": encoded(np.dstack([gray] * 3))}
    loaded = data.load(folder(tmp_path, contents))
    assert np.array_equal(np.round(loaded.x_train[3, 0] * 255), gray)


@pytest.mark.parametrize("form", [folder, archive])
def test_many_images_out_of_proportion_are_refused_before_they_are_decoded(
    tmp_path, monkeypatch, form
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    blank = png(1, 0, 4_096, 4_096, [bytes(512)] * 4_096)
    names = [
        f"{split}/{label}/{n}.png" for split in ("train", "test") for label in "ab" for n in (1, 2)
    ]
    with pytest.raises(VecqError, match=r"'train/a/1.png': it would unpack from .* to 134,217,728"):
        data.load(form(tmp_path, dict.fromkeys(names, blank)))


def test_a_zip_that_unpacks_out_of_proportion_is_refused(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for split in ("train", "test"):
            for label in "ab":
                file.writestr(f"{split}/{label}/0.png", bytes(20 << 20))
    with pytest.raises(VecqError, match="would unpack from"):
        data.load(path)
