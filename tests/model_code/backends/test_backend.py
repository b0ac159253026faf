"""Backends: the order in which they are tried, and a record of them that cannot name other files."""

from __future__ import annotations

from typing import Any

import pytest

from model_code.backends.backend import BackendName, Serving, ValidatedBackend, parse_serving

KNOWN_ANSWER = [0.5, -0.5]


def record(name: BackendName, **changes: Any) -> dict[str, Any]:
    return {
        "files_sha256": dict.fromkeys(name.files, "0a"),
        "probe_logits": KNOWN_ANSWER,
        "exact_bytes": False,
    } | changes


def validated(*of: BackendName) -> dict[BackendName, ValidatedBackend]:
    return {name: ValidatedBackend(files_sha256={}, known_answer=()) for name in of}


@pytest.mark.parametrize(
    ("serving", "tried"),
    [
        (Serving(), ["torch"]),
        (
            Serving(chosen=BackendName.OPENVINO_FP32, validated=validated(BackendName.OPENVINO_FP32)),
            ["openvino-fp32", "torch"],
        ),
        (
            Serving(chosen=BackendName.OPENVINO_INT8, validated=validated(BackendName.OPENVINO_INT8)),
            ["openvino-int8", "torch"],
        ),
        (
            Serving(
                chosen=BackendName.OPENVINO_INT8,
                validated=validated(BackendName.OPENVINO_INT8, BackendName.OPENVINO_FP32),
            ),
            ["openvino-int8", "openvino-fp32", "torch"],
        ),
        (Serving(chosen=BackendName.TORCH, validated=validated(BackendName.OPENVINO_FP32)), ["torch"]),
    ],
)
def test_the_chosen_backend_is_tried_first_then_more_trusted_ones(serving: Serving, tried: list[str]) -> None:
    assert serving.preferred() == tried


def test_a_record_is_read() -> None:
    document = {
        "form": "openvino-int8",
        "forms": {"openvino-int8": record(BackendName.OPENVINO_INT8, exact_bytes=True)},
    }
    serving = parse_serving(document, classes=2)
    assert serving.chosen is BackendName.OPENVINO_INT8
    assert serving.validated[BackendName.OPENVINO_INT8].exact_bytes is True
    assert serving.validated[BackendName.OPENVINO_INT8].as_dict() == document["forms"]["openvino-int8"]  # type: ignore[index]


@pytest.mark.parametrize(
    "changes",
    [
        {"files_sha256": {"../../etc/passwd": "0a", "forms/openvino-fp32.bin": "0a"}},
        {"files_sha256": {"forms/openvino-fp32.xml": "0a"}},
        {"files_sha256": {}},
        {"probe_logits": [1.0]},
    ],
)
def test_files_or_logits_of_another_backend_are_refused(changes: dict[str, Any]) -> None:
    document = {"form": "torch", "forms": {"openvino-fp32": record(BackendName.OPENVINO_FP32, **changes)}}
    with pytest.raises(ValueError, match="the backend openvino-fp32 has the files"):
        parse_serving(document, classes=2)
