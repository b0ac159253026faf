"""Says which modality a SOP class is of, for objects whose Modality is absent."""

from __future__ import annotations

from untrusted.header import Header

# The Modality of the SOP classes that have only one (PS3.4 annex B.5).
MODALITY_OF_SOP_CLASS = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.2": "MG",
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.6.1": "US",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
}


def modality_of_sop_class(header: Header) -> str:
    """Return the modality by SOPClassUID, else by that of the file meta information; "" if it is not certain."""
    named = header.uid("SOPClassUID") or header.uid("MediaStorageSOPClassUID")
    return MODALITY_OF_SOP_CLASS.get(named, "")
