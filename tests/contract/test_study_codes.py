"""Every code that a study/1 document may have is explained wherever a person reads it."""

import pytest

from aggregation.study import Caution
from functions.dicom_results.cautions import CAUTIONS
from functions.domain.study_document import StudyCaution, StudyCode
from wetread.studies.table import SENTENCES

CODES = [*StudyCaution, *Caution, *StudyCode]
UNDELIVERED = {StudyCaution.SEVERAL_PATIENTS}
"""With these no DICOM result is made."""


@pytest.mark.parametrize("code", CODES)
def test_the_command_line_says_what_it_means(code: str) -> None:
    assert SENTENCES[code]


@pytest.mark.parametrize("code", sorted({*StudyCaution, *Caution} - UNDELIVERED))
def test_a_dicom_result_says_what_it_means(code: str) -> None:
    assert CAUTIONS[code]
