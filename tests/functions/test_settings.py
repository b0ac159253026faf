"""A setting is declared once: what CDK renders, the function reads back."""

from __future__ import annotations

import pytest

from functions.settings import (
    AcquisitionLimits,
    GateSettings,
    IngestSettings,
    Served,
    SettingsError,
    SweepSettings,
    Thresholds,
    from_environment,
    to_environment,
)

INGEST = IngestSettings(
    index_table="index",
    uploads_bucket="uploads",
    work_bucket="work",
    tick_queue_url="https://queue",
    tick_window_seconds=20,
    patient_key_id="key",
    served=Served(
        sop_class_uids=("1.2.840.10008.5.1.4.1.1.2",),
        modalities=("CT", "MR"),
        transfer_syntax_uids=(),
        max_object_bytes=16,
        conformance="repair",
    ),
    results_kept_days=0,
    hidden_keys_table="",
    data_key_arn="arn:aws:kms:eu-west-1:111111111111:key/1",
    studies_table="studies",
    study_quiet_seconds=300,
)


def test_settings_survive_the_environment() -> None:
    assert from_environment(IngestSettings, to_environment(INGEST)) == INGEST


def test_one_error_names_everything_that_is_wrong() -> None:
    environment = to_environment(INGEST) | {"MAX_OBJECT_BYTES": "many"}
    del environment["WORK_BUCKET"]
    with pytest.raises(SettingsError) as caught:
        from_environment(IngestSettings, environment)
    assert "WORK_BUCKET is not set" in str(caught.value)
    assert "MAX_OBJECT_BYTES is 'many'" in str(caught.value)


GATE = GateSettings(
    training_bucket="training",
    batches_table="batches",
    thresholds=Thresholds(min_specificity=1e-05, lower_bound=False, subgroup_min_patients=7),
    acquisition=AcquisitionLimits(min_acquisition_gain=0.2),
)


def test_thresholds_survive_the_environment() -> None:
    assert from_environment(GateSettings, to_environment(GATE)) == GATE


@pytest.mark.parametrize("text", ["nan", "inf", "high", ""])
def test_a_threshold_that_is_not_a_number_is_refused_since_nothing_would_be_below_it(text: str) -> None:
    with pytest.raises(SettingsError, match=f"MIN_AUC is '{text}', not a number"):
        from_environment(GateSettings, to_environment(GATE) | {"MIN_AUC": text})


def test_a_setting_that_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(SettingsError, match="LOWER_BOUND is 'no', not True or False"):
        from_environment(GateSettings, to_environment(GATE) | {"LOWER_BOUND": "no"})


def test_the_sweep_has_the_settings_of_what_it_finishes() -> None:
    with pytest.raises(SettingsError) as caught:
        from_environment(SweepSettings, {})
    for name in ("JOB_NAME_PREFIX", "RESULTS_BUCKET", "SLOTS", "STALE_SECONDS", "SERIES_EXCLUDE"):
        assert name in str(caught.value)
