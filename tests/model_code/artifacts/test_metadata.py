"""metadata.json holds all that inference needs, in a MONAI bundle's words, and is read strictly."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from aggregation.rule import SIMPLE, Rule
from model_code.artifacts import metadata
from model_code.artifacts.metadata import Metadata
from model_code.backends.backend import BackendName, Serving, ValidatedBackend
from model_code.errors import ArtifactError
from model_code.transforms import Preprocessing
from untrusted.picture import PLAIN, Pictures

ABOUT = Metadata(
    name="m",
    version="2.0.0",
    labels=("a", "b"),
    preprocessing=Preprocessing(image_size=128, window_level_hu=-500.0, window_width_hu=1400.0),
    weights_sha256="0f",
    temperature=1.5,
    known_answer=(0.25, 0.75),
)


def document() -> dict[str, Any]:
    written: dict[str, Any] = json.loads(metadata.write(ABOUT, {"val_accuracy": 0.5}, {"epochs": 3}))
    return written


def test_what_is_written_is_read_back() -> None:
    assert metadata.parse(json.dumps(document())) == ABOUT


def test_a_model_reads_the_pictures_that_its_metadata_names_and_axial_slices_without() -> None:
    coronal = replace(ABOUT, pictures=Pictures(planes=("coronal",), image_types=("original", "reformat")))
    assert metadata.parse(metadata.write(coronal, {}, {})) == coronal
    old = document()
    del old["pictures"]
    assert metadata.parse(json.dumps(old)).pictures == PLAIN
    with pytest.raises(ArtifactError):
        metadata.parse(json.dumps(document() | {"pictures": {"planes": ["lateral"], "image_types": []}}))


def test_a_model_of_phantoms_says_so_and_an_artifact_from_before_says_nothing() -> None:
    phantoms = replace(ABOUT, synthetic=True)
    assert metadata.parse(metadata.write(phantoms, {}, {})) == phantoms
    old = document()
    del old["synthetic"]
    assert metadata.parse(json.dumps(old)) == ABOUT
    with pytest.raises(ArtifactError, match="synthetic is 'no'"):
        metadata.parse(json.dumps(document() | {"synthetic": "no"}))


def test_how_slices_become_a_study_and_the_simple_rule_without() -> None:
    rule = Rule(reference="a", k=5, thresholds={"b": 0.25})
    assert metadata.parse(metadata.write(replace(ABOUT, study=rule), {}, {})).study == rule
    assert "study" not in document()
    assert metadata.parse(json.dumps(document())).study == SIMPLE
    with pytest.raises(ArtifactError, match="study names the class 'c'"):
        metadata.parse(json.dumps(document() | {"study": Rule(reference="c").as_dict()}))
    with pytest.raises(ArtifactError, match=r"study\.k is 0"):
        metadata.parse(json.dumps(document() | {"study": Rule(k=3).as_dict() | {"k": 0}}))


def test_the_words_of_a_monai_bundle() -> None:
    written = document()
    assert {"version", "monai_version", "pytorch_version", "numpy_version", "task", "intended_use"} <= set(written)
    formats = written["network_data_format"]
    assert formats["inputs"]["image"]["spatial_shape"] == [128, 128]
    assert formats["outputs"]["pred"]["channel_def"] == {"0": "a", "1": "b"}
    assert written["eval_metrics"] == {"val_accuracy": 0.5}


def test_an_artifact_from_before_temperatures_has_uncalibrated_probabilities() -> None:
    old = document()
    del old["calibration"]
    assert metadata.parse(json.dumps(old)).temperature == 1.0


def test_an_artifact_from_before_networks_could_be_chosen_is_a_densenet121() -> None:
    old = document()
    assert old.pop("network") == "densenet121"
    assert metadata.parse(json.dumps(old)).network == "densenet121"


def test_an_artifact_that_was_not_optimised_is_served_by_torch() -> None:
    assert metadata.parse(json.dumps(document())).serving.preferred() == [BackendName.TORCH]


def test_what_optimise_found_is_read_back() -> None:
    digests = dict.fromkeys(BackendName.OPENVINO_FP32.files, "0a")
    validated = {BackendName.OPENVINO_FP32: ValidatedBackend(files_sha256=digests, known_answer=(0.25, 0.75))}
    serving = Serving(chosen=BackendName.OPENVINO_FP32, validated=validated)
    text = metadata.with_serving(json.dumps(document()), serving, {"reason": "It holds."})
    assert metadata.parse(text) == replace(ABOUT, serving=serving)
    assert json.loads(text)["serving"]["proof"] == {"reason": "It holds."}
    assert metadata.parse(metadata.with_serving(text, Serving(), {})) == ABOUT


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.update(format="wetread-artifact/2"), "this image reads"),
        (lambda d: d.pop("preprocessing"), "KeyError 'preprocessing'"),
        (lambda d: d["network_data_format"]["inputs"]["image"].update(spatial_shape=[128, 64]), "not a square"),
        (lambda d: d["calibration"].update(temperature=0), "temperature is 0.0, not a number above 0"),
        (lambda d: d["calibration"].update(temperature="nan"), "temperature is nan"),
        (lambda d: d.update(serving={"form": "onnx", "forms": {}}), "'onnx' is not a valid BackendName"),
        (lambda d: d.update(network="resnet50"), "the network is 'resnet50', not one of densenet121"),
        (lambda d: d.update(serving={"form": "torch"}), "KeyError 'forms'"),
        (lambda d: d.update(serving={"form": "openvino-fp32", "forms": {}}), "is not one of the artifact's"),
        (lambda d: d["calibration"].pop("temperature"), "KeyError 'temperature'"),
        (lambda d: d.update(name="n" * 65), "longer than 64 characters"),
        (
            lambda d: d["network_data_format"]["outputs"]["pred"]["channel_def"].update({"1": "l" * 65}),
            "longer than 64",
        ),
        (
            lambda d: d["network_data_format"]["outputs"]["pred"].update(
                channel_def={str(n): "l" for n in range(1001)}
            ),
            "more than 1000",
        ),
        (lambda d: d["probe"].update(logits=[1]), "2 labels but 1 logits"),
        (lambda d: d["network_data_format"]["outputs"]["pred"].update(channel_def={"0": "a", "1": "a"}), "there twice"),
        (lambda d: d["network_data_format"]["outputs"]["pred"].update(channel_def={"0": "a", "1": ""}), "is empty"),
        (
            lambda d: d["network_data_format"]["outputs"]["pred"].update(channel_def={"0": "a", "1": "a\x1f1"}),
            "a label has the character U\\+001F",
        ),
        (lambda d: d.update(version="\ud800"), "half of a character"),
        (lambda d: d["preprocessing"].update(window_width_hu=0), "0.0 HU wide"),
        (lambda d: d["preprocessing"].update(window_width_hu=-1), "-1.0 HU wide"),
        (lambda d: d["preprocessing"].update(window_width_hu=float("nan")), "infinite, or none"),
        (lambda d: d["preprocessing"].update(window_level_hu=float("inf")), "infinite, or none"),
        (lambda d: d["probe"].update(logits=[float("inf"), 1]), "infinite, or none"),
        (lambda d: d["probe"].update(logits=[10**400, 1]), "OverflowError"),
        (
            lambda d: d["network_data_format"]["inputs"]["image"].update(spatial_shape=[float("inf")] * 2),
            "OverflowError",
        ),
        (lambda d: d["network_data_format"]["inputs"]["image"].update(spatial_shape=[10**9] * 2), "not a square of 1"),
        (lambda d: d["probe"].update(logits=[float("nan"), 1]), "infinite, or none"),
        (lambda d: d["calibration"].update(temperature=1e-320), "not from 0.001 to 1000"),
        (lambda d: d["calibration"].update(temperature=1e30), "not from 0.001 to 1000"),
        (
            lambda d: d.update(
                serving={
                    "form": "openvino-fp32",
                    "forms": {
                        "openvino-fp32": {
                            "files_sha256": dict.fromkeys(BackendName.OPENVINO_FP32.files, "0a"),
                            "probe_logits": [1, float("-inf")],
                            "exact_bytes": False,
                        }
                    },
                }
            ),
            "infinite, or none",
        ),
        (lambda d: d["network_data_format"]["outputs"]["pred"].update(channel_def={"1": "a"}), "KeyError '0'"),
    ],
)
def test_what_is_not_understood_is_refused(spoil: Callable[[dict[str, Any]], object], message: str) -> None:
    spoilt = document()
    spoil(spoilt)
    with pytest.raises(ArtifactError, match=message):
        metadata.parse(json.dumps(spoilt))


@pytest.mark.parametrize("text", ["{", "", "null", "[]", "9" * 5000, "[" * 100_000])
def test_text_that_is_not_json_or_no_object(text: str) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        metadata.parse(text)
