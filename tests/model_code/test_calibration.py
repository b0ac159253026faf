"""The temperature: found where it is known, bounded where the slices leave it open, without effect on the class."""

from __future__ import annotations

import pytest
import torch

from model_code.calibration import SHARPEST, SOFTEST, fit_temperature, probabilities


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
