"""Names other file formats by their first bytes, so that a refusal says what was sent instead of DICOM."""

from __future__ import annotations

SEND_INSIDE = "send the DICOM files inside; `wetread submit` opens it where its name ends in .zip or .gz"
SEND_DICOM = "export the images as DICOM files"
# First bytes -> what they begin, and what to do.
BEGINNINGS = {
    b"\x1f\x8b": ("gzip data", SEND_INSIDE),
    b"PK\x03\x04": ("a ZIP archive", SEND_INSIDE),
    b"PK\x05\x06": ("an empty ZIP archive", SEND_DICOM),
    b"BZh": ("bzip2 data", "send the DICOM files inside"),
    b"\xfd7zXZ\x00": ("xz data", "send the DICOM files inside"),
    b"\x28\xb5\x2f\xfd": ("zstd data", "send the DICOM files inside"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "send the DICOM files inside"),
    b"Rar!": ("a RAR archive", "send the DICOM files inside"),
    b"NRRD": ("an NRRD volume", SEND_DICOM),
    b"ObjectType": ("a MetaImage header", SEND_DICOM),
    b"NDims": ("a MetaImage header", SEND_DICOM),
    b"\x89HDF": ("an HDF5 file", SEND_DICOM),
    b"\x93NUMPY": ("a NumPy array", SEND_DICOM),
    b"%PDF": ("a PDF document", SEND_DICOM),
    b"\x89PNG": ("a PNG picture", SEND_DICOM),
    b"\xff\xd8\xff": ("a JPEG picture", SEND_DICOM),
    b"\xff\x4f\xff\x51": ("a JPEG 2000 codestream", SEND_DICOM),
    b"\x00\x00\x00\x0cjP": ("a JPEG 2000 file", SEND_DICOM),
    b"II*\x00": ("a TIFF picture", SEND_DICOM),
    b"MM\x00*": ("a TIFF picture", SEND_DICOM),
    b"GIF8": ("a GIF picture", SEND_DICOM),
    b"\xd0\xcf\x11\xe0": ("an Office document", SEND_DICOM),
    b"BM": ("a BMP picture", SEND_DICOM),
    b"MATLAB 5.0": ("a MATLAB file", SEND_DICOM),
    b"CDF\x01": ("a MINC or netCDF file", SEND_DICOM),
    b"SIMPLE  =": ("a FITS file", SEND_DICOM),
}
# Of texts, behind blanks, new lines and a byte order mark.
TEXT_BEGINNINGS = {
    b"{": ("a JSON text", SEND_DICOM),
    b"[": ("a JSON text", SEND_DICOM),
    b"<": ("an XML or HTML text", SEND_DICOM),
    b"--": ("a multipart answer of DICOMweb", "store each of its parts as a file"),
}
BEFORE_TEXTS = b"\xef\xbb\xbf \t\r\n"
PART_OF_DICOMWEB = b"application/dicom"
# NIfTI-1, NIfTI-2 and ANALYZE begin with the size of their header, in either byte order.
NIFTI = {348: "a NIfTI or ANALYZE volume", 540: "a NIfTI volume"}
MOST_TEXT = 1024
TAR_AT, TAR = 257, b"ustar"
# The groups that a data set or its file meta information begins with, and the bytes of a VR.
FIRST_GROUPS = frozenset({0x0000, 0x0002, 0x0008})


def described(start: bytes) -> tuple[str, str]:
    """Return what bytes that are no DICOM file begin ("" if unknown), and what to do about it."""
    for beginning, found in BEGINNINGS.items():
        if start.startswith(beginning):
            return found
    text = start[:MOST_TEXT].lstrip(BEFORE_TEXTS)
    for beginning, found in TEXT_BEGINNINGS.items():
        if text.startswith(beginning) and (beginning != b"--" or PART_OF_DICOMWEB in text):
            return found
    for order in ("little", "big"):
        if name := NIFTI.get(int.from_bytes(start[:4], order)):
            return name, SEND_DICOM
    if start[TAR_AT : TAR_AT + len(TAR)] == TAR:
        return "a tar archive", "send the DICOM files inside"
    if start.startswith(b"DICM") or _is_data_set(start):
        return "a DICOM data set without the 128 bytes and the letters DICM that begin a file", (
            "export it as a DICOM file (part 10)"
        )
    return "", SEND_DICOM


def _is_data_set(start: bytes) -> bool:
    group, number = int.from_bytes(start[:2], "little"), int.from_bytes(start[2:4], "little")
    if group not in FIRST_GROUPS or len(start) < 8 or (group, number) == (0, 0) == tuple(start[4:6]):
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    return explicit or (group != 0 and int.from_bytes(start[4:8], "little") < 1024)
