import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pneumo.data.store.decode import decode, open_picture, to_gray
from pneumo.errors import DataError

ORIGINALS = Path(__file__).parents[4] / "shared" / "data" / "originals"


def test_every_encoding_of_a_picture_gives_the_same_gray_array(make):
    image = make.picture(1, (90, 90))
    expected = decode(make.encoded(image, "PNG"), 45, "squash").astype(int)
    deep = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    orientation = Image.Exif()
    orientation[0x0112] = 6  # turn by 270 degrees to see it upright
    forms = {
        "gray JPEG": make.encoded(image, quality=95),
        "RGB JPEG": make.encoded(image.convert("RGB"), quality=95),
        "CMYK JPEG": make.encoded(image.convert("RGB").convert("CMYK"), quality=95),
        "16-bit PNG": make.encoded(deep, "PNG"),
        "palette PNG": make.encoded(image.convert("P"), "PNG"),
        "opaque RGBA PNG": make.encoded(image.convert("RGBA"), "PNG"),
        "turned JPEG": make.encoded(image.transpose(Image.Transpose.ROTATE_90), quality=95, exif=orientation),
        "turned RGBA PNG": make.encoded(
            image.convert("RGBA").transpose(Image.Transpose.ROTATE_90), "PNG", exif=orientation
        ),
        "DICOM": make.dicom(np.asarray(image)),
    }
    for name, data in forms.items():
        decoded = decode(data, 45, "squash").astype(int)
        # DICOM without a window and 16-bit PNG are stretched to the full range, everything else keeps its values.
        stretched = (expected - expected.min()) * 255 / np.ptp(expected)
        reference = stretched if name in ("DICOM", "16-bit PNG") else expected
        assert np.abs(decoded - reference).mean() < 4, name


@pytest.mark.parametrize("size", [(127, 131), (445, 140), (1349, 953), (3000, 2713)])
def test_a_picture_of_any_size_gives_the_same_gray_array(make, size):
    expected = decode(make.encoded(make.picture(1, (448, 448)), "PNG"), 64, "squash").astype(int)
    for kind in ("PNG", "JPEG"):
        decoded = decode(make.encoded(make.picture(1, (448, 448)).resize(size), kind), 64, "squash")
        assert np.abs(decoded - expected).mean() < 2, kind


def test_twelve_bits_in_a_deep_png_use_the_full_range():
    ramp = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (64, 1))
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, "PNG")
    decoded = decode(buffer.getvalue(), 64, "squash")
    assert decoded.min() == 0
    assert decoded.max() == 255


def deep_png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint16)).save(buffer, "PNG")
    return decode(buffer.getvalue(), 64, "squash")


@pytest.mark.parametrize("brightest", [2047, 2048, 4095, 65535])
def test_the_brightest_pixels_of_a_deep_png_do_not_change_its_grays(brightest):
    pixels = np.tile(np.linspace(0, 2000, 64), (64, 1))
    expected = deep_png(pixels)
    pixels[0, :10] = brightest
    grays = deep_png(pixels)
    assert grays[32, 32] == pytest.approx(1000 / 2000 * 255, abs=4)
    assert np.abs(grays.astype(int) - expected)[1:].max() <= 2


def test_a_deep_png_of_other_bits_gives_the_same_grays(make):
    image = np.asarray(make.picture(3, (64, 64))).astype(np.uint16)
    forms = [deep_png(image), deep_png(image * 16), deep_png(image * 257), deep_png(image + 5000)]
    assert all(np.abs(form.astype(int) - forms[0]).max() <= 1 for form in forms)


def test_a_deep_png_of_few_values_uses_its_darkest_and_brightest_and_a_blank_one_is_black():
    dots = np.full((64, 64), 300)
    dots[0, :2] = 700
    grays = deep_png(dots)
    assert (grays[0, 0], grays[9, 9]) == (255, 0)
    assert deep_png(np.full((64, 64), 300)).max() == 0


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)], ids=["RGB", "LA", "RGBA"])
def test_a_deep_png_in_colour_or_with_alpha_is_refused_since_its_lower_bits_would_be_lost(kind, channels):
    rows = (b"\0" + struct.pack(">H", 4000) * 8 * channels) * 8
    with pytest.raises(DataError, match=r"Expected a 16-bit PNG in gray, but deep.png has colours or transparency"):
        decode(png_of(8, 8, rows, depth=16, kind=kind), 32, "pad", "deep.png")


def test_transparent_parts_are_black(make):
    image = make.picture(2, (64, 64)).convert("LA")
    image.putalpha(0)
    assert decode(make.encoded(image, "PNG"), 32, "squash").max() == 0


def test_pad_keeps_the_aspect_and_squash_fills_the_square():
    white = io.BytesIO()
    Image.new("L", (200, 100), 255).save(white, "PNG")
    padded = decode(white.getvalue(), 40, "pad")
    assert (padded[10:30] == 255).all()
    assert padded[:10].max() == padded[30:].max() == 0
    assert (decode(white.getvalue(), 40, "squash") == 255).all()


def test_a_file_and_its_bytes_decode_alike(make, tmp_path):
    data = make.encoded(make.picture(3))
    path = make.write(tmp_path / "a.jpeg", data)
    assert np.array_equal(decode(path, 50, "pad"), decode(data, 50, "pad"))


def png_of(width: int, height: int, rows: bytes = b"", depth: int = 8, kind: int = 0) -> bytes:
    """A PNG with a header of whatever it promises; without rows it promises far more pixels than it has."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("edge", "text"), [(9_300, "declares 9300 x 9300"), (40_000, "cannot be decoded")])
def test_a_decompression_bomb_is_refused_by_its_header(edge, text):
    with pytest.raises(DataError, match=f"bomb.png.*{text}"):
        decode(png_of(edge, edge), 32, "pad", "bomb.png")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "scan.jpeg is empty"),
        (b"this is a letter, not a picture", "scan.jpeg cannot be decoded .its content is of another kind"),
        (b"GIF89a" + bytes(40), "its content is of another kind"),
    ],
)
def test_what_is_no_image_is_refused_by_name(data, text):
    with pytest.raises(DataError, match=text):
        decode(data, 32, "squash", "scan.jpeg")


def test_a_truncated_jpeg_is_refused_not_completed(make):
    with pytest.raises(DataError, match=r"scan.jpeg cannot be decoded .*truncated"):
        decode(make.encoded(make.picture(4))[:900], 32, "squash", "scan.jpeg")


def test_header_is_read_without_decoding(make):
    picture = open_picture(make.encoded(make.picture(5, (120, 70)).convert("RGB")), "x")
    assert (picture.width, picture.height, picture.mode) == (120, 70, "RGB")


@pytest.mark.skipif(not ORIGINALS.is_dir(), reason="needs ../shared/data/originals")
@pytest.mark.parametrize("fit", ["squash", "pad"])
def test_scaled_decoding_of_real_images_is_within_two_gray_levels_of_full_resolution(fit):
    for path in sorted(ORIGINALS.rglob("*.jpeg"))[::10]:
        with Image.open(path) as image:
            full = image.convert("L")
        inner = (224, 224) if fit == "squash" else tuple(max(1, round(n * 224 / max(full.size))) for n in full.size)
        square = np.zeros((224, 224))
        top, left = (224 - inner[1]) // 2, (224 - inner[0]) // 2
        square[top : top + inner[1], left : left + inner[0]] = full.resize(inner, Image.Resampling.BILINEAR)
        assert np.abs(decode(path, 224, fit) - square).mean() < 2, path.name


def test_odd_exif_beside_the_orientation_costs_no_image(make):
    """Pillow reads such tags, and fails where it is asked to write them again."""
    image, exif = make.picture(1, (90, 90)), Image.Exif()
    exif[0x0112] = 6
    good = make.encoded(image.transpose(Image.Transpose.ROTATE_90), quality=95, exif=exif)
    odd = open_picture(good)
    odd.image.getexif()[0x0100] = 2**40
    found = to_gray(odd, 45, "squash")
    assert np.array_equal(found, decode(good, 45, "squash"))
