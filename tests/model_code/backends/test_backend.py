"""Forms: the order in which they are tried, and a record of them that names no file of its own choosing."""

from __future__ import annotations

from typing import Any

import pytest

from model_code.backends import backend
from model_code.backends.backend import Form, Proved, Serving

PROBE = [0.5, -0.5]


def record(form: Form, **changes: Any) -> dict[str, Any]:
    return {"files_sha256": dict.fromkeys(form.files, "0a"), "probe_logits": PROBE, "exact_bytes": False} | changes


def proved(*of: Form) -> dict[Form, Proved]:
    return {form: Proved(files_sha256={}, probe_logits=()) for form in of}


@pytest.mark.parametrize(
    ("serving", "tried"),
    [
        (Serving(), ["torch"]),
        (Serving(form=Form.OPENVINO_FP32, proved=proved(Form.OPENVINO_FP32)), ["openvino-fp32", "torch"]),
        (Serving(form=Form.OPENVINO_INT8, proved=proved(Form.OPENVINO_INT8)), ["openvino-int8", "torch"]),
        (
            Serving(form=Form.OPENVINO_INT8, proved=proved(Form.OPENVINO_INT8, Form.OPENVINO_FP32)),
            ["openvino-int8", "openvino-fp32", "torch"],
        ),
        (Serving(form=Form.TORCH, proved=proved(Form.OPENVINO_FP32)), ["torch"]),
    ],
)
def test_the_serving_form_is_tried_first_then_those_that_are_trusted_more(serving: Serving, tried: list[str]) -> None:
    assert serving.preferred() == tried


def test_a_record_is_read() -> None:
    document = {"form": "openvino-int8", "forms": {"openvino-int8": record(Form.OPENVINO_INT8, exact_bytes=True)}}
    serving = backend.parse(document, classes=2)
    assert serving.form is Form.OPENVINO_INT8
    assert serving.proved[Form.OPENVINO_INT8].exact_bytes is True
    assert serving.proved[Form.OPENVINO_INT8].as_dict() == document["forms"]["openvino-int8"]  # type: ignore[index]


@pytest.mark.parametrize(
    "changes",
    [
        {"files_sha256": {"../../etc/passwd": "0a", "forms/openvino-fp32.bin": "0a"}},
        {"files_sha256": {"forms/openvino-fp32.xml": "0a"}},
        {"files_sha256": {}},
        {"probe_logits": [1.0]},
    ],
)
def test_files_or_logits_that_are_not_the_forms_own_are_refused(changes: dict[str, Any]) -> None:
    document = {"form": "torch", "forms": {"openvino-fp32": record(Form.OPENVINO_FP32, **changes)}}
    with pytest.raises(ValueError, match="the form openvino-fp32 has the files"):
        backend.parse(document, classes=2)
