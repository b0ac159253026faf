"""A fitted rule separates ill studies from healthy ones where the highest slice of a poor model does not."""

from __future__ import annotations

from itertools import islice

import pytest

from assurance.study_reads.__main__ import LEAST
from assurance.study_reads.phantoms import POOR, made
from assurance.study_reads.reading import Read, read, slice_figures

pytestmark = [pytest.mark.check]

SEED, FIT, TEST = 11, 60, 300
LEAST_OF_FEW = {16: 0.82, 80: 0.92}
"""Of so many slices; less than the command's goal by what 300 studies vary."""


@pytest.fixture(scope="module", params=[16, 80])
def found(request: pytest.FixtureRequest) -> tuple[int, dict[str, Read]]:
    studies = made(POOR, FIT + TEST, request.param, SEED)
    fitted_on = list(islice(studies, FIT))
    return request.param, read(fitted_on, list(studies))


def test_a_poor_slice_model_is_enough(found: tuple[int, dict[str, Read]]) -> None:
    levels, by_rule = found
    assert by_rule["fitted"].auc >= LEAST
    assert by_rule["fitted"].few >= LEAST_OF_FEW[levels]


def test_the_fitted_rule_is_better_than_every_other(found: tuple[int, dict[str, Read]]) -> None:
    _, by_rule = found
    others = [one for name, one in by_rule.items() if name != "fitted"]
    assert by_rule["fitted"].auc > max(one.auc for one in others)
    assert by_rule["fitted"].few > max(one.few for one in others)
    assert by_rule["max"].auc < 0.75


def test_the_poor_model_is_as_poor_as_it_says_and_the_same_for_one_seed() -> None:
    studies = list(made(POOR, 90, 16, SEED))
    sensitivity, specificity = slice_figures(studies)
    assert sensitivity == pytest.approx(0.93, abs=0.03)
    assert specificity == pytest.approx(0.67, abs=0.04)
    again = list(made(POOR, 90, 16, SEED))
    assert [one.study for one in again] == [one.study for one in studies]
