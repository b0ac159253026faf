"""The temperature: found where it is known, bounded where the slices leave it open, without effect on the class."""

from __future__ import annotations

import pytest
import torch

from model_code.calibration import (
    FEWEST_PATIENTS,
    SHARPEST,
    SOFTEST,
    calibrate,
    fit_temperature,
    log_prior_of,
    probabilities,
)


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(truth: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 3, generator=generator, dtype=torch.float64) * 4
    targets = torch.multinomial(probabilities(logits, truth), 1, generator=generator)[:, 0]
    assert fit_temperature(logits, targets) == pytest.approx(truth, rel=0.05)


def test_few_slices_without_an_error_give_no_certainty() -> None:
    """N right answers of N slices: one error in N + 2 is expected."""
    logits = torch.eye(3).repeat(6, 1) * 3
    calibrated = probabilities(logits.double(), fit_temperature(logits, torch.arange(3).repeat(6)))
    assert calibrated.max(dim=1).values.mean().item() == pytest.approx(1 - 1 / 20, abs=1e-6)


def test_it_stays_within_bounds() -> None:
    targets = torch.arange(3).repeat(1000)
    assert fit_temperature(torch.eye(3).repeat(1000, 1) * 0.01, targets) == pytest.approx(SHARPEST)
    assert fit_temperature(torch.eye(3).repeat(1000, 1) * -5, targets) == pytest.approx(SOFTEST)


def test_the_most_probable_class_stays_the_same() -> None:
    logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    for temperature in (SHARPEST, 1.0, SOFTEST):
        calibrated = probabilities(logits, temperature)
        assert torch.equal(calibrated.argmax(dim=1), logits.argmax(dim=1))
        assert calibrated.sum(dim=1).tolist() == pytest.approx([1] * 50)


@pytest.mark.parametrize("shares", [(0.95, 0.03, 0.02), (0.8, 0.1, 0.1), (1 / 3, 1 / 3, 1 / 3)])
def test_probabilities_have_the_classes_frequencies_after_a_training_with_class_weights(shares) -> None:
    generator = torch.Generator().manual_seed(0)
    slices, sharpness = 40_000, 2.5
    frequencies = torch.tensor(shares, dtype=torch.double)
    targets = torch.multinomial(frequencies, slices, replacement=True, generator=generator)
    scores = torch.randn(slices, 3, generator=generator, dtype=torch.double)
    scores[torch.arange(slices), targets] += 2
    weighted = 2 * scores  # the posterior where the classes are equally frequent: what a weighted loss teaches
    found = calibrate(sharpness * weighted, targets, [int(1000 * one) for one in shares], FEWEST_PATIENTS)
    assert found.temperature == pytest.approx(sharpness, rel=0.1)
    shifted = sharpness * weighted + torch.tensor(found.of_logits, dtype=torch.double)
    mean = probabilities(shifted, found.temperature).mean(dim=0)
    assert (mean / frequencies).tolist() == pytest.approx([1, 1, 1], abs=0.06)
    if shares[0] == 0.95:
        assert probabilities(weighted, 1.0).mean(dim=0)[1] > 2.5 * frequencies[1], "what it mends"


def test_equal_classes_leave_the_logits_as_they_are() -> None:
    assert log_prior_of([24, 24, 24]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("patients", "fitted"), [(0, False), (11, False), (12, True)])
def test_few_validation_patients_give_no_temperature_and_the_reason(patients, fitted) -> None:
    logits = torch.randn(60, 3, generator=torch.Generator().manual_seed(2)) * 5
    targets = torch.arange(60) % 3
    found = calibrate(logits, targets, [20, 20, 20], patients)
    assert (found.temperature != 1.0) is fitted
    assert (f"has {patients} patients: 12 are needed" in found.reason) is not fitted
