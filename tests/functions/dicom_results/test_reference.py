"""What results copy of a header, from whatever the header has."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from pydicom import Dataset

from functions.dicom_results.reference import OPTIONAL, REQUIRED, WANTED, reference_of
from functions.dicom_results.refused import NoResultsCode
from functions.domain.errors import NoResults
from functions.domain.header import BOUNDS
from tests.functions.dicom_results.studies import PATIENT, dataset, image, images, made, read
from tests.phi_leak import AS, number_of, with_elements
from untrusted.attributes import IDENTITY
from untrusted.header import read_header


def copied(body: bytes) -> tuple[Dataset, tuple[str, ...]]:
    return reference_of(read_header(body, len(body), WANTED, BOUNDS))


def test_a_good_header_is_copied_whole() -> None:
    found, notes = copied(images()[0])
    assert {keyword: str(found[keyword].value) for keyword in PATIENT} == PATIENT
    assert notes == ()


def test_a_header_without_anything_gives_empty_values() -> None:
    found, notes = copied(image(0, 1, **dict.fromkeys(PATIENT)))
    assert {keyword: found[keyword].value for keyword in REQUIRED} == dict.fromkeys(REQUIRED, "")
    assert not any(keyword in found for keyword in (*OPTIONAL, "SpecificCharacterSet"))
    assert notes == ()


@pytest.mark.parametrize(
    ("keyword", "stated", "expected", "noted"),
    [
        ("PatientSex", "X", "O", True),
        ("PatientSex", "male", "O", True),
        ("PatientSex", "f", "F", False),
        ("PatientBirthDate", "19601399", "", True),
        ("PatientBirthDate", "unknown", "", True),
        ("StudyDate", "2026.01.02", "20260102", False),
        ("StudyDate", "20260230", "", True),
        ("StudyTime", "10:11:12", "101112", False),
        ("StudyTime", "101112.123456", "101112.123456", False),
        ("StudyTime", "25", "", True),
        ("PatientName", "A^B\\C^D", "A^B", True),
        ("PatientName", "A\x1bB", "", True),
        ("PatientName", "Bono", "Bono", False),
        ("AccessionNumber", "A" * 30, "A" * 30, False),
        ("AccessionNumber", "A" * 2000, "", True),
        ("PatientAge", "66", None, True),
        ("PatientWeight", "heavy", None, True),
        ("PatientWeight", "81.5", 81.5, False),
        ("BodyPartExamined", "the chest", None, True),
        ("TimezoneOffsetFromUTC", "EST", None, True),
    ],
)
def test_odd_values_become_valid_or_empty(keyword: str, stated: str, expected: object, noted: bool) -> None:
    body = with_elements(image(0, 1), {keyword: stated})
    found, notes = copied(body)
    value = found.get(keyword)
    assert (str(value) if keyword in {"PatientName"} else value) == expected
    assert notes == ((keyword,) if noted else ())
    assert made(body).keys() >= {"sr", "card", "keys", "heat-1"}, "results are made all the same"


@pytest.mark.parametrize("keyword", ["PatientName", "AccessionNumber", "StudyID", "StudyDescription"])
def test_values_in_an_unknown_character_set_are_left_out_if_they_are_not_ascii(keyword: str) -> None:
    body = with_elements(image(0, 1), {"SpecificCharacterSet": "ISO-8859-1", keyword: "J\xf6rg"})
    found, notes = copied(body)
    assert not found.get(keyword)
    assert "SpecificCharacterSet" not in found
    assert {"SpecificCharacterSet", keyword} <= set(notes)


@pytest.mark.parametrize("several", ["ISO_IR 100\\ISO_IR 101", "ISO 2022 IR 6\\ISO_IR 192"])
def test_several_character_sets_without_code_extensions_count_as_unknown(several: str) -> None:
    body = with_elements(image(0, 1), {"SpecificCharacterSet": several, "PatientName": "Doe^Joan"})
    found, notes = copied(body)
    assert str(found.PatientName) == "Doe^Joan"
    assert notes == ("SpecificCharacterSet",)


@pytest.mark.parametrize(
    ("sets", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "山田^太郎=やまだ^たろう"),
        ("GB18030", "王^小东"),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동"),
        ("ISO_IR 144", "Люк^Иван"),
    ],
)
def test_a_name_in_any_script_is_the_same_in_every_result(sets: str, name: str) -> None:
    body = image(0, 1, SpecificCharacterSet=sets.split("\\"), PatientName=name)
    found, notes = copied(body)
    assert str(found.PatientName) == name
    assert notes == ()
    assert {str(dataset(result).PatientName) for result in made(body).values()} == {name}


@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID"])
@pytest.mark.parametrize(
    ("stated", "why"),
    [
        ({"PatientID": "1\\2"}, "two identifiers"),
        ({"PatientID": "7" * 2000}, "longer than any reader keeps"),
        ({"SpecificCharacterSet": "nonsense", "PatientID": "J\xf6rg-7"}, "no text of a known character set"),
        ({"PatientID": "7\x077"}, "a control character"),
    ],
)
def test_a_patient_id_or_issuer_that_cannot_be_copied_ends_in_no_results(
    stated: dict[str, str], why: str, keyword: str
) -> None:
    elements = {keyword if name == "PatientID" else name: value for name, value in stated.items()}
    with pytest.raises(NoResults) as refused:
        copied(with_elements(image(0, 1), elements))
    assert refused.value.code == NoResultsCode.UNUSABLE_IDENTITY, why


def test_a_label_that_the_character_set_lacks_is_written_in_utf_8() -> None:
    found = dataset(made(findings=tuple(replace(one, label="肺炎") for one in read().findings))["sr"])
    assert found.SpecificCharacterSet == "ISO_IR 192"
    assert str(found.PatientName) == "Müller^Jörg"


@pytest.mark.parametrize("form", AS)
@pytest.mark.parametrize("keyword", sorted(WANTED.keys() - IDENTITY.keys() | {"PatientID", "IssuerOfPatientID"}))
def test_no_text_of_a_header_is_anywhere_but_in_the_results(
    keyword: str, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    number = number_of(keyword)
    body = with_elements(images()[0], {keyword: AS[form](number)})
    caplog.set_level("DEBUG")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            said = repr(copied(body)[1])
            made(body)
        except NoResults as refused:
            said = f"{refused} {refused.reason} {refused.__context__}"
    assert number not in said + caplog.text + "".join(str(one.message) for one in caught)
