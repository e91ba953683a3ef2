"""One image file to pixels, gray or RGB; what is neither is refused rather than converted."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.unpack import check_unpacked

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow would start Ghostscript for an EPS file, and has rarely used readers beside."""
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
"""Tags of TIFF."""
_DEEP_GRAY = ("I;16", "I;16B", "I;16L", "I;16N")

Pixels = npt.NDArray[np.unsignedinteger]


def decode_image(content: bytes) -> Pixels:
    """The pixels of an image file, (1 or 3, H, W); uint16 of gray images with 16 bits.

    Black is 0 and white the largest number of the type.  Palettes and bilevel images become what
    they show.

    Raises
    ------
    VecqError
        The file is damaged, no image, or out of proportion; it has transparent pixels, several
        pictures, 16 bits for each colour, or pixels without a known white (floats, 32 bits) or of
        another colour space (CMYK).
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        with image:
            return _pixels(image, len(content))
    except VecqError:
        raise
    except Exception as error:  # damaged images raise a dozen kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        # "cannot identify image file <_io.BytesIO object at 0x7f...>"
        reason = re.sub(r" <_io\.BytesIO.*", "", reason)
        raise VecqError(f"it is no image or is damaged ({reason})") from None


def _pixels(image: Any, packed: int) -> Pixels:
    bands = len(image.getbands())
    check_unpacked(image.width * image.height * bands, packed)
    # The second picture of an MPO file, which cameras write as .jpg, is a preview.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise VecqError(f"it holds {image.n_frames} pictures; one is wanted")
    match image.mode:
        case "1" | "L" | "LA" | "P" | "PA" | "RGB" | "RGBA":
            if _is_signed(image):
                raise VecqError("its pixels are signed; black has to be 0")
            if _bits_per_colour(image) > 8:
                raise VecqError("it has 16 bits for each colour; save it with 8, or as gray")
            gray = image.mode in ("1", "L", "LA")
            if image.has_transparency_data:
                image = image.convert("LA" if gray else "RGBA")
                if image.getchannel("A").getextrema()[0] < 255:
                    raise VecqError(
                        "it has transparent pixels, whose colour is unknown; put it on a background"
                    )
            values = np.asarray(image.convert("L" if gray else "RGB"))
            return values[None] if gray else values.transpose(2, 0, 1)
        case "I;16" | "I;16B" | "I;16L" | "I" if _bits_per_colour(image) <= 16:
            if not _is_deep_gray(image):
                raise VecqError("its gray does not go from black at 0 to white at 65535")
            if "transparency" in image.info:
                raise VecqError("it has a transparent gray; put it on a background")
            return np.asarray(image).astype(np.uint16)[None]
        case mode:
            raise VecqError(
                f"its pixels are of Pillow's mode '{mode}'; gray of 8 or 16 bits or RGB is wanted"
            )


def _bits_per_colour(image: Any) -> int:
    """8 or less, or more: Pillow drops half of the bits of colours without a word."""
    codec, arguments = _codec(image)
    if image.format == "TIFF":
        return int(max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))))
    if codec.startswith("ppm"):  # (mode, largest value)
        return int(arguments[1]).bit_length()
    return 16 if re.search(r";16[BLNS]", str(arguments[0])) else 8


def _is_signed(image: Any) -> bool:
    return image.format == "TIFF" and 2 in image.tag_v2.get(_SAMPLE_FORMAT, (1,))


def _is_deep_gray(image: Any) -> bool:
    """Whether the codes 0..65535 are black to white."""
    codec, arguments = _codec(image)
    white_is_zero = image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0
    deep = codec.startswith("ppm") or arguments[0] in _DEEP_GRAY
    return deep and not white_is_zero and not _is_signed(image)


def _codec(image: Any) -> tuple[str, tuple[Any, ...]]:
    """Pillow's decoder of the first tile, and what it is told: first the layout in the file."""
    if not image.tile:  # WebP has one layout
        return "", (image.mode,)
    codec, _, _, arguments = image.tile[0]
    return codec, arguments if isinstance(arguments, tuple) and arguments else (str(arguments),)
