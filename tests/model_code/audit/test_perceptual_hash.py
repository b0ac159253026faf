"""Copies and neighbours have nearly the same perceptual hash; other patients do not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import dcmread
from torch.nn import functional

from model_code.audit.pairs import NEAR_BITS
from model_code.audit.perceptual_hash import Fingerprint, distance, fingerprint, pixel_digest
from model_code.reading.dicom import HounsfieldArray, decode, read_instance
from wetread.demo.phantoms import LABELS, phantom_bytes

AIR = -1000.0
rng = np.random.default_rng(0)


def phantom(label: str, patient: int, number: int, size: int = 160, **changes: int) -> HounsfieldArray:
    return decode(read_instance(phantom_bytes(label, patient, number, size=size, **changes)))


def printed(hounsfield: HounsfieldArray) -> Fingerprint:
    found = fingerprint(hounsfield)
    assert found is not None
    return found


def resized(hounsfield: HounsfieldArray, size: int) -> HounsfieldArray:
    return functional.adaptive_avg_pool2d(torch.from_numpy(hounsfield)[None, None], size)[0, 0].numpy()


def moved(hounsfield: HounsfieldArray, rows: int, columns: int) -> HounsfieldArray:
    padded = np.pad(hounsfield, 16, constant_values=AIR)
    return np.roll(padded, (rows, columns), (0, 1))[16:-16, 16:-16]


def as_eight_bits(hounsfield: HounsfieldArray) -> HounsfieldArray:
    """Return what is left after an export in the lung window."""
    return np.round((np.clip(hounsfield, -1350, 150) + 1350) / 1500 * 255) / 255 * 1500 - 1350


COPIES: dict[str, Callable[[HounsfieldArray], HounsfieldArray]] = {
    "half the matrix": lambda one: resized(one, one.shape[0] // 2),
    "three quarters of the matrix": lambda one: resized(one, one.shape[0] * 3 // 4),
    "noise": lambda one: (one + rng.normal(0, 20, one.shape)).astype(np.float32),
    "coarser values": lambda one: np.round(one / 8) * 8,
    "another calibration": lambda one: one + 20,
    "moved": lambda one: moved(one, 3, -2),
    "a larger field of view": lambda one: np.pad(one, one.shape[0] // 10, constant_values=AIR),
    "eight bits": as_eight_bits,
    "half the matrix and noise": lambda one: (resized(one, one.shape[0] // 2) + rng.normal(0, 10)).astype(np.float32),
}


@pytest.fixture(scope="module")
def real(real_slices: list[Path]) -> list[tuple[HounsfieldArray, str, float]]:
    """The real slices with patient and position (mm)."""
    headers = [dcmread(path, stop_before_pixels=True) for path in real_slices]
    return [
        (decode(read_instance(path.read_bytes())), str(header.PatientID), float(header.SliceLocation))
        for path, header in zip(real_slices, headers, strict=True)
    ]


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_of_a_real_slice_is_near(how: str, real: list[tuple[HounsfieldArray, str, float]]) -> None:
    for hounsfield, _, _ in real[::3]:
        assert distance(printed(hounsfield), printed(COPIES[how](hounsfield))) <= NEAR_BITS


@pytest.mark.parametrize("how", sorted(set(COPIES) - {"moved"}))
def test_a_copy_of_a_phantom_is_near(how: str) -> None:
    for patient, label in enumerate(LABELS):
        hounsfield = phantom(label, patient, 1)
        assert distance(printed(hounsfield), printed(COPIES[how](hounsfield))) <= NEAR_BITS


def test_neighbours_in_a_real_patient_are_near_and_other_patients_are_not(
    real: list[tuple[HounsfieldArray, str, float]],
) -> None:
    prints = [printed(hounsfield) for hounsfield, _, _ in real]
    neighbours, strangers = [], []
    for one, other in combinations(range(len(real)), 2):
        (_, patient, position), (_, others_patient, others_position) = real[one], real[other]
        if patient != others_patient:
            strangers.append(distance(prints[one], prints[other]))
        elif abs(position - others_position) <= 4:
            neighbours.append(distance(prints[one], prints[other]))
    assert len(neighbours) == 2
    assert len(strangers) == 11 * 8 + 8 * 6 + 6 * 11
    assert max(neighbours) <= NEAR_BITS
    assert min(strangers) > 2 * NEAR_BITS


@pytest.mark.parametrize(("size", "seed"), [(128, 0), (160, 1)])
def test_no_two_patients_of_a_phantom_cohort_are_near(size: int, seed: int) -> None:
    prints = [
        [printed(phantom(LABELS[patient % 3], patient, number, size, seed=seed)) for number in range(4)]
        for patient in range(36)
    ]
    distances = [distance(ours, theirs) for one, other in combinations(prints, 2) for ours in one for theirs in other]
    assert len(distances) == 36 * 35 // 2 * 16
    assert min(distances) > NEAR_BITS


def table() -> HounsfieldArray:
    """A table in air, as scanned without a patient."""
    hounsfield = rng.normal(AIR, 15, (256, 256)).astype(np.float32)
    column = np.arange(256)
    for depth in (200, 214):
        row = depth - ((column - 128) ** 2 / 1200).astype(int)
        for thick in range(4):
            hounsfield[row + thick, column] = -100
    return hounsfield


@pytest.mark.parametrize(
    "hounsfield",
    [
        np.full((64, 64), AIR, np.float32),
        rng.normal(AIR, 30, (64, 64)).astype(np.float32),
        rng.normal(40, 30, (64, 64)).astype(np.float32),
        table(),
    ],
    ids=["constant", "air", "nothing but tissue", "table"],
)
def test_what_shows_no_body_has_no_fingerprint(hounsfield: HounsfieldArray) -> None:
    assert fingerprint(hounsfield) is None


def test_the_pixel_digest_is_of_shape_and_units_not_of_how_they_were_stored() -> None:
    hounsfield = np.array([[0.0, 40.0, -1000.0], [1, 2, 3]], np.float32)
    negative_zero = hounsfield.copy()
    negative_zero[0, 0] = -0.0
    assert pixel_digest(hounsfield) == pixel_digest(negative_zero) == pixel_digest(np.asfortranarray(hounsfield))
    assert pixel_digest(hounsfield) != pixel_digest(hounsfield.reshape(3, 2))
    assert pixel_digest(hounsfield) != pixel_digest(hounsfield + 1)
