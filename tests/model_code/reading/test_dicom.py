"""Decoding: exact where it should be, a named error where it cannot be."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate, get_frame
from pydicom.tag import Tag

from model_code.errors import InstanceCode, InstanceError
from model_code.inference import input_fn
from model_code.reading import elements
from model_code.reading.dicom import KEYWORDS, decode, read_instance
from model_code.reading.pixel_data import MOST_FRAGMENTS
from tests.model_code.conftest import SOP_INSTANCE_UID, MakeSlice
from untrusted.walker import MOST_ELEMENTS

NATIVE = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]
COMPRESSED = [uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless]


def hounsfield(body: bytes) -> np.ndarray:
    return decode(read_instance(body))


def refused(body: bytes) -> InstanceError:
    with pytest.raises(InstanceError) as caught:
        hounsfield(body)
    assert "SECRET" not in str(caught.value)
    assert "Jane" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("syntax", [*NATIVE, uid.DeflatedExplicitVRLittleEndian, *COMPRESSED], ids=lambda s: s.name)
@pytest.mark.parametrize(("kind", "bits"), [("u2", 12), ("u2", 16), ("i2", 12), ("i2", 16)])
def test_every_transfer_syntax_gives_the_exact_values(
    make_slice: MakeSlice, syntax: uid.UID, kind: str, bits: int
) -> None:
    low, high = (0, 2**bits) if kind == "u2" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    stored = np.random.default_rng(0).integers(low, high, (33, 20)).astype(kind)
    read = hounsfield(make_slice(stored, syntax=syntax, BitsStored=bits, HighBit=bits - 1, RescaleSlope="0.5"))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, stored * np.float64(0.5) - 1024)


EVERY_VALUE = np.arange(2**16, dtype=np.uint16).reshape(256, 256)


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
@pytest.mark.parametrize(
    ("slope", "intercept"),
    [
        *[("1", "-1024"), ("-1", "0"), ("256", "-1024"), ("1", "16711681"), ("1.5", "0"), ("1", "-0.3")],
        *[("511", "1"), ("1", "33554433")],  # whole numbers that single precision does not hold
    ],
)
def test_every_stored_value_becomes_the_nearest_number_in_single_precision(
    make_slice: MakeSlice, kind: type[np.integer[Any]], slope: str, intercept: str
) -> None:
    stored = EVERY_VALUE.view(kind)
    read = hounsfield(make_slice(stored, RescaleSlope=slope, RescaleIntercept=intercept))
    np.testing.assert_array_equal(read, (stored * float(slope) + float(intercept)).astype(np.float32))


def test_the_real_slices_are_read_in_silence_and_exactly(real_slices: list[Path]) -> None:
    assert len(real_slices) == 25
    for path in real_slices:
        read = hounsfield(path.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they break the standard, and pydicom's own reading says so
            dataset = pydicom.dcmread(path)
            expected = dataset.pixel_array.astype(np.float64) - 1024
        np.testing.assert_array_equal(read, expected)
        assert read.shape == (dataset.Rows, dataset.Columns)


def test_rows_come_first(make_slice: MakeSlice) -> None:
    read = hounsfield(make_slice(np.array([[1, 2, 3], [4, 5, 6]], np.uint16)))
    assert (read + 1024).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_unused_high_bits_are_not_part_of_the_value(make_slice: MakeSlice) -> None:
    stored = np.array([[0x0FFF, 0xF001]], np.uint16)
    assert (hounsfield(make_slice(stored, BitsStored=12, HighBit=11)) + 1024).tolist() == [[4095, 1]]
    signed = stored.view(np.int16)
    assert (hounsfield(make_slice(signed, BitsStored=12, HighBit=11)) + 1024).tolist() == [[-1, 1]]


def test_8_bit_slices_with_an_odd_number_of_pixels(make_slice: MakeSlice) -> None:
    stored = np.arange(15, dtype=np.uint8).reshape(3, 5)
    np.testing.assert_array_equal(hounsfield(make_slice(stored, PixelData=stored.tobytes() + b"\0")), stored - 1024.0)


def test_monochrome1_is_a_matter_of_display_not_of_hounsfield_units(make_slice: MakeSlice) -> None:
    inverted = make_slice(PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(hounsfield(inverted), hounsfield(make_slice()))


def test_the_sop_instance_uid_is_as_in_the_file(make_slice: MakeSlice) -> None:
    assert read_instance(make_slice()).text("SOPInstanceUID") == SOP_INSTANCE_UID
    assert read_instance(make_slice(SOPInstanceUID=None)).text("SOPInstanceUID") == ""
    assert read_instance(make_slice(SOPInstanceUID="")).text("SOPInstanceUID") == ""


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"PixelData": None}, InstanceCode.NO_PIXEL_DATA),
        ({"PixelData": None, "FloatPixelData": bytes(192)}, InstanceCode.NO_PIXEL_DATA),
        ({"NumberOfFrames": 2}, InstanceCode.MULTI_FRAME),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, InstanceCode.UNSUPPORTED_PHOTOMETRIC),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, InstanceCode.UNSUPPORTED_PHOTOMETRIC),
        ({"SamplesPerPixel": None}, InstanceCode.UNSUPPORTED_PHOTOMETRIC),
        ({"Rows": 0}, InstanceCode.TOO_MANY_PIXELS),
        ({"Columns": None}, InstanceCode.TOO_MANY_PIXELS),
        ({"Rows": 65535, "Columns": 65535}, InstanceCode.TOO_MANY_PIXELS),
        ({"BitsAllocated": 32}, InstanceCode.UNSUPPORTED_PIXEL_FORMAT),
        ({"BitsStored": 17}, InstanceCode.UNSUPPORTED_PIXEL_FORMAT),
        ({"BitsStored": 12, "HighBit": 15}, InstanceCode.UNSUPPORTED_PIXEL_FORMAT),
        ({"PixelRepresentation": None}, InstanceCode.UNSUPPORTED_PIXEL_FORMAT),
        ({"RescaleSlope": None}, InstanceCode.NOT_HOUNSFIELD),
        ({"RescaleSlope": "0"}, InstanceCode.NOT_HOUNSFIELD),
        ({"RescaleType": "Z_EFF"}, InstanceCode.NOT_HOUNSFIELD),
        ({"Modality": "MR"}, InstanceCode.UNSUPPORTED_MODALITY),
        ({"Modality": "", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, InstanceCode.UNSUPPORTED_MODALITY),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128"}, InstanceCode.UNSUPPORTED_MODALITY),
        ({"PixelData": bytes(90)}, InstanceCode.UNDECODABLE_PIXEL_DATA),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_what_is_no_ct_slice_is_refused_with_its_code(
    make_slice: MakeSlice, changes: dict[str, Any], code: InstanceCode
) -> None:
    assert refused(make_slice(**changes)).code == code


@pytest.mark.parametrize("body", [b"", b"a letter, not a slice", bytes(4000)])
def test_bytes_that_are_not_dicom(body: bytes) -> None:
    assert refused(body).code == InstanceCode.NOT_DICOM


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, *COMPRESSED], ids=lambda s: s.name)
def test_no_truncation_is_ever_read_as_a_slice(make_slice: MakeSlice, syntax: uid.UID) -> None:
    body = make_slice(np.random.default_rng(0).integers(0, 4096, (40, 40)).astype(np.uint16), syntax=syntax)
    # Only the sequence delimiter may be missing: then the frame is whole.
    end = len(body) - (8 if syntax.is_encapsulated else 0)
    codes = {refused(body[:length]).code for length in range(132, end, 37)}
    assert codes <= {
        InstanceCode.TRUNCATED_HEADER,
        InstanceCode.NO_PIXEL_DATA,
        InstanceCode.UNSUPPORTED_TRANSFER_SYNTAX,
        InstanceCode.UNDECODABLE_PIXEL_DATA,
    }
    assert InstanceCode.UNDECODABLE_PIXEL_DATA in codes


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda s: s.name)
def test_damage_inside_the_codestream_never_escapes_as_another_error(make_slice: MakeSlice, syntax: uid.UID) -> None:
    stored = np.random.default_rng(0).integers(0, 4096, (40, 40)).astype(np.uint16)
    body = make_slice(stored, syntax=syntax)
    start = body.index(b"\xe0\x7f\x10\x00")
    rng = np.random.default_rng(5)
    for _ in range(60):
        spoilt = bytearray(body)
        for at in rng.integers(start, len(body), 4):
            spoilt[at] ^= int(rng.integers(1, 256))
        # Damage in the entropy-coded part may pass for other pixels: then at least the shape is the header's.
        with suppress(InstanceError):
            assert hounsfield(bytes(spoilt)).shape == (40, 40)


@pytest.mark.parametrize("syntax", COMPRESSED[1:], ids=lambda s: s.name)
def test_a_codestream_larger_than_the_header_says_is_not_decoded(make_slice: MakeSlice, syntax: uid.UID) -> None:
    large = make_slice(np.zeros((512, 512), np.uint16), syntax=syntax)
    codestream = get_frame(pydicom.dcmread(io.BytesIO(large)).PixelData, 0, number_of_frames=1)
    error = refused(make_slice(np.zeros((8, 8), np.uint16), syntax=syntax, PixelData=encapsulate([codestream])))
    assert error.code == InstanceCode.UNDECODABLE_PIXEL_DATA
    assert "512 x 512" in error.message


def test_a_transfer_syntax_without_decoder_is_named(make_slice: MakeSlice) -> None:
    error = refused(make_slice(syntax=uid.MPEG4HP41, PixelData=encapsulate([bytes(64)])))
    assert error.code == InstanceCode.UNSUPPORTED_TRANSFER_SYNTAX
    assert uid.MPEG4HP41 in error.message


def test_a_deflate_bomb_is_refused_by_its_inflated_size(make_slice: MakeSlice, monkeypatch: pytest.MonkeyPatch) -> None:
    body = make_slice(np.zeros((512, 512), np.uint16), syntax=uid.DeflatedExplicitVRLittleEndian)
    assert len(body) < 4000
    monkeypatch.setattr(elements, "MAX_INFLATED", 100_000)
    assert refused(body).code == InstanceCode.TOO_MANY_PIXELS


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("text", ["DOE JOHN 1961", "DOEJOHN", "DOE_JOHN", "19610913", "4711.0815"])
@pytest.mark.parametrize(
    "keyword",
    [
        *("RescaleType", "PhotometricInterpretation", "Modality", "NumberOfFrames", "RescaleSlope", "RescaleIntercept"),
        *("SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    ],
)
def test_messages_repeat_no_text_that_a_person_may_have_typed(make_slice: MakeSlice, keyword: str, text: str) -> None:
    reading = input_fn(marked(make_slice(), keyword, text), "application/dicom").reading
    if isinstance(reading, InstanceError):
        assert text not in reading.message
        assert len(reading.message) < 300


def marked(body: bytes, keyword: str, text: str) -> bytes:
    """The object with the attribute anew, as text, in front of its pixel data: the last of two counts."""
    at = body.index(b"\xe0\x7f\x10\x00")
    tag = int(Tag(keyword))
    value = text.encode() + b" " * (len(text) % 2)
    return body[:at] + struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"LO", len(value)) + value + body[at:]


def test_an_invalid_transfer_syntax_is_not_repeated(make_slice: MakeSlice) -> None:
    body = make_slice()
    error = refused(body.replace(b"1.2.840.10008.1.2.1\0", b"DOE JOHN 1961-01-01 "))
    assert error.code == InstanceCode.UNSUPPORTED_TRANSFER_SYNTAX
    assert "DOE" not in error.message


def test_deflated_bytes_that_inflate_to_nothing_are_refused_by_their_number(
    make_slice: MakeSlice, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = make_slice(syntax=uid.DeflatedExplicitVRLittleEndian)
    at = next(at for at in range(132, len(body)) if body[at:] and inflates(body[at:]))
    monkeypatch.setattr(elements, "MAX_DEFLATED", 100_000)
    assert refused(body[:at] + b"\0\0\0\xff\xff" * 30_000 + body[at:]).code == InstanceCode.TOO_MANY_PIXELS


def inflates(data: bytes) -> bool:
    try:
        return len(zlib.decompress(data, -zlib.MAX_WBITS)) > 100
    except zlib.error:
        return False


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_value_of_megabytes_is_kept_nowhere_and_valid_for_nothing(make_slice: MakeSlice, keyword: str) -> None:
    body = make_slice()
    at = body.index(b"\xe0\x7f\x10\x00")
    tag = int(Tag(keyword))
    value = b"1" * 3_000_000
    long = struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, b"UN", 0, len(value)) + value
    found = read_instance(body[:at] + long + body[at:])
    assert found.text(keyword) == elements.NO_VALUE
    assert found.number(keyword) is None


@pytest.mark.parametrize("where", ["file meta information", "data set", "sequence"])
def test_a_header_of_too_many_elements_is_refused_by_name(make_slice: MakeSlice, where: str) -> None:
    body = make_slice()
    start = {"file meta information": 132}.get(where, body.index(b"\x08\x00\x16\x00UI"))
    many = struct.pack("<HH2sH", 2 if start == 132 else 9, 1, b"LO", 0) * MOST_ELEMENTS
    if where == "sequence":
        many = b"\x08\x00\x40\x11SQ\0\0" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4 + many
    error = refused(body[:start] + many + body[start:])
    assert error.code == InstanceCode.HEADER_TOO_LONG
    assert f"more than {MOST_ELEMENTS} elements" in error.message


def test_a_frame_of_too_many_fragments_is_refused(make_slice: MakeSlice) -> None:
    fragment = b"\xfe\xff\x00\xe0" + bytes(4)
    error = refused(make_slice(syntax=uid.JPEG2000Lossless, PixelData=fragment * (MOST_FRAGMENTS + 1)))
    assert error.code == InstanceCode.UNDECODABLE_PIXEL_DATA
    assert "fragments" in error.message


@pytest.mark.parametrize("value", ["1e308", "-1e300", "4e38"])
@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_units_beyond_single_precision_are_no_hounsfield_units(make_slice: MakeSlice, keyword: str, value: str) -> None:
    assert refused(make_slice(**{keyword: value})).code == InstanceCode.NOT_HOUNSFIELD


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda s: s.name)
def test_pixels_of_undefined_length_without_a_fragment_are_refused(make_slice: MakeSlice, syntax: uid.UID) -> None:
    body, order = make_slice(syntax=syntax), "<" if syntax.is_little_endian else ">"
    value = body.index(struct.pack(f"{order}HH", 0x7FE0, 0x10)) + (8 if syntax.is_implicit_VR else 12)
    error = refused(body[: value - 4] + b"\xff" * 4 + body[value:])
    assert error.code == InstanceCode.UNDECODABLE_PIXEL_DATA
    assert "holds no fragment" in error.message


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda s: s.name)
@pytest.mark.parametrize(
    ("stored", "changes"),
    [
        (np.arange(48, dtype=np.uint16).reshape(6, 8), {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}),
        (np.arange(96, dtype=np.uint16).reshape(12, 8), {"Rows": 6}),
        (np.arange(480, dtype=np.uint16).reshape(60, 8), {"Rows": 6, "NumberOfFrames": None}),
        (np.arange(4, dtype=np.uint8).reshape(4, 1), {"Rows": 1}),
    ],
)
def test_pixel_data_of_two_frames_or_larger_pixels_is_not_read_as_one_frame(
    make_slice: MakeSlice, stored: np.ndarray, changes: dict[str, Any], syntax: uid.UID
) -> None:
    body = make_slice(stored, syntax=syntax, **{"PixelData": stored.tobytes()} | changes)
    assert refused(body).code == InstanceCode.UNDECODABLE_PIXEL_DATA


@pytest.mark.parametrize(("rows", "is_read"), [(12, True), (11, True), (6, False), (1, False)])
def test_a_run_length_encoded_frame_of_twice_the_rows_is_not_read_as_one(
    make_slice: MakeSlice, rows: int, is_read: bool
) -> None:
    stored = np.arange(96, dtype=np.uint16).reshape(12, 8)
    body = make_slice(stored, syntax=uid.RLELossless).replace(
        struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 12), struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, rows)
    )
    if is_read:
        np.testing.assert_array_equal(hounsfield(body), stored[:rows] - 1024.0)
    else:
        error = refused(body)
        assert (error.code, "two such frames" in error.message) == (InstanceCode.UNDECODABLE_PIXEL_DATA, True)


@pytest.mark.parametrize(("shape", "kind", "padding"), [((6, 8), "u2", 94), ((1, 1), "u1", 1), ((3, 5), "u1", 15)])
def test_padding_behind_the_frame_is_no_second_frame(
    make_slice: MakeSlice, shape: tuple[int, int], kind: str, padding: int
) -> None:
    stored = np.arange(shape[0] * shape[1], dtype=kind).reshape(shape)
    np.testing.assert_array_equal(
        hounsfield(make_slice(stored, PixelData=stored.tobytes() + bytes(padding))), stored - 1024.0
    )


@pytest.mark.parametrize("syntax", COMPRESSED[1:], ids=lambda s: s.name)
@pytest.mark.parametrize("kind", ["u2", "i2"])
def test_a_codestream_of_larger_pixels_than_the_header_allocates_is_not_decoded(
    make_slice: MakeSlice, syntax: uid.UID, kind: str
) -> None:
    large = make_slice(np.arange(48).astype(kind).reshape(6, 8), syntax=syntax)
    codestream = get_frame(pydicom.dcmread(io.BytesIO(large)).PixelData, 0, number_of_frames=1)
    small = np.zeros((6, 8), "u1" if kind == "u2" else "i1")
    error = refused(make_slice(small, syntax=syntax, PixelData=encapsulate([codestream])))
    assert error.code == InstanceCode.UNDECODABLE_PIXEL_DATA
    assert "16 bits, the header allocates 8" in error.message


def test_a_signed_codestream_is_not_read_as_unsigned(make_slice: MakeSlice) -> None:
    stored = (np.arange(48) * 87 - 2000).astype("i2").reshape(6, 8)
    body = make_slice(stored, syntax=uid.JPEG2000Lossless, BitsStored=12, HighBit=11)
    says = struct.Struct("<HH2sHH")
    other = body.replace(says.pack(0x28, 0x103, b"US", 2, 1), says.pack(0x28, 0x103, b"US", 2, 0))
    assert other != body
    assert "signed pixels" in refused(other).message


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    "value", ["1_0", "1,0", "1.0\\1.0", " ", "\t1", "1\n", "nan", "inf", "0x1p3", "1e1_0", "1.", ".5", "+2.5E-1", "-1"]
)
@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_only_decimal_strings_are_numbers(make_slice: MakeSlice, keyword: str, value: str) -> None:
    body = marked(make_slice(), keyword, value)
    if value in {"1.", ".5", "+2.5E-1", "-1", "\t1", "1\n"}:
        hounsfield(body)
    else:
        assert refused(body).code == InstanceCode.NOT_HOUNSFIELD
