"""Hostile and broken DICOM: every case ends in a reading or in a named refusal."""
