"""Ingest and the container give each real file its right answer, and agree on what is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from functions.domain.row import Status
from infra.config import StageConfig
from model_code.backends.backend import Outputs
from model_code.inference import Model, input_fn, predict_fn
from model_code.reading.body_part import CHEST
from model_code.transforms import Preparation, Preprocessing
from tests.fakes.world import World
from tests.real_files import FILES, made, written
from untrusted.picture import PLAIN, Pictures

PREPROCESSING = Preprocessing(image_size=64, preparation=Preparation.PATIENT_AXES)


class Means(Model):
    """A model of two classes whose probabilities are the means of the picture's halves: any turn changes them."""

    def outputs(self, images: torch.Tensor) -> Outputs:
        top, left = images[:, 0, :32].mean(), images[:, 0, :, :32].mean()
        return Outputs(torch.stack([top / (top + left), left / (top + left)])[None].log(), None)


MODEL = Means(cast("Any", SimpleNamespace()), PREPROCESSING, ("a", "b"), 1.0, {"Name": "m"}, CHEST, PLAIN)


def answer(body: bytes) -> dict[str, Any]:
    return predict_fn(input_fn(body, "application/dicom"), MODEL)


BASE = answer(written(made()))["Probabilities"]


def test_a_model_that_was_trained_on_coronal_slices_reads_them_and_no_others() -> None:
    coronal = replace(MODEL, pictures=Pictures(planes=("coronal",)))
    slices = input_fn(FILES["coronal"][0](), "application/dicom"), input_fn(written(made()), "application/dicom")
    found = [predict_fn(one, coronal) for one in slices]
    assert "Class" in found[0]
    assert found[1]["Error"]["Code"] == "PlaneNotServed"


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_gets_its_right_answer(name: str) -> None:
    make, expected = FILES[name]
    body = make()
    world = World()
    ingesting = replace(world.ingesting, served=StageConfig().served)
    row = ingesting.take(world.upload("a.dcm", body))
    found = answer(body)
    if expected.status == Status.REFUSED:
        assert (row.status, row.code) == (Status.REFUSED, expected.code)
        assert found["Error"]["Code"] == expected.code
        assert expected.note in str(row.reason)
        return
    assert row.status == Status.PENDING, row.reason
    if expected.status == Status.FAILED:
        assert found["Error"]["Code"] == expected.code
        assert expected.note in found["Error"]["Message"]
        return
    assert found["Probabilities"] == pytest.approx(BASE, abs=1e-6), found
    assert expected.note in " ".join([*row.repairs, *row.notes, *found["Notes"]])
    assert bool(expected.note) == bool([*row.repairs, *row.notes, *found["Notes"]])
